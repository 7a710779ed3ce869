"""Made-up windows, and a process that writes some."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from side4video.search.records import IndexedFile, IndexInfo, Window

NUM_FRAMES, WIDTH = 3, 8
INFO = IndexInfo("runs/some", "abc", "wti", NUM_FRAMES, WIDTH, 10.0, 2.0, "0.1.0")


def normalised(numbers):
    return numbers / np.linalg.norm(numbers, axis=-1, keepdims=True)


def make_windows(path, count=1, *, seed=0, **metadata):
    """Windows of one video, random but for the path and the metadata."""
    generator = np.random.default_rng((seed, *os.fsencode(path)))
    file = IndexedFile(path, f"{seed:064x}", 1234, 1_700_000_000_123_456_789, 8.0 * count + 2, metadata)
    windows = []
    for number in range(count):
        frames = normalised(generator.standard_normal((NUM_FRAMES, WIDTH), np.float32))
        weights = generator.random(NUM_FRAMES, np.float32)
        seconds = 8 * number + np.arange(NUM_FRAMES, dtype=np.float32)
        mean = normalised(frames.mean(axis=0))
        windows.append(
            Window(
                file,
                number,
                8.0 * number,
                8.0 * number + 10,
                frames.astype(np.float16),
                weights / weights.sum(),
                seconds,
                mean,
            )
        )
    return windows


def windows_of(store, path):
    """All windows of one video."""
    (windows,) = store.windows_of([path])
    return windows


def assert_same_windows(found, expected):
    assert [(window.file, window.number) for window in found] == [(window.file, window.number) for window in expected]
    for own, other in zip(found, expected, strict=True):
        assert (own.start_seconds, own.end_seconds) == (other.start_seconds, other.end_seconds)
        for name in ("frames", "frame_weights", "frame_seconds", "mean"):
            np.testing.assert_array_equal(getattr(own, name), getattr(other, name), err_msg=name)
            assert getattr(own, name).dtype == getattr(other, name).dtype


def num_windows(path, seed):
    """How many windows the writing process gives a video."""
    return 1 + (len(path) + seed) % 4


def number_of(path):
    return int(Path(path).stem)


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


class Writer:
    """A process that writes until it is killed."""

    def __init__(self, address, *, videos=3, seed=0, prefix="/videos/"):
        self.prefix = prefix
        source = Path(__file__).parents[2] / "src"
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(address), str(videos), str(seed), prefix],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        )
        assert self.process.stdout.readline() == "open\n"

    def close(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def kill(self):
        """End it at once; (path, seed) of the changes that it finished, and of the one that it was at, if any."""
        self.process.send_signal(signal.SIGKILL)
        lines = [line.split() for line in self.process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
        self.process.wait()
        self.process.stdout.close()
        done = {path: int(seed) for word, path, seed in lines if word == "done"}
        open_change = lines[-1] if lines and lines[-1][0] == "begin" else None
        last = max([int(seed) for _, _, seed in lines], default=0)
        return done, (open_change[1], int(open_change[2])) if open_change else None, last


if __name__ == "__main__":
    write_for_ever(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
