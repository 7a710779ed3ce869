"""What each loader process is reading and since when, in memory that the main process sees."""

import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.context import BaseContext
from typing import Any

from torch.utils.data import Dataset, get_worker_info

from side4video.video.annotations import LabelledVideo
from side4video.video.datasets import Clip, ClipKey, Failure, TestClips, TrainClips

_NOTHING = -1


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


class NotingClips(Dataset):
    """Clips of which each worker notes, in memory that the main process sees, which one it is reading.

    Args:
        clips: read by key or index.
        workers: their number.
        context: that starts them.
        timeout_seconds: that a worker may take for one clip.

    `given_up` holds the indices of clips that hung: workers that start from then on do not read them.
    """

    def __init__(self, clips: Any, workers: int, context: BaseContext, *, timeout_seconds: float) -> None:
        self.clips, self.timeout_seconds = clips, timeout_seconds
        self.given_up: set[int] = set()
        self._over = context.RawValue("b", 0)
        self._since = context.RawArray("d", [0.0] * workers)
        self._processes = context.RawArray("q", [0] * workers)
        self._reading = context.RawArray("q", [_NOTHING] * workers)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: ClipKey | int) -> Clip | Failure:
        worker = get_worker_info()
        if worker is None:
            return self.clips[key]
        index = key.index if isinstance(key, ClipKey) else key
        if index in self.given_up:
            return self._failure(
                index, f"reading it took more than {self.timeout_seconds:g} seconds (data.timeout_seconds)."
            )
        self._processes[worker.id], self._since[worker.id] = os.getpid(), time.monotonic()
        self._reading[worker.id] = index
        if self._over.value:
            return self._failure(index, "nobody waits for it any more.")
        clip = self.clips[key]
        self._reading[worker.id] = _NOTHING
        return clip

    def _failure(self, index: int, reason: str) -> Failure:
        video = self._videos[index]
        return Failure(index, video.name, video.path, reason)

    def ended(self) -> list[int]:
        """Process ids of workers that are no longer there; waits a little for one that is about to go."""
        for _ in range(20):
            if gone := [process for process in self._processes if process and not _is_there(process)]:
                return gone
            time.sleep(0.1)
        return []

    def read_by(self, process: int) -> str | None:
        """The video that a worker was reading when it ended; None: none, or it is no worker."""
        for known, index in zip(self._processes, self._reading, strict=True):
            if known == process and index != _NOTHING:
                return str(self._videos[index].path)
        return None

    def end_hanging(self) -> list[int]:
        """Kill the workers that have read one clip for too long; returns the indices of these clips.

        By the system, and not by a thread in the worker: a decoder that hangs may hold the interpreter.
        """
        return self._end_readers(since=time.monotonic() - self.timeout_seconds)

    def end_reading(self) -> None:
        """Kill the workers that read a clip now, which nobody waits for any more; the others read none from now on."""
        self._over.value = 1
        self._end_readers(since=time.monotonic())

    def begin(self) -> None:
        """Workers that start from now on read again."""
        self._over.value = 0

    def _end_readers(self, *, since: float) -> list[int]:
        """Kill the workers that read their clip since that moment or longer; returns the indices of these clips."""
        ended = []
        for worker, (process, began) in enumerate(zip(self._processes, self._since, strict=True)):
            index = self._reading[worker]
            if index != _NOTHING and began < since and _is_there(process):
                ended.append(index)
                self._reading[worker] = _NOTHING
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        return ended

    def forget_workers(self) -> None:
        """Those of an earlier iteration are gone."""
        self._reading[:] = [_NOTHING] * len(self._reading)
        self._processes[:] = [0] * len(self._processes)

    def path_of(self, index: int) -> str:
        """The file of a clip."""
        return str(self._videos[index].path)

    @property
    def _videos(self) -> Sequence[LabelledVideo]:
        clips: TrainClips | TestClips = getattr(self.clips, "clips", self.clips)  # what a token cache reads lies deeper
        return clips.videos
