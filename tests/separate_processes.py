"""Processes of one run, launched separately as on different machines, without a supervisor."""

import os
import socket
import subprocess
import sys
import time

from warm_process import WarmRun


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class SeparateProcesses:
    """`side4video ARGUMENTS` as `world` processes that join at an address; use it as a context manager.

    Args:
        folder: of their output.
        arguments: of the command.
        world: processes.
        address, interface: where they join.
        prefixes: words before the command of each, which put it on a machine of its own.
        script: run in place of the command line.
        warm: a `WarmProcess` that starts them; without it each imports everything anew, as for users.
    """

    def __init__(
        self,
        folder,
        arguments,
        *,
        world,
        address="127.0.0.1",
        interface="lo",
        prefixes=None,
        script=None,
        warm=None,
    ):
        port = free_port()
        self._program = [sys.executable, *(["-m", "side4video"] if script is None else [str(script)])]
        self._program += map(str, arguments)
        self.processes, self._logs = [], [folder / f"process-{rank}-{port}.txt" for rank in range(world)]
        for rank in range(world):
            environment = {
                "RANK": rank,
                "WORLD_SIZE": world,
                "LOCAL_RANK": rank,
                "MASTER_ADDR": address,
                "MASTER_PORT": port,
                "GLOO_SOCKET_IFNAME": interface,
                "OMP_NUM_THREADS": 1,
            }
            if warm is None:
                process = self._start(rank, prefixes[rank] if prefixes else (), environment)
            else:
                process = warm.start(*arguments, script=script, environment=environment)
            self.processes.append(process)

    def _start(self, rank, prefix, environment):
        with self._logs[rank].open("w") as file:
            return subprocess.Popen(
                [*prefix, *self._program],
                stdout=file,
                stderr=subprocess.STDOUT,
                env=os.environ | {name: str(value) for name, value in environment.items()},
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()

    def wait(self, rank, *, seconds=120):
        """The exit code of one, and how long it took to come."""
        started = time.monotonic()
        return self.processes[rank].wait(timeout=seconds), time.monotonic() - started

    def said(self, rank):
        process = self.processes[rank]
        return process.said() if isinstance(process, WarmRun) else self._logs[rank].read_text()

    def finish(self):
        """Wait until all have ended successfully."""
        for rank in range(len(self.processes)):
            code, _ = self.wait(rank, seconds=150)
            assert code == 0, self.said(rank)[-3000:]
