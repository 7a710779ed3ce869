"""Processes that write windows until they are killed: forks of one that has imported what takes long.

As a script it is that process: it reads one request per line, forks, and answers with the process id.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from search.windows import INFO, make_windows, num_windows
from warm_process import wait_until


class WriterProcesses:
    """Starts writers; use as a context.

    Args:
        folder: for what they say.
    """

    def __init__(self, folder):
        self._folder, self._count = folder, 0

    def __enter__(self):
        folders = [Path(__file__).parents[1], Path(__file__).parents[2] / "src", os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders)), "OMP_NUM_THREADS": "1"},
        )
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def start(self, address, *, videos=3, seed=0, prefix="/videos/"):
        """A `Writer` at its work."""
        self._count += 1
        log = self._folder / f"{self._count}.txt"
        log.touch()
        request = {"log": str(log), "environment": dict(os.environ), "arguments": [address, videos, seed, prefix]}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        writer = Writer(int(self._process.stdout.readline()), log, prefix)
        wait_until(lambda: "open\n" in log.read_text())
        return writer


class Writer:
    """A process that writes until it is killed.

    Args:
        process: its id.
        log: where it says what it does.
        prefix: of the paths that it writes.
    """

    def __init__(self, process, log, prefix):
        self._process, self._log, self.prefix = process, log, prefix

    def close(self):
        with suppress(ProcessLookupError):
            while True:  # it is gone when there is no such process any more
                os.kill(self._process, signal.SIGKILL)

    def kill(self):
        """End it at once; (path, seed) of the changes that it finished, the one that it was at, and the last seed."""
        self.close()
        said = self._log.read_text()
        assert "Traceback" not in said, said
        lines = [line.split() for line in said.splitlines(keepends=True) if line.endswith("\n")]
        changes = [line for line in lines if line[0] in {"begin", "done"}]
        done = {path: int(seed) for word, path, seed in changes if word == "done"}
        at = (changes[-1][1], int(changes[-1][2])) if changes and changes[-1][0] == "begin" else None
        return done, at, max([int(seed) for _, _, seed in changes], default=0)


def write_for_ever(address, videos, seed, prefix):
    """Replace one video after the other by its next state, and say so when it is done."""
    from side4video.search.stores import open_store

    store = open_store(address, create=True)
    store.write_info(INFO)
    print("open", flush=True)
    while True:
        seed += 1
        if seed % 3 == 2:
            store.optimise()
        for number in range(videos):
            path = f"{prefix}{number}.mp4"
            print("begin", path, seed, flush=True)
            if seed % 5 == 4 and number % 2:
                store.replace([path], [])
            else:
                store.replace([path], make_windows(path, num_windows(path, seed), seed=seed))
            print("done", path, seed, flush=True)


def serve():
    import lance_namespace  # noqa: F401  of LanceDB, and slow; LanceDB itself starts a thread, which no fork would have
    import pyarrow  # noqa: F401
    import qdrant_client  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # what has ended is gone at once
    for line in sys.stdin:
        request = json.loads(line)
        process = os.fork()
        if process == 0:
            log = os.open(request["log"], os.O_WRONLY | os.O_APPEND)
            for descriptor in (1, 2):
                os.dup2(log, descriptor)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.environ.update(request["environment"])
            write_for_ever(*request["arguments"])
        print(process, flush=True)


if __name__ == "__main__":
    serve()
