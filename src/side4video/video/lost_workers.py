"""Loader processes that hang over a video are ended and replaced; those that end by themselves are said to be lost."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader

from side4video.video.worker_notes import NotingClips

if TYPE_CHECKING:
    from side4video.video.loading import Batch

_MOST_HANGING = 5
"""Videos that may hang one after the other with no batch between them: more are a drive that is gone."""


class LostWorkerError(RuntimeError):
    """A loader process ended while the run still needed it."""


class Remaining:
    """What is left of a sampler once `done` of its batches were handed out; its length is that of all."""

    def __init__(self, sampler: Any) -> None:
        self._sampler, self.done = sampler, 0

    def __iter__(self) -> Iterator[Any]:
        return islice(iter(self._sampler), self.done, None)

    def __len__(self) -> int:
        return len(self._sampler)


class ClipLoader(DataLoader["Batch"]):
    """A `DataLoader` that says which video a worker was reading when it was lost, and goes on where one hangs.

    Its `batch_sampler` is a `Remaining` where there are workers.
    """

    def __iter__(self) -> Iterator["Batch"]:  # type: ignore[override]
        """Batches in order. A video that hangs is a `Failure` in its batch, and in every later one.

        Raises:
            LostWorkerError: a worker ended by itself, or videos hang one after the other.
        """
        if not isinstance(self.dataset, NotingClips):
            return super().__iter__()
        assert isinstance(self.batch_sampler, Remaining)
        self.batch_sampler.done = 0
        self.dataset.begin()
        return self._watched(self.dataset, self.batch_sampler, super().__iter__())  # workers start now

    def _watched(self, clips: NotingClips, remaining: Remaining, batches: Iterator["Batch"]) -> Iterator["Batch"]:
        without_batch = 0
        with _watch(clips) as hanging, _ending_readers(clips):
            while True:
                try:
                    batch = next(batches)
                except StopIteration:
                    return
                except (RuntimeError, OSError, EOFError) as error:  # of a batch that was under way, an OSError
                    if hanging:
                        without_batch += 1
                        batches = self._started_again(clips, hanging, without_batch)
                        continue
                    if not (lost := self._lost(clips, error)):
                        raise
                    raise LostWorkerError(self._say(clips, lost)) from error
                remaining.done += 1
                without_batch = 0
                yield batch

    def _started_again(self, clips: NotingClips, hanging: list[int], times: int) -> Iterator["Batch"]:
        """The rest of the batches from new workers, which pass over the videos that hang."""
        clips.given_up |= set(hanging)
        if times > _MOST_HANGING:
            named = ", ".join(clips.path_of(index) for index in sorted(clips.given_up))
            raise LostWorkerError(
                f"{times} videos one after the other took more than {clips.timeout_seconds:g} seconds each: {named}. "
                "Is their drive there? data.timeout_seconds allows more."
            )
        hanging.clear()
        clips.forget_workers()
        return super().__iter__()

    def _lost(self, clips: NotingClips, error: Exception) -> list[int]:
        """Process ids of the workers that ended; none where it is another error."""
        if isinstance(error, RuntimeError):
            return _named_in(str(error))
        return clips.ended()

    def _say(self, clips: NotingClips, lost: list[int]) -> str:
        videos = [clips.read_by(process) for process in lost]
        named = ", ".join(video for video in videos if video is not None)
        where = f"while it read {named}" if named else "between two videos"
        return (
            f"A loader process ({', '.join(map(str, lost))}) ended by itself {where}. Mostly the system kills one when "
            "memory runs out: use fewer --data.workers; a file that ends its reader is found by leaving it out."
        )


@contextmanager
def _watch(clips: NotingClips) -> Iterator[list[int]]:
    """A list that gets the indices of clips that hang, whose workers are killed, until the block ends."""
    hanging: list[int] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(min(1.0, clips.timeout_seconds / 4)):
            hanging.extend(clips.end_hanging())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield hanging
    finally:
        over.set()
        thread.join()


@contextmanager
def _ending_readers(clips: NotingClips) -> Iterator[None]:
    """Whatever ends the block, workers that are in the middle of a video do not hold up the end of the run."""
    try:
        yield
    finally:
        clips.end_reading()


def _named_in(message: str) -> list[int]:
    """Process ids in PyTorch's message about workers that ended; none in other messages."""
    found = re.search(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\)", message)
    return [int(number) for number in found[1].split(",")] if found else []
