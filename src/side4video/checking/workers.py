"""Runs a function on many items in processes of which each item gets so long: one that hangs is ended and replaced.

A process that the decoder takes down with it is replaced too; the pools of the standard library hang or break then.
"""

import multiprocessing
import resource
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from side4video.data.loading.worker_processes import PROGRAM, describe_exit

_RENEWED_AFTER = 1000  # items: what a decoder leaks is given back
_GIVEN_UP_AFTER = 5.0  # seconds: a process that waits for a dead drive cannot even be killed


@dataclass(frozen=True)
class Lost:
    """An item without a result: its process was ended after its time ("time-out"), or died ("crash")."""

    kind: str
    reason: str


class _Worker:
    """A process, the pipe to it, and which item it works on."""

    def __init__(self, work: Callable[[Any], Any], memory_bytes: int) -> None:
        context = multiprocessing.get_context("forkserver")  # the threads of this process are not copied
        # Imported once, so that a replacement is there at once.
        context.set_forkserver_preload([PROGRAM, work.__module__])
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(work, other, memory_bytes), daemon=True)
        self.process.start()
        other.close()
        self.place: int | None = None  # none before it has said that it is ready
        self.seconds = self.deadline = float("inf")
        self.num_done = 0

    def give(self, place: int, item: Any, seconds: float) -> None:
        self.place, self.seconds, self.deadline = place, seconds, time.monotonic() + seconds
        self.pipe.send(item)

    def answer(self) -> Any:
        """What it has sent; a `Lost` where its time is over or it is gone."""
        if not self.pipe.poll():
            return Lost("time-out", f"no result after {self.seconds:g} seconds; the process was ended.")
        try:
            result = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(_GIVEN_UP_AFTER)
            code = self.process.exitcode
            if self.place is None:
                raise RuntimeError(f"A process could not start (exit code {code}). Is there memory for it?") from None
            return Lost("crash", f"the process that decoded it died ({describe_exit(code)}).")
        self.num_done += self.place is not None
        return result

    def stop(self) -> None:
        self.process.kill()
        self.process.join(_GIVEN_UP_AFTER)
        self.pipe.close()


def run_with_timeout(
    work: Callable[[Any], Any],
    items: Sequence[Any],
    *,
    processes: int,
    seconds: float,
    memory_bytes: int = 4 * 2**30,
) -> Iterator[tuple[int, Any]]:
    """Place and result of each item as they come; a `Lost` in place of the result of one that hung or crashed.

    Args:
        work: a function of a module, so that another process finds it.
        items: what it is called with, one at a time.
        processes: how many of them run at once, 1 or more.
        seconds: for one item.
        memory_bytes: what a process may allocate; beyond, `work` sees a `MemoryError`.

    Raises:
        RuntimeError: no process can be started.
    """
    todo = deque(enumerate(items))
    workers = [_Worker(work, memory_bytes) for _ in range(min(processes, len(items)))]
    try:
        while workers:
            for worker in _speaking_or_late(workers):
                answer = worker.answer()
                if worker.place is not None:
                    yield worker.place, answer
                if todo and not isinstance(answer, Lost) and worker.num_done < _RENEWED_AFTER:
                    worker.give(*todo.popleft(), seconds)
                    continue
                worker.stop()
                workers.remove(worker)
                if todo:
                    workers.append(_Worker(work, memory_bytes))
    finally:
        for worker in workers:
            worker.stop()


def _speaking_or_late(workers: Sequence[_Worker]) -> list[_Worker]:
    """Those that have sent something or whose time is over; waits until there is one."""
    first = min(worker.deadline for worker in workers)
    left = None if first == float("inf") else max(0.0, first - time.monotonic())
    spoken = wait([worker.pipe for worker in workers], timeout=left)
    return [worker for worker in workers if worker.pipe in spoken or worker.deadline <= time.monotonic()]


def _serve(work: Callable[[Any], Any], pipe: Connection, memory_bytes: int) -> None:
    """What a process does: say that it is ready, then work until the pipe is closed."""
    _limit_memory(memory_bytes)
    with suppress(EOFError, ConnectionError, KeyboardInterrupt):  # who asked may be gone
        pipe.send(None)
        while True:
            item = pipe.recv()
            try:
                result = work(item)
            except Exception as error:  # one item must not end the others
                result = Lost("crash", f"{type(error).__name__}: {error}")
            pipe.send(result)


def _limit_memory(num_bytes: int) -> None:
    """Allow this process so many bytes more than it has now, where the system says what that is."""
    sizes = Path("/proc/self/statm")
    if sizes.is_file():
        limit = int(sizes.read_text().split()[0]) * resource.getpagesize() + num_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
