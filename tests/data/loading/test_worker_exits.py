"""Why worker processes ended: names of exit codes, and the likely cause with a remedy."""

import signal

import pytest

from side4video.data.loading.worker_exits import TERMINATED, count_memory_kills, describe_exit, explain_exit, is_crash


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (-11, "SIGSEGV"),
        (-9, "SIGKILL"),
        (-40, "signal 40"),
        (0, "exit code 0"),
        (3, "exit code 3"),
        (TERMINATED, "SIGTERM"),
        (None, "still running"),
        (3221225477, "access violation"),  # 0xC0000005, STATUS_ACCESS_VIOLATION of Windows
    ],
)
def test_exit_codes_have_names(code, name):
    assert describe_exit(code) == name


@pytest.mark.parametrize(
    ("code", "crash"),
    [
        (-11, True),
        (-6, True),
        (-9, False),
        (-15, False),
        (0, False),
        (1, False),
        (3221225477, True),
        (3221225786, False),
    ],
)  # the last is 0xC000013A, STATUS_CONTROL_C_EXIT
def test_crashes_are_told_from_other_ends(code, crash):
    assert is_crash(code) == crash


@pytest.mark.parametrize(
    ("code", "has_read", "memory_kills", "cause"),
    [
        (-signal.SIGTERM, True, 0, "ended it with SIGTERM"),
        (TERMINATED, True, 3, "ended it with SIGTERM"),
        (-signal.SIGKILL, True, 1, "The system killed it because memory ran out"),
        (-signal.SIGKILL, True, 0, "Another program killed it"),
        (-signal.SIGSEGV, True, 0, "A library crashed in it"),
        (-signal.SIGUSR2, True, 0, "ended it with this signal"),
        (1, False, 0, "Its own error is printed above"),
        (1, True, 0, "A library in it ended the process"),
    ],
)
def test_each_end_has_its_own_cause(code, has_read, memory_kills, cause):
    assert cause in explain_exit(code, has_read=has_read, memory_kills=memory_kills)


def test_only_a_counted_kill_blames_memory_alone():
    others = [explain_exit(code, has_read=True, memory_kills=0) for code in (-signal.SIGTERM, TERMINATED, -11, -10, 1)]
    assert not any("memory" in text for text in others)


def test_the_counter_of_the_system_never_falls():
    assert 0 <= count_memory_kills() <= count_memory_kills()
