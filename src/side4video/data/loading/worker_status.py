"""What each loader process is reading and since when, in memory that the main process sees."""

import os
import signal
import time
from collections.abc import Sequence
from multiprocessing.context import BaseContext
from typing import Any

from torch.utils.data import Dataset, get_worker_info

from side4video.data.datasets import Clip, ClipKey, Failure, TestClips, TrainClips
from side4video.data.lists.annotations import LabelledVideo

_NOTHING = -1
_NO_EPOCH = -1


class MonitoredClips(Dataset):
    """Clips of which each worker notes, in memory that the main process sees, which one it is reading.

    Args:
        clips: read by key or index.
        workers: their number.
        context: that starts them.
        timeout_seconds: that a worker may take for one clip.

    What is passed over is a `Failure` in workers that start from then on.
    """

    def __init__(self, clips: Any, workers: int, context: BaseContext, *, timeout_seconds: float) -> None:
        self.clips, self.timeout_seconds = clips, timeout_seconds
        self._passed_over: dict[LabelledVideo | ClipKey, str] = {}
        self._since = context.RawArray("d", [0.0] * workers)
        self._processes = context.RawArray("q", [0] * workers)
        self._epochs = context.RawArray("q", [_NO_EPOCH] * workers)
        self._reading = context.RawArray("q", [_NOTHING] * workers)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: ClipKey | int) -> Clip | Failure:
        worker = get_worker_info()
        if worker is None:
            return self.clips[key]
        epoch, index = key if isinstance(key, ClipKey) else (_NO_EPOCH, key)
        video = self._videos[index]
        for known in (video, key):
            if (reason := self._passed_over.get(known)) is not None:  # type: ignore[arg-type]
                return Failure(index, video.name, video.path, reason)
        self._processes[worker.id], self._since[worker.id] = os.getpid(), time.monotonic()
        self._epochs[worker.id], self._reading[worker.id] = epoch, index
        clip = self.clips[key]
        self._reading[worker.id] = _NOTHING
        return clip

    def read_by(self, process: int) -> ClipKey | int | None:
        """Which clip a worker was reading when it ended; None: none, or it is no worker."""
        for worker, known in enumerate(self._processes):
            if known == process and self._reading[worker] != _NOTHING:
                return self._key(worker)
        return None

    def end_hanging(self) -> list[ClipKey | int]:
        """Kill the workers that have read one clip for too long; returns what they read.

        By the system, and not by a thread in the worker: a decoder that hangs may hold the interpreter.
        """
        ended = []
        for worker, (process, since) in enumerate(zip(self._processes, self._since, strict=True)):
            if self._reading[worker] != _NOTHING and since < time.monotonic() - self.timeout_seconds:
                try:
                    os.kill(process, signal.SIGKILL)
                except ProcessLookupError:  # it ended by itself
                    continue
                ended.append(self._key(worker))
                self._reading[worker] = _NOTHING
        return ended

    def pass_over_hanging(self, key: ClipKey | int) -> None:
        """No clip of the video is read any more, in later epochs either: waiting once is enough."""
        reason = f"reading it took more than {self.timeout_seconds:g} seconds (data.timeout_seconds)."
        self._passed_over[self._video(key)] = reason

    def pass_over_crashing(self, key: ClipKey | int, signal_name: str) -> None:
        """The clip is not read; of an evaluation's video, or one that is read in parts, nothing is.

        Another epoch of training is tried again, since it reads other frames: a run that was resumed in between, and
        knows nothing of this one, must come to the same.
        """
        passed_over = key if isinstance(key, ClipKey) else self._video(key)
        self._passed_over[passed_over] = (
            f"its decoder crashed the process that read it ({signal_name}). Re-encode it, or leave it out."
        )

    def forget_workers(self) -> None:
        """Those of an earlier iteration are gone."""
        self._reading[:] = [_NOTHING] * len(self._reading)
        self._processes[:] = [0] * len(self._processes)

    def path_of(self, key: ClipKey | int) -> str:
        """The file of a clip."""
        return str(self._video(key).path)

    def _key(self, worker: int) -> ClipKey | int:
        epoch, index = self._epochs[worker], self._reading[worker]
        return index if epoch == _NO_EPOCH else ClipKey(epoch, index)

    def _video(self, key: ClipKey | int) -> LabelledVideo:
        return self._videos[key.index if isinstance(key, ClipKey) else key]

    @property
    def _videos(self) -> Sequence[LabelledVideo]:
        clips: TrainClips | TestClips = getattr(self.clips, "clips", self.clips)  # what a token cache reads lies deeper
        return clips.videos
