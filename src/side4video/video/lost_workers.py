"""Loader processes that end by themselves, killed by the system or by a broken file: which video each was reading."""

import os
import re
import time
from collections.abc import Iterator
from multiprocessing.context import BaseContext
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader, Dataset, get_worker_info

from side4video.video.datasets import Clip, ClipKey, Failure, TestClips, TrainClips

if TYPE_CHECKING:
    from side4video.video.loading import Batch

_NOTHING = -1


class LostWorkerError(RuntimeError):
    """A loader process ended while the run still needed it."""


class NotingClips(Dataset):
    """Clips of which each worker notes, in memory that the main process sees, which one it is reading.

    Args:
        clips: read by key or index.
        workers: their number.
        context: that starts them.
    """

    def __init__(self, clips: Any, workers: int, context: BaseContext) -> None:
        self.clips = clips
        self._processes = context.RawArray("q", [0] * workers)
        self._reading = context.RawArray("q", [_NOTHING] * workers)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: ClipKey | int) -> Clip | Failure:
        worker = get_worker_info()
        if worker is None:
            return self.clips[key]
        self._processes[worker.id] = os.getpid()
        self._reading[worker.id] = key.index if isinstance(key, ClipKey) else key
        clip = self.clips[key]
        self._reading[worker.id] = _NOTHING
        return clip

    def ended(self) -> list[int]:
        """Process ids of workers that are no longer there; waits a little for one that is about to go."""
        for _ in range(20):
            if gone := [process for process in self._processes if process and not _is_there(process)]:
                return gone
            time.sleep(0.1)
        return []

    def read_by(self, process: int) -> str | None:
        """The video that a worker was reading when it ended; None: none, or it is no worker."""
        clips: TrainClips | TestClips = getattr(self.clips, "clips", self.clips)  # what a token cache reads lies deeper
        for known, index in zip(self._processes, self._reading, strict=True):
            if known == process and index != _NOTHING:
                return str(clips.videos[index].path)
        return None


class ClipLoader(DataLoader["Batch"]):
    """A `DataLoader` that says which video a worker was reading when it was lost."""

    def __iter__(self) -> Iterator["Batch"]:  # type: ignore[override]
        """Batches in order.

        Raises:
            LostWorkerError: a worker ended by itself.
        """
        return self._named(super().__iter__())  # workers start now

    def _named(self, batches: Iterator["Batch"]) -> Iterator["Batch"]:
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except (RuntimeError, OSError, EOFError) as error:  # of a batch that was under way, an OSError
                if not (lost := self._lost(error)):
                    raise
                raise LostWorkerError(self._say(lost)) from error
            yield batch

    def _lost(self, error: Exception) -> list[int]:
        """Process ids of the workers that ended; none where it is another error."""
        if isinstance(error, RuntimeError):
            return _named_in(str(error))
        return self.dataset.ended() if isinstance(self.dataset, NotingClips) else []

    def _say(self, lost: list[int]) -> str:
        clips = self.dataset
        videos = [clips.read_by(process) for process in lost] if isinstance(clips, NotingClips) else []
        named = ", ".join(video for video in videos if video is not None)
        where = f"while it read {named}" if named else "between two videos"
        return (
            f"A loader process ({', '.join(map(str, lost))}) ended by itself {where}. Mostly the system kills one when "
            "memory runs out: use fewer --data.workers; a file that ends its reader is found by leaving it out."
        )


def _named_in(message: str) -> list[int]:
    """Process ids in PyTorch's message about workers that ended; none in other messages."""
    found = re.search(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)", message)
    return [int(number) for number in found[1].split(",")] if found else []


def _is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
