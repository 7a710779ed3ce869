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


def test_each_item_gives_one_result():
    items = [("give", number) for number in range(30)]
    found = list(run_with_timeout(work, items, processes=3, seconds=20))
    assert sorted(found) == [(number, number) for number in range(30)]


def test_no_items_start_no_processes():
    assert run([]) == {}


def test_one_process_does_all_items():
    assert len(set(run([("process", None)] * 20, processes=1).values())) == 1


def test_hanging_item_times_out_and_others_finish():
    start = time.monotonic()
    found = run([("sleep", 600), *[("give", number) for number in range(1, 6)], ("sleep", 600)], seconds=1)
    assert time.monotonic() - start < 60
    assert [found[position] for position in range(1, 6)] == [1, 2, 3, 4, 5]
    for position in (0, 6):
        assert found[position] == FailedItem("time-out", "no result after 1 seconds; the process was killed.")


def test_timed_out_process_is_killed():
    answers = run_with_timeout(work, [("process", None), ("sleep", 600)], processes=1, seconds=1)
    (_, process), (_, lost) = answers
    assert isinstance(lost, FailedItem)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_crashed_process_is_replaced_and_its_item_reported():
    found = run([("die", None), ("give", 1), ("die", None), ("give", 3)], processes=1)
    assert (found[1], found[3]) == (1, 3)
    for position in (0, 2):
        assert found[position].kind == "crash"
        assert found[position].reason == "the decoder process died (SIGSEGV)."


def test_exception_is_reported_and_others_finish():
    assert run([("raise", "x"), ("give", 1)], processes=1) == {0: FailedItem("crash", "KeyError: 'x'"), 1: 1}


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not report the memory of a process")
def test_memory_limit():
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
