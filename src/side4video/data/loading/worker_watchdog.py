"""Batches in spite of videos that hang or crash the loader process that reads them; other workers that end are lost."""

import atexit
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from torch.utils.data import DataLoader

from side4video.data.datasets import ClipKey
from side4video.data.loading.batch import Batch
from side4video.data.loading.worker_processes import WorkerContext, name_exit
from side4video.data.loading.worker_status import MonitoredClips

_CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
"""Signals that a fault in a decoder ends its own process with; all others come from outside."""
_MOST_HANGING = 5
"""Times in a row, with no clip between them, that workers are replaced because they hang: a drive is gone then."""
_MOST_CRASHING = 20
"""The same for crashes, which cost seconds each: a camera's files may all lie together, but not all files crash."""
_EXIT_SECONDS = 2.0
"""What a worker has to end, once what it had to send does not come."""


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


class ClipLoader(DataLoader[Batch]):
    """A `DataLoader` that goes on where a video hangs or crashes its worker, and says what a lost one was reading.

    Where there are workers, its `dataset` is a `MonitoredClips`, its `batch_sampler` a `Remaining` and its
    `multiprocessing_context` a `WorkerContext`.
    """

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Batches in order. A video that hangs or crashes its worker is a `Failure` in its batch.

        Raises:
            LostWorkerError: a worker ended otherwise, or many videos hang or crash one after the other.
        """
        if not isinstance(self.dataset, MonitoredClips):
            return super().__iter__()
        assert isinstance(self.batch_sampler, Remaining)
        self.batch_sampler.done = 0
        return self._watched(self.dataset, self.batch_sampler, self._start(self.dataset))  # workers start now

    def _start(self, clips: MonitoredClips) -> Iterator[Batch]:
        clips.forget_workers()
        return super().__iter__()

    def _watched(self, clips: MonitoredClips, remaining: Remaining, batches: Iterator[Batch]) -> Iterator[Batch]:
        in_a_row = 0
        workers: WorkerContext = self.multiprocessing_context
        with _ending(workers), _watching(clips) as watch:
            while True:
                batch = None
                try:
                    batch = next(batches)
                except StopIteration:
                    return
                except (RuntimeError, OSError, EOFError) as error:  # of a batch that was under way, an OSError
                    in_a_row += 1
                    if not _pass_over(clips, workers, watch.take_hanging(), error, in_a_row):
                        raise
                if batch is None:
                    workers.kill()
                    del batches  # which ends what PyTorch has of them, and is held by the error until here
                    batches = self._start(clips)
                    continue
                remaining.done += 1
                if len(batch):
                    in_a_row = 0
                yield batch


def _pass_over(
    clips: MonitoredClips, workers: WorkerContext, hanging: list[ClipKey | int], error: Exception, in_a_row: int
) -> bool:
    """Have new workers leave out what hung or crashed the old ones; False where the error is about something else.

    Raises:
        LostWorkerError: it is about a worker that ended otherwise, or this is one time too many.
    """
    ended = workers.ended(wait_seconds=_EXIT_SECONDS)
    crashed = {}
    for process, code in ended.items():
        if -code in _CRASHES and (key := clips.read_by(process)) is not None:
            crashed[process] = key
            clips.pass_over_crashing(key, name_exit(code))
    for key in hanging:
        clips.pass_over_hanging(key)
    lost = {process: code for process, code in ended.items() if process not in crashed}
    if lost and not hanging:
        raise LostWorkerError(_say_lost(clips, lost)) from error
    passed_over = [*hanging, *crashed.values()]
    if in_a_row > (_MOST_HANGING if hanging else _MOST_CRASHING):
        raise LostWorkerError(_say_too_many(clips, passed_over, in_a_row, hang=bool(hanging))) from error
    return bool(passed_over)


def _say_lost(clips: MonitoredClips, lost: dict[int, int]) -> str:
    videos = [clips.path_of(key) for key in map(clips.read_by, lost) if key is not None]
    where = f"while it read {', '.join(videos)}" if videos else "between two videos"
    named = ", ".join(f"{process}, {name_exit(code)}" for process, code in lost.items())
    return (
        f"A loader process ({named}) ended {where}. Mostly the system kills one when memory runs out: use fewer "
        "workers (--data.workers)."
    )


def _say_too_many(clips: MonitoredClips, passed_over: list[ClipKey | int], in_a_row: int, *, hang: bool) -> str:
    named = ", ".join(map(clips.path_of, passed_over))
    if hang:
        return (
            f"{in_a_row} times in a row, and no video between them, reading took more than "
            f"{clips.timeout_seconds:g} seconds, at last: {named}. Is their drive there? data.timeout_seconds allows "
            "more."
        )
    return (
        f"{in_a_row} times in a row, and no video between them, the decoder crashed, at last: {named}. "
        "Does `python -c 'import av'` work? `side4video check-data` lists all files that crash it."
    )


class _Watch:
    """Kills workers that read one clip for too long."""

    def __init__(self, clips: MonitoredClips) -> None:
        self._clips = clips
        self._hanging: list[ClipKey | int] = []
        self._lock = threading.Lock()  # who sees a killed worker also sees why
        self._over = threading.Event()

    def look(self) -> None:
        """Until it is over."""
        while not self._over.wait(min(1.0, self._clips.timeout_seconds / 4)):
            with self._lock:
                self._hanging += self._clips.end_hanging()

    def take_hanging(self) -> list[ClipKey | int]:
        """The clips whose workers were killed since this was asked last."""
        with self._lock:
            hanging, self._hanging = self._hanging, []
        return hanging

    def stop(self) -> None:
        self._over.set()


@contextmanager
def _watching(clips: MonitoredClips) -> Iterator[_Watch]:
    watch = _Watch(clips)
    thread = threading.Thread(target=watch.look, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.stop()
        thread.join()


@contextmanager
def _ending(workers: WorkerContext) -> Iterator[None]:
    """Whatever ends the block, no worker holds up the end of the run.

    An exception that nobody catches keeps the block open until the interpreter exits; what was registered last is
    done first there, before the standard library waits for the workers.
    """
    atexit.register(workers.kill)
    try:
        yield
    finally:
        atexit.unregister(workers.kill)
        workers.kill()
