"""Start worker processes, and handle their signals."""

import os
import signal
import threading
import time
from multiprocessing import parent_process
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from side4video.data.loading.worker_exits import TERMINATED, count_memory_kills
from side4video.system.start_method import start_method

if start_method() == "forkserver":
    from multiprocessing.context import ForkServerContext as _Context
else:
    from multiprocessing.context import SpawnContext as _Context  # type: ignore[assignment]

PROGRAM = "side4video.cli"
"""The module that worker processes of the command line import, since they import the program that started them."""
GRACE_SECONDS = 30.0
"""How long a worker continues after SIGTERM, unless the main process stops it earlier."""


class WorkerContext(_Context):
    """Starts workers with the system's `start_method`, and keeps a list of them to report how each ended.

    >>> context = WorkerContext()
    >>> context.get_start_method() == start_method()
    True
    """

    def __init__(self) -> None:
        super().__init__()
        if start_method() == "forkserver":  # imported once, not once per worker
            self.set_forkserver_preload([PROGRAM, "side4video.data.loading.loader"])
        self._workers: list[BaseProcess] = []
        self._memory_kills = count_memory_kills()

    def Process(self, *args: Any, **options: Any) -> BaseProcess:  # type: ignore[override]  # noqa: N802
        """Return a new worker that is not started yet."""
        worker = super().Process(*args, **options)
        self._workers.append(worker)
        return worker

    def ended(self, *, wait_seconds: float) -> dict[int, int]:
        """Exit codes (negative for signals) of ended workers by process id; waits up to `wait_seconds` for the
        first.
        """
        wait([worker.sentinel for worker in self._started()], wait_seconds)
        codes = {worker.pid: worker.exitcode for worker in self._started()}
        return {process: code for process, code in codes.items() if process is not None and code is not None}

    @property
    def memory_kills(self) -> int:
        """Processes that the system killed because memory ran out, since this context was made."""
        return count_memory_kills() - self._memory_kills

    def kill(self) -> None:
        """Kill all workers immediately and discard what they read."""
        for worker in self._started():
            worker.kill()
        self._workers.clear()

    def _started(self) -> list[BaseProcess]:
        return [worker for worker in self._workers if worker.pid is not None]


def prestart_workers(*, workers: int | None = None) -> None:
    """Start the server that forks workers, so that it imports modules at the same time as this process.

    Args:
        workers: number of workers; for 0 no server is started. Systems without a fork server start none either.
    """
    WorkerContext()
    if workers != 0 and start_method() == "forkserver":
        from multiprocessing import forkserver

        forkserver.ensure_running()


def start_worker(_worker: int) -> None:
    """Ignore the signals that the main process handles, and exit when the main process ends, even by SIGKILL.

    Schedulers send SIGTERM and SIGUSR1 to every process of a job at once. If workers ended then, the main process could
    not finish and save its current step. A worker that hangs still ends `GRACE_SECONDS` later.

    PyTorch's own watchdog checks the process that forked the worker. Here this is the fork server, which lives as long
    as its workers.
    """
    for name in ("SIGINT", "SIGUSR1", "SIGBREAK"):
        _set_handler(name, signal.SIG_IGN)
    for name in ("SIGSEGV", "SIGBUS", "SIGFPE"):
        _set_handler(name, signal.SIG_DFL)  # PyTorch prints a line there; the main process names the video as well
    watches = [_end_with_main_process]
    if hasattr(signal, "pthread_sigmask"):  # Windows has no SIGTERM from outside
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # in threads that are started later too
        watches.append(_end_after_sigterm)
    for watch in watches:
        threading.Thread(target=watch, daemon=True).start()


def _set_handler(name: str, handler: signal.Handlers) -> None:
    if hasattr(signal, name):
        signal.signal(getattr(signal, name), handler)


def _end_with_main_process() -> None:
    parent = parent_process()
    assert parent is not None, "runs in a worker"
    wait([parent.sentinel])
    os._exit(1)


def _end_after_sigterm() -> None:
    signal.sigwait({signal.SIGTERM})
    time.sleep(GRACE_SECONDS)
    os._exit(TERMINATED)
