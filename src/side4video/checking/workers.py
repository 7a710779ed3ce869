"""Run a function on many items in worker processes with a timeout per item; a worker that hangs is replaced.

A worker that crashes with its decoder is replaced too. The process pools of the standard library hang or break then.
"""

import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from side4video.data.loading.process_support import why_no_processes
from side4video.data.loading.worker_exits import describe_exit
from side4video.data.loading.worker_processes import PROGRAM
from side4video.system.memory import limit_memory
from side4video.system.start_method import start_method

_MAX_ITEMS_PER_WORKER = 1000  # items: a fresh process frees the memory that decoders leak
_JOIN_SECONDS = 5.0  # seconds: a process that waits for a dead drive cannot be killed


@dataclass(frozen=True)
class FailedItem:
    """An item without a result: its process was killed after the timeout ("time-out") or died ("crash").

    >>> FailedItem("time-out", "no result after 60 seconds; the process was killed.").kind
    'time-out'
    """

    kind: str
    reason: str


class _Worker:
    """A process, its pipe, and the item that it works on."""

    def __init__(self, work: Callable[[Any], Any], memory_bytes: int) -> None:
        context: Any = multiprocessing.get_context(start_method())
        # Imported once, so that a replacement starts without delay.
        context.set_forkserver_preload([PROGRAM, work.__module__])
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_run_worker, args=(work, other, memory_bytes), daemon=True)
        self.process.start()
        other.close()
        self.position: int | None = None  # None until it has reported that it is ready
        self.seconds = self.deadline = float("inf")
        self.num_done = 0

    def assign(self, position: int, item: Any, seconds: float) -> None:
        self.position, self.seconds, self.deadline = position, seconds, time.monotonic() + seconds
        self.pipe.send(item)

    def receive(self) -> Any:
        """The result that it sent, or `FailedItem` if it timed out or died."""
        if not self.pipe.poll():
            return FailedItem("time-out", f"no result after {self.seconds:g} seconds; the process was killed.")
        try:
            result = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(_JOIN_SECONDS)
            code = self.process.exitcode
            if self.position is None:
                raise RuntimeError(
                    f"A process could not start (exit code {code}). Check that enough memory is free."
                ) from None
            return FailedItem("crash", f"the decoder process died ({describe_exit(code)}).")
        self.num_done += self.position is not None
        return result

    def stop(self) -> None:
        self.process.kill()
        self.process.join(_JOIN_SECONDS)
        self.pipe.close()


def run_with_timeout(
    work: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    processes: int,
    seconds: float,
    memory_bytes: int = 4 * 2**30,
) -> Iterator[tuple[int, Any]]:
    """Yield position and result of each item as they arrive; the result is `FailedItem` if its process hung or crashed.

    Args:
        work: a function at the top level of a module, so that another process can import it.
        items: arguments for `work`, one per call.
        processes: number of worker processes, 1 or more.
        seconds: timeout for one item.
        memory_bytes: memory that a process may allocate; above it, `work` gets a `MemoryError`. Only
            Linux and FreeBSD can limit it.

    Raises:
        RuntimeError: no process can be started.
    """
    if reason := why_no_processes():
        raise RuntimeError(f"Each file is opened in a process of its own, and this program cannot start any: {reason}.")
    todo = deque(enumerate(items))
    workers = [_Worker(work, memory_bytes) for _ in range(min(processes, len(items)))]
    try:
        while workers:
            for worker in _wait_for_workers(workers):
                result = worker.receive()
                if worker.position is not None:
                    yield worker.position, result
                if todo and not isinstance(result, FailedItem) and worker.num_done < _MAX_ITEMS_PER_WORKER:
                    worker.assign(*todo.popleft(), seconds)
                    continue
                worker.stop()
                workers.remove(worker)
                if todo:
                    workers.append(_Worker(work, memory_bytes))
    finally:
        for worker in workers:
            worker.stop()


def _wait_for_workers(workers: Sequence[_Worker]) -> list[_Worker]:
    """Wait until at least one worker has sent something or timed out; return all that have."""
    first = min(worker.deadline for worker in workers)
    left = None if first == float("inf") else max(0.0, first - time.monotonic())
    ready = wait([worker.pipe for worker in workers], timeout=left)
    return [worker for worker in workers if worker.pipe in ready or worker.deadline <= time.monotonic()]


def _run_worker(work: Callable[[Any], Any], pipe: Connection, memory_bytes: int) -> None:
    """The main function of a process: report that it is ready, then work until the pipe is closed."""
    limit_memory(memory_bytes)
    with suppress(EOFError, ConnectionError, KeyboardInterrupt):  # the parent process may be gone
        pipe.send(None)
        while True:
            item = pipe.recv()
            try:
                result = work(item)
            except Exception as error:  # one item must not stop the others
                result = FailedItem("crash", f"{type(error).__name__}: {error}")
            pipe.send(result)
