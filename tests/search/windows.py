"""Made-up windows."""

import os
from pathlib import Path

import numpy as np

from side4video.search.stores.records import IndexedFile, IndexInfo, Window

NUM_FRAMES, WIDTH = 3, 8
INFO = IndexInfo("runs/some", "abc-def-ghi", "wti", NUM_FRAMES, WIDTH, 10.0, 2.0, "0.1.0")


def normalised(numbers):
    return numbers / np.linalg.norm(numbers, axis=-1, keepdims=True)


def make_windows(path, count=1, *, seed=0, **metadata):
    """Random windows of one video with this path and metadata."""
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
        np.testing.assert_allclose(own.mean, other.mean, atol=1e-3)  # LanceDB stores 16 bits
        for name in ("frames", "frame_weights", "frame_seconds"):
            np.testing.assert_array_equal(getattr(own, name), getattr(other, name), err_msg=name)
            assert getattr(own, name).dtype == getattr(other, name).dtype


def num_windows(path, seed):
    """Number of windows that the writer process gives a video."""
    return 1 + (len(path) + seed) % 4


def number_of(path):
    return int(Path(path).stem)
