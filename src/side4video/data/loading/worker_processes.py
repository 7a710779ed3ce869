"""Loader processes: how they are started, what signals do to them, and how each of them ended."""

import os
import signal
import sys
import threading
import time
from multiprocessing import forkserver, parent_process
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

if sys.platform == "win32":
    from multiprocessing.context import SpawnContext as _Context
else:
    from multiprocessing.context import ForkServerContext as _Context

PROGRAM = "side4video.cli"
"""What a process imports that the command line starts, as it imports the program that started it."""
GRACE_SECONDS = 30.0
"""How long a worker goes on after a SIGTERM, unless the main process stops it before."""


def name_exit(code: int | None) -> str:
    """How a process ended by multiprocessing's number: -9 is "SIGKILL", 1 "exit code 1", None that it has not ended."""
    if code is None:
        return "it has not ended"
    if code >= 0:
        return f"exit code {code}"
    names = {int(number): number.name for number in signal.Signals}
    return names.get(-code, f"signal {-code}")


class WorkerContext(_Context):
    """Forks workers from a small server, and keeps them, so that each can be asked how it ended.

    Forking this process itself can hang, as it has threads, and Python 3.12 warns of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.set_forkserver_preload([PROGRAM, "side4video.data.loading.loader"])  # imported once, not once per worker
        self._workers: list[BaseProcess] = []

    def Process(self, *args: Any, **options: Any) -> BaseProcess:  # type: ignore[override]  # noqa: N802
        """A worker that is yet to be started."""
        worker = super().Process(*args, **options)
        self._workers.append(worker)
        return worker

    def ended(self, *, wait_seconds: float) -> dict[int, int]:
        """Process id and exit code, negative for a signal, of workers that are gone; waits for the first so long."""
        wait([worker.sentinel for worker in self._started()], wait_seconds)
        codes = {worker.pid: worker.exitcode for worker in self._started()}
        return {process: code for process, code in codes.items() if process is not None and code is not None}

    def kill(self) -> None:
        """End all workers at once, whatever they are doing; nobody waits for what they read."""
        for worker in self._started():
            worker.kill()
        self._workers.clear()

    def _started(self) -> list[BaseProcess]:
        return [worker for worker in self._workers if worker.pid is not None]


def start_early(*, workers: int | None = None) -> None:
    """Start the server that workers are forked from: it imports while this process does, and not after it.

    Args:
        workers: that there will be; none are needed for 0.
    """
    WorkerContext()
    if workers != 0 and sys.platform != "win32":
        forkserver.ensure_running()


def start_worker(_worker: int) -> None:
    """Leave signals to the main process, which stops the workers, and end when it is gone, even by SIGKILL.

    Schedulers send SIGTERM and SIGUSR1 to every process of a job at once: a worker that ended then would take from the
    main process the step that it has yet to finish and save. A worker that hangs still ends, `GRACE_SECONDS` later.

    PyTorch's own watch over the main process looks at the process that forked the worker, here the fork server, which
    in turn lives as long as its workers.
    """
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE):
        signal.signal(number, signal.SIG_DFL)  # PyTorch prints a line there; the main process names the video as well
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # in threads that are started later too
    for watch in (_end_with_main_process, _end_after_sigterm):
        threading.Thread(target=watch, daemon=True).start()


def _end_with_main_process() -> None:
    parent = parent_process()
    assert parent is not None, "runs in a worker"
    wait([parent.sentinel])
    os._exit(1)


def _end_after_sigterm() -> None:
    signal.sigwait({signal.SIGTERM})
    time.sleep(GRACE_SECONDS)
    os._exit(1)
