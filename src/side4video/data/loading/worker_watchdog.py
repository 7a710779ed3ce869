"""Replace workers that a video hangs or crashes, and name the video when a worker is lost for another reason."""

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
from side4video.data.loading.process_support import UNGUARDED, warn_about_reading_here
from side4video.data.loading.worker_exits import IMPORTED_UNGUARDED, describe_exit, explain_exit, is_crash
from side4video.data.loading.worker_processes import WorkerContext
from side4video.data.loading.worker_status import MonitoredClips

_MAX_HANGS = 5
"""Limit of consecutive replacements of hanging workers with no clip in between: beyond it the drive is gone."""
_MAX_CRASHES = 20
"""Limit of consecutive crashes, which cost seconds each: all files of one camera may crash, but not all files."""
_EXIT_SECONDS = 2.0
"""How long to wait for a worker to exit after its data did not arrive."""


class LostWorkerError(RuntimeError):
    """A loader process ended while the run still needed it.

    >>> str(LostWorkerError("A loader process (71, SIGKILL) ended while it read a.mp4."))
    'A loader process (71, SIGKILL) ended while it read a.mp4.'
    """


class ResumableSampler:
    """A batch sampler that continues after the `done` batches already yielded; its length counts all batches.

    >>> sampler = ResumableSampler([[0, 1], [2, 3], [4]])
    >>> sampler.done = 2
    >>> list(sampler), len(sampler)
    ([[4]], 3)
    """

    def __init__(self, sampler: Any) -> None:
        self._sampler, self.done = sampler, 0

    def __iter__(self) -> Iterator[Any]:
        return islice(iter(self._sampler), self.done, None)

    def __len__(self) -> int:
        return len(self._sampler)


class ClipLoader(DataLoader[Batch]):
    """A `DataLoader` that continues when a video hangs or crashes its worker, and names what a lost worker was reading.

    With workers, its `dataset` is a `MonitoredClips`, its `batch_sampler` a `ResumableSampler` and its
    `multiprocessing_context` a `WorkerContext`. `train_loader` and `test_loader` build it.

    >>> from pathlib import Path
    >>> from side4video.data.datasets import Failure
    >>> from side4video.data.loading.batch import collate
    >>> failure = Failure(0, "a.mp4", Path("a.mp4"), "there is no such file.")
    >>> loader = ClipLoader([failure], batch_sampler=ResumableSampler([[0]]), collate_fn=collate)
    >>> [(len(batch), batch.failures[0].name) for batch in loader]
    [(0, 'a.mp4')]
    """

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        """Yield batches in order. A video that hangs or crashes its worker is a `Failure` in its batch.

        Raises:
            LostWorkerError: a worker ended otherwise, or too many videos in a row hang or crash.
        """
        if not isinstance(self.dataset, MonitoredClips):
            return super().__iter__()
        assert isinstance(self.batch_sampler, ResumableSampler)
        self.batch_sampler.done = 0
        try:
            batches = self._start(self.dataset)  # workers start now
        except (OSError, EOFError) as error:  # no memory, no sockets, or a limit on processes
            warn_about_reading_here(f"{type(error).__name__}: {error}. Raise the limits of this machine")
            return self._read_here(self.dataset, self.batch_sampler)
        return self._watched(self.dataset, self.batch_sampler, batches)

    def _start(self, clips: MonitoredClips) -> Iterator[Batch]:
        clips.reset()
        with _without_handler_of_pytorch():
            return super().__iter__()

    def _read_here(self, clips: MonitoredClips, sampler: ResumableSampler) -> Iterator[Batch]:
        """Read the remaining batches in this process."""
        for keys in sampler:
            batch = self.collate_fn([clips[key] for key in keys])
            yield batch.pin_memory() if self.pin_memory else batch

    def _watched(self, clips: MonitoredClips, sampler: ResumableSampler, batches: Iterator[Batch]) -> Iterator[Batch]:
        num_consecutive = 0
        workers: WorkerContext = self.multiprocessing_context
        with _killed_at_exit(workers), _watchdog(clips) as watchdog:
            while True:
                batch = None
                try:
                    batch = next(batches)
                except StopIteration:
                    return
                except (RuntimeError, OSError, EOFError) as error:  # OSError: of a batch in transfer
                    if IMPORTED_UNGUARDED in workers.ended(wait_seconds=_EXIT_SECONDS).values():
                        break
                    num_consecutive += 1
                    if not _skip_faulty(clips, workers, watchdog.take_hanging(), error, num_consecutive):
                        raise
                if batch is None:
                    workers.kill()
                    del batches  # stops PyTorch's threads; the error held a reference until here
                    batches = self._start(clips)
                    continue
                sampler.done += 1
                if len(batch):
                    num_consecutive = 0
                yield batch
        warn_about_reading_here(UNGUARDED)
        yield from self._read_here(clips, sampler)


