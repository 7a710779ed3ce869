"""Real runs in processes of their own that start in a fraction of a second: forks of one that has imported everything.

As a script it is that process: it reads one request per line, forks, and answers with the process id and, in a second
line, with how it ended.
"""

import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path


class WarmProcess:
    """Starts runs; use as a context. Each run is a process group of its own.

    Args:
        log: a file for what a run says.
        preload: further modules to import once; none that starts threads, which no fork would have.
    """

    def __init__(self, log, *, preload=()):
        self.log, self._preload = Path(log), preload

    def __enter__(self):
        self.log.touch()
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self.log), *self._preload],
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

    def start(self, *arguments, file_size_limit=None):
        """Begin `side4video ARGUMENTS`; returns the process id."""
        self.log.write_text("")
        request = {"arguments": [str(argument) for argument in arguments], "file_size_limit": file_size_limit}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def finish(self):
        """Wait for its end; returns the exit code, negative for a signal, and what it said."""
        return int(self._process.stdout.readline()), self.log.read_text()

    def run(self, *arguments, **options):
        self.start(*arguments, **options)
        return self.finish()


def wait_until(ready, *, seconds=120, every_seconds=0.002):
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(every_seconds)


def child(request, log):
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    if (limit := request["file_size_limit"]) is not None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    from side4video.cli import main

    sys.exit(main(request["arguments"]))


def serve(log_path, *preload):
    import side4video.cli
    import side4video.memory.command
    import side4video.run_report
    import side4video.training.loop  # noqa: F401

    for module in preload:
        import_module(module)
    print("ready", flush=True)
    for line in sys.stdin:
        log = os.open(log_path, os.O_WRONLY | os.O_APPEND)
        process = os.fork()
        if process == 0:
            child(json.loads(line), log)
        os.close(log)
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
