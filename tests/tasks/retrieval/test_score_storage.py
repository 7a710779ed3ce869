"""Storage of scores: in memory or in a temporary file, and never more than the free disk space."""

import os
from pathlib import Path

import numpy as np
import pytest

from side4video.tasks.retrieval.score_storage import empty_scores, row_chunks


def test_small_matrices_are_in_memory(tmp_path):
    scores = empty_scores(10, 20, in_memory_bytes=800, folder=tmp_path)
    assert (type(scores), scores.shape, scores.dtype) == (np.ndarray, (10, 20), np.float32)


def test_large_matrices_are_in_an_unnamed_file(tmp_path):
    scores = empty_scores(10, 20, in_memory_bytes=799, folder=tmp_path)
    assert (type(scores), scores.shape, scores.dtype) == (np.memmap, (10, 20), np.float32)
    assert not list(tmp_path.iterdir())
    scores[3] = 1.5
    assert scores.sum() == 30


def test_the_space_is_freed_with_the_matrix(tmp_path):
    def mapped():
        return sum(str(tmp_path) in line for line in maps.read_text(encoding="utf-8").splitlines())

    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("only where /proc lists what is mapped")
    scores = empty_scores(100, 100, in_memory_bytes=0, folder=tmp_path)
    part = scores[2:4]
    del scores
    assert mapped() == 1
    del part
    assert mapped() == 0


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="space cannot be reserved on this system")
def test_too_little_space_is_an_immediate_error(tmp_path):
    with pytest.raises(OSError, match=r"scores take .* MB: more than the 0 MB allowed in memory, and too much for"):
        empty_scores(2**24, 2**24, in_memory_bytes=0, folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_chunks_cover_all_rows_and_have_at_least_one():
    assert list(row_chunks(3, 1000, chunk_bytes=1)) == [slice(0, 1), slice(1, 2), slice(2, 3)]
    assert list(row_chunks(3, 1, itemsize=4, chunk_bytes=8)) == [slice(0, 2), slice(2, 3)]
    assert list(row_chunks(0, 5)) == []
