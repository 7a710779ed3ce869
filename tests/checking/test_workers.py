import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from side4video.checking.workers import FailedItem, run_with_timeout


def work(item):
    what, value = item
    if what == "sleep":
        time.sleep(value)
    elif what == "die":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif what == "raise":
        raise KeyError(value)
    elif what == "allocate":
        return len(np.ones(value, np.uint8))
    elif what == "process":
        return os.getpid()
    return value


def run(items, **settings):
    return dict(run_with_timeout(work, items, **{"processes": 2, "seconds": 20, **settings}))


def test_each_item_gives_its_result_once():
    items = [("give", number) for number in range(30)]
    found = list(run_with_timeout(work, items, processes=3, seconds=20))
    assert sorted(found) == [(number, number) for number in range(30)]


def test_no_items_no_processes():
    assert run([]) == {}


def test_one_process_does_all_where_one_is_asked_for():
    assert len(set(run([("process", None)] * 20, processes=1).values())) == 1


def test_an_item_that_hangs_is_ended_and_the_others_are_done():
    start = time.monotonic()
    found = run([("sleep", 600), *[("give", number) for number in range(1, 6)], ("sleep", 600)], seconds=1)
    assert time.monotonic() - start < 60
    assert [found[position] for position in range(1, 6)] == [1, 2, 3, 4, 5]
    for position in (0, 6):
        assert found[position] == FailedItem("time-out", "no result after 1 seconds; the process was killed.")


def test_the_ended_process_is_gone():
    answers = run_with_timeout(work, [("process", None), ("sleep", 600)], processes=1, seconds=1)
    (_, process), (_, lost) = answers
    assert isinstance(lost, FailedItem)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_process_that_dies_is_replaced_and_the_item_named():
    found = run([("die", None), ("give", 1), ("die", None), ("give", 3)], processes=1)
    assert (found[1], found[3]) == (1, 3)
    for position in (0, 2):
        assert found[position].kind == "crash"
        assert found[position].reason == "the decoder process died (SIGSEGV)."


def test_an_error_in_the_work_is_told_and_ends_nothing_else():
    assert run([("raise", "x"), ("give", 1)], processes=1) == {0: FailedItem("crash", "KeyError: 'x'"), 1: 1}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not say what a process has")
def test_memory_is_bounded():
    found = run([("allocate", 2**30), ("allocate", 2**20)], memory_bytes=2**28, processes=1)
    assert found[1] == 2**20
    assert found[0].kind == "crash"
    assert "MemoryError" in found[0].reason


def test_stopping_early_leaves_no_process():
    answers = run_with_timeout(work, [("process", None), *[("sleep", 600)] * 5], processes=1, seconds=20)
    _, process = next(answers)
    answers.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
