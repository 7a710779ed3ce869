"""Transforms that end their process with a real signal at white frames, as a crashing decoder does.

They replace the transforms of `side4video.tasks.clips`, and reach loader processes as part of a set of clips.
"""

import os
import signal
import time

from side4video.data.transforms import EvalTransform, TrainTransform


def end_where_white(frames, number):
    if frames.float().mean() > 250:
        os.kill(os.getpid(), number)


class CrashingTrainTransform(TrainTransform):
    number = signal.SIGSEGV

    def __call__(self, frames, label):
        end_where_white(frames, self.number)
        return super().__call__(frames, label)


class KilledTrainTransform(CrashingTrainTransform):
    """End the process as the system does when memory is short."""

    number = signal.SIGKILL


class CrashingEvalTransform(EvalTransform):
    number = signal.SIGABRT

    def __call__(self, frames):
        end_where_white(frames, self.number)
        return super().__call__(frames)


class KilledEvalTransform(CrashingEvalTransform):
    """End the process as the system does when memory is short."""

    number = signal.SIGKILL


class SlowEvalTransform(EvalTransform):
    """Take long enough that something can happen meanwhile."""

    def __call__(self, frames):
        time.sleep(0.25)
        return super().__call__(frames)
