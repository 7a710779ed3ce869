"""Memory of a process, compared with what it allocates."""

import multiprocessing

import pytest

from side4video.system.memory import limit_memory, peak_bytes, resident_bytes
from side4video.system.start_method import start_method

SIZE = 200_000_000


def measure(pipe):
    before = resident_bytes(), peak_bytes()
    block = bytearray(SIZE)
    during = resident_bytes()
    del block
    pipe.send((before, during, resident_bytes(), peak_bytes()))


def allocate(pipe, limit, size):
    limit_memory(limit)
    try:
        bytearray(size)
    except MemoryError:
        pipe.send("refused")
    else:
        pipe.send("granted")


def answer(function, *arguments):
    context = multiprocessing.get_context(start_method())
    here, there = context.Pipe()
    process = context.Process(target=function, args=(there, *arguments))
    process.start()
    try:
        return here.recv()
    finally:
        process.join()


def test_the_peak_stays_after_memory_is_freed():
    (before, peak_before), during, after, peak = answer(measure)
    assert before <= peak_before
    assert during - before == pytest.approx(SIZE, rel=0.1)
    assert after - before < SIZE / 10
    assert peak - peak_before > 0.9 * SIZE - (peak_before - before)


def test_memory_above_the_limit_is_refused():
    assert answer(allocate, SIZE, 2 * SIZE) == "refused"
    assert answer(allocate, 4 * SIZE, 2 * SIZE) == "granted"
