"""Which clip each worker reads and since when, in memory shared with the main process."""

import os
import time
from collections.abc import Sequence
from multiprocessing.context import BaseContext
from typing import Any

import psutil
from torch.utils.data import Dataset, get_worker_info

from side4video.data.datasets import Clip, ClipKey, Failure, TestClips, TrainClips
from side4video.data.lists.annotations import LabelledVideo

_NOTHING = -1
_NO_EPOCH = -1


class MonitoredClips(Dataset):
    """Clips whose workers note in shared memory which clip they read.

    Skipped clips are a `Failure` in workers that start afterwards.

    Args:
        clips: read by key or index.
        workers: number of workers.
        context: that starts them.
        timeout_seconds: the longest time a worker may take for one clip.

    >>> from side4video.data.loading.worker_processes import WorkerContext
    >>> clips = MonitoredClips(["first", "second"], workers=1, context=WorkerContext(), timeout_seconds=60)
    >>> len(clips), clips[1]  # outside of workers it only passes clips on
    (2, 'second')
    """

    def __init__(self, clips: Any, workers: int, context: BaseContext, *, timeout_seconds: float) -> None:
        self.clips, self.timeout_seconds = clips, timeout_seconds
        self._skipped: dict[LabelledVideo | ClipKey, str] = {}
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
            if (reason := self._skipped.get(known)) is not None:  # type: ignore[arg-type]
                return Failure(index, video.name, video.path, reason)
        self._processes[worker.id], self._since[worker.id] = os.getpid(), time.monotonic()
        self._epochs[worker.id], self._reading[worker.id] = epoch, index
        clip = self.clips[key]
        self._reading[worker.id] = _NOTHING
        return clip

    def clip_of_process(self, process: int) -> ClipKey | int | None:
        """Return the clip that an ended worker was reading; None if it was reading none, or is not a worker."""
        for worker, known in enumerate(self._processes):
            if known == process and self._reading[worker] != _NOTHING:
                return self._key(worker)
        return None

    def has_read(self, process: int) -> bool:
        """Whether a worker has begun to read a clip."""
        return process in self._processes[:]

    def kill_hanging(self) -> list[ClipKey | int]:
        """Kill the workers that exceed the timeout for one clip; returns these clips.

        The main process kills them, not a thread in the worker: a hanging decoder may hold the interpreter lock.
        """
        ended = []
        for worker, (process, since) in enumerate(zip(self._processes, self._since, strict=True)):
            if self._reading[worker] != _NOTHING and since < time.monotonic() - self.timeout_seconds:
                try:
                    psutil.Process(process).kill()
                except psutil.NoSuchProcess:  # it has ended already
                    continue
                ended.append(self._key(worker))
                self._reading[worker] = _NOTHING
        return ended

    def skip_hanging(self, key: ClipKey | int) -> None:
        """Skip all clips of the video from now on, in later epochs too: one timeout per video is enough."""
        reason = f"reading it took more than {self.timeout_seconds:g} seconds (data.timeout_seconds)."
        self._skipped[self._video(key)] = reason

    def skip_crashing(self, key: ClipKey | int, signal_name: str) -> None:
        """Skip the clip; in evaluations, and for videos read in parts, skip the whole video.

        Another epoch of training tries the video again, since it reads other frames: a run that was resumed in between
        does not know of the crash and must give the same result.
        """
        skipped = key if isinstance(key, ClipKey) else self._video(key)
        self._skipped[skipped] = (
            f"its decoder crashed the process that read it ({signal_name}). Re-encode it, or leave it out."
        )

    def reset(self) -> None:
        """Forget the workers of an earlier iteration."""
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
        clips: TrainClips | TestClips = getattr(self.clips, "clips", self.clips)  # a token cache wraps its clips
        return clips.videos
