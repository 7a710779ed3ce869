"""A process that writes windows until it is killed; as a script it is that process."""

import os
import signal
import sys
import time

from search.windows import INFO, make_windows, num_windows, windows_of
from warm_process import wait_until


class Writer:
    """A running writer process.

    Args:
        warm: a `WarmProcess`.
        address: of the index.
        videos: how many it writes, one after the other.
        seed: the first that it does not use.
        prefix: of the videos' paths.
    """

    def __init__(self, warm, address, *, videos=3, seed=0, prefix="/videos/"):
        self.prefix = prefix
        self._run = warm.start(address, videos, seed, prefix, script=__file__, environment=os.environ)
        wait_until(lambda: "open\n" in self._run.said() or self._run.poll() is not None, every_seconds=0.01)

    def pause(self, seconds):
        """Stop the process, and continue it later."""
        self._run.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._run.send_signal(signal.SIGCONT)

    def kill(self):
        """Kill it; return (path, seed) of the finished changes, of the one in progress, and the last seed."""
        self._run.kill()
        _, said = self._run.finish()
        assert "open\n" in said, said
        assert "Traceback" not in said, said
        lines = [line.split() for line in said.splitlines(keepends=True) if line.endswith("\n")]
        changes = [line for line in lines if line[0] in {"begin", "done"}]
        done = {path: int(seed) for word, path, seed in changes if word == "done"}
        at = (changes[-1][1], int(changes[-1][2])) if changes and changes[-1][0] == "begin" else None
        return done, at, max([int(seed) for _, _, seed in changes], default=0)


def write_for_ever(address, videos, seed, prefix):
    """Replace one video after the other by its next state, and print each finished change."""
    from side4video.search.stores.open_store import open_store

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
            count = 0 if seed % 5 == 4 and number % 2 else num_windows(path, seed)
            store.replace([path], make_windows(path, count, seed=seed))
            print("done", path, seed, flush=True)
            found = [int(window.file.content, 16) for window in windows_of(store, path)]
            assert found == [seed] * count, (path, seed, found)


if __name__ == "__main__":
    write_for_ever(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
