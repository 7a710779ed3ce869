"""Real runs in processes of their own that start in a fraction of a second: forks of one that has imported everything.

As a script it is that process: it reads a request per line and answers each in a line: `start` with the process id, and
`poll` with how a process ended, or null while it has not.
"""

import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
from importlib import import_module
from multiprocessing import forkserver, util
from pathlib import Path

IMPORTED_BY_COMMANDS = (
    "side4video.checking.command",
    "side4video.memory.command",
    "side4video.models.retrieval_model",
    "side4video.reports.run_report",
    "side4video.search.indexing",
    "side4video.selection.run",
    "side4video.sharing.model_card",
    "lance_namespace",
    "qdrant_client",
)
"""Nothing that starts threads, which no fork would have: of LanceDB only its slow part."""


class WarmProcess:
    """Starts runs; use it as a context manager.

    Args:
        folder: for the output of the runs.
    """

    def __init__(self, folder):
        self._folder, self._started = Path(folder), 0

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        assert self._process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def start(self, *arguments, script=None, environment=None, file_size_limit=None, more_memory=None):
        """Start `side4video ARGUMENTS` in its own process group.

        Args:
            arguments: of the command line.
            script: a Python file to run in place of it.
            environment: variables to set.
            file_size_limit: bytes that a file may have.
            more_memory: bytes of addresses that it may take beside those that it has after its imports (Linux).
        """
        self._started += 1
        log = self._folder / f"run-{self._started}.txt"
        log.touch()
        process = self.ask(
            "start",
            log=str(log),
            arguments=[str(argument) for argument in arguments],
            script=None if script is None else str(script),
            environment={name: str(value) for name, value in (environment or {}).items()},
            file_size_limit=file_size_limit,
            more_memory=more_memory,
        )
        return WarmRun(self, process, log)

    def run(self, *arguments, **options):
        """Start a run and wait for its end; return the exit code and the output."""
        return self.start(*arguments, **options).finish()

    def ask(self, question, **about):
        self._process.stdin.write(json.dumps({"question": question, **about}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


class WarmRun:
    """A run that was started; has what `subprocess.Popen` has."""

    def __init__(self, parent, pid, log):
        self.pid, self._parent, self._log, self._code = pid, parent, log, None

    def poll(self):
        """The exit code, negative for a signal; None while it runs."""
        if self._code is None:
            self._code = self._parent.ask("poll", process=self.pid)
        return self._code

    def wait(self, timeout=300):
        wait_until(lambda: self.poll() is not None, seconds=timeout, every_seconds=0.02)
        return self._code

    def said(self):
        return self._log.read_text()

    def finish(self):
        """Wait for the end; return the exit code and the output."""
        return self.wait(), self.said()

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def wait_until(ready, *, seconds=120, every_seconds=0.002):
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(every_seconds)


def child(request):
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.update(request["environment"])
    tempfile.tempdir = None  # the variables may name another folder
    util.spawnv_passfds = start_program
    set_limits(request["file_size_limit"], request["more_memory"])
    if request["script"] is not None:
        sys.argv = [request["script"], *request["arguments"]]
        runpy.run_path(request["script"], run_name="__main__")
        sys.exit()
    from side4video.cli import main

    sys.exit(main(request["arguments"]))


def start_program(program, arguments, descriptors, *, spawn=util.spawnv_passfds):
    """`multiprocessing.util.spawnv_passfds`, but a fork server is a fork of this run, which has imported everything."""
    if "multiprocessing.forkserver" not in arguments[-1]:
        return spawn(program, arguments, descriptors)
    process = os.fork()
    if process == 0:
        try:
            forget_the_run(descriptors)
            exec(arguments[-1], {})
        finally:
            os._exit(0)
    return process


def forget_the_run(kept):
    """Lose what a new program would not have: locks that are held, open files, handlers of signals."""
    forkserver._forkserver._lock = threading.Lock()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        if descriptor > 2 and descriptor not in kept:  # a number that is free goes to another file, and the object
            os.dup2(nothing, descriptor)  # that had it before would close that one
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def set_limits(file_size, more_memory):
    import resource

    if file_size is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    if more_memory is not None:
        import torch

        torch.ones(
            1, requires_grad=True
        ).sum().backward()  # starts autograd's threads, which reserve 600 MB of addresses
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + more_memory
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def serve():
    import torch._dynamo
    import torch._subclasses.fake_tensor  # noqa: F401

    from side4video.cli import COMMANDS

    commands = (f"side4video.commands.{name.replace('-', '_')}" for name in COMMANDS)
    for module in (*commands, *IMPORTED_BY_COMMANDS):
        import_module(module)
    gc.freeze()  # the runs need not look for garbage among what was imported
    print("ready", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if request["question"] == "start":
            answer = os.fork()
            if answer == 0:
                child(request)
        else:
            ended, status = os.waitpid(request["process"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if ended else None
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    serve()