@contextmanager
def _without_handler_of_pytorch() -> Iterator[None]:
    """Undo the SIGCHLD handler that PyTorch sets in the block: it raises anywhere in this process if a worker ends.

    A fork server receives the signal itself. Spawned workers are children of this process.
    """
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.getsignal(signal.SIGCHLD)
    yield
    signal.signal(signal.SIGCHLD, previous)


def _skip_faulty(
    clips: MonitoredClips, workers: WorkerContext, hanging: list[ClipKey | int], error: Exception, num_consecutive: int
) -> bool:
    """Make new workers skip the clips that hung or crashed the old ones; False if the error has another cause.

    Raises:
        LostWorkerError: a worker ended otherwise, or the limit of consecutive faults is exceeded.
    """
    ended = workers.ended(wait_seconds=_EXIT_SECONDS)
    crashed = {}
    for process, code in ended.items():
        if is_crash(code) and (key := clips.clip_of_process(process)) is not None:
            crashed[process] = key
            clips.skip_crashing(key, describe_exit(code))
    for key in hanging:
        clips.skip_hanging(key)
    lost = {process: code for process, code in ended.items() if process not in crashed}
    if lost and not hanging:
        raise LostWorkerError(_describe_lost(clips, lost, workers.memory_kills)) from error
    skipped = [*hanging, *crashed.values()]
    if num_consecutive > (_MAX_HANGS if hanging else _MAX_CRASHES):
        raise LostWorkerError(_describe_repeated(clips, skipped, num_consecutive, hang=bool(hanging))) from error
    return bool(skipped)


def _describe_lost(clips: MonitoredClips, lost: dict[int, int], memory_kills: int) -> str:
    videos = [clips.path_of(key) for key in map(clips.clip_of_process, lost) if key is not None]
    named = ", ".join(f"{process}, {describe_exit(code)}" for process, code in lost.items())
    process, code = next(iter(lost.items()))
    has_read = clips.has_read(process)
    between = "before it read a video" if code > 0 and not has_read else "between two videos"
    where = f"while it read {', '.join(videos)}" if videos else between
    why = explain_exit(code, has_read=has_read, memory_kills=memory_kills)
    return f"A loader process ({named}) ended {where}. {why}"


def _describe_repeated(clips: MonitoredClips, skipped: list[ClipKey | int], num_consecutive: int, *, hang: bool) -> str:
    named = ", ".join(map(clips.path_of, skipped))
    if hang:
        return (
            f"{num_consecutive} times in a row, with no readable video in between, reading took more than "
            f"{clips.timeout_seconds:g} seconds, last: {named}. Check their drive, or increase data.timeout_seconds."
        )
    return (
        f"{num_consecutive} times in a row, with no readable video in between, the decoder crashed, last: {named}. "
        "Check that `python -c 'import av'` works. `side4video check-data` lists all files that crash the decoder."
    )


class _Watchdog:
    """Kills workers that exceed the timeout for one clip."""

    def __init__(self, clips: MonitoredClips) -> None:
        self._clips = clips
        self._hanging: list[ClipKey | int] = []
        self._lock = threading.Lock()  # a killed worker is seen together with its reason
        self._stopped = threading.Event()

    def run(self) -> None:
        """Check the workers until `stop` is called."""
        while not self._stopped.wait(min(1.0, self._clips.timeout_seconds / 4)):
            with self._lock:
                self._hanging += self._clips.kill_hanging()

    def take_hanging(self) -> list[ClipKey | int]:
        """Return the clips whose workers were killed since the last call."""
        with self._lock:
            hanging, self._hanging = self._hanging, []
        return hanging

    def stop(self) -> None:
        self._stopped.set()


@contextmanager
def _watchdog(clips: MonitoredClips) -> Iterator[_Watchdog]:
    watchdog = _Watchdog(clips)
    thread = threading.Thread(target=watchdog.run, daemon=True)
    thread.start()
    try:
        yield watchdog
    finally:
        watchdog.stop()
        thread.join()


@contextmanager
def _killed_at_exit(workers: WorkerContext) -> Iterator[None]:
    """Kill the workers at the end of the block, so that they never delay the end of the run.

    An uncaught exception keeps the block open until the interpreter exits. Functions registered last run first there,
    before the standard library waits for the workers.
    """
    atexit.register(workers.kill)
    try:
        yield
    finally:
        atexit.unregister(workers.kill)
        workers.kill()
