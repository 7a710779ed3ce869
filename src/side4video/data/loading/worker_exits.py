"""Why worker processes ended, from their exit codes and the system's counters."""

import signal
from pathlib import Path

_CRASHES = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL")
_WINDOWS_CRASHES = {
    0xC0000005: "access violation",
    0xC000001D: "illegal instruction",
    0xC0000094: "integer division by zero",
    0xC00000FD: "stack overflow",
    0xC0000374: "heap corruption",
    0xC0000409: "stack buffer overrun",
}
"""Exit codes of processes that Windows ends because of an error in native code."""
IMPORTED_UNGUARDED = 79
"""Exit code of a worker whose program would start processes while the worker imports it."""
TERMINATED = 128 + signal.SIGTERM
"""Exit code of a worker some time after SIGTERM, which it ignores at first."""
_COUNTERS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))
"""Files of Linux with the number of processes that were killed because memory ran out: of the container, of all."""


def count_memory_kills() -> int:
    """Processes that the system has killed so far because memory ran out; 0 where the system does not count them.

    >>> count_memory_kills() >= 0
    True
    """
    for path in _COUNTERS:
        try:
            counters = dict(line.split() for line in path.read_text(encoding="utf-8").splitlines())
        except (OSError, ValueError):
            continue
        if "oom_kill" in counters:
            return int(counters["oom_kill"])
    return 0


def describe_exit(code: int | None) -> str:
    """Describe how a process ended, from its exit code in `multiprocessing`.

    >>> describe_exit(-9), describe_exit(1), describe_exit(None)
    ('SIGKILL', 'exit code 1', 'still running')
    """
    if code is None:
        return "still running"
    if code == TERMINATED:
        return "SIGTERM"
    if code >= 0:
        return _WINDOWS_CRASHES.get(code, f"exit code {code}")
    names = {int(number): number.name for number in signal.Signals}
    return names.get(-code, f"signal {-code}")


def is_crash(code: int) -> bool:
    """Whether an exit code is that of a crash in native code, such as a decoder; other signals come from outside.

    >>> is_crash(-11), is_crash(-9), is_crash(1), is_crash(0xC0000005)
    (True, False, False, True)
    """
    return code in _WINDOWS_CRASHES or describe_exit(code) in _CRASHES


def explain_exit(code: int, *, has_read: bool, memory_kills: int) -> str:
    """The likely cause of a worker's end and the remedy, in a sentence or two.

    >>> explain_exit(-9, has_read=True, memory_kills=1)
    'The system killed it because memory ran out. Use fewer workers (--data.workers).'

    Args:
        code: exit code, negative for signals.
        has_read: whether the worker had begun to read a video.
        memory_kills: processes that the system killed for memory since the workers were started.
    """
    name = describe_exit(code)
    if name == "SIGTERM":
        return "Another program or a person ended it with SIGTERM. Start the command again."
    if name == "SIGKILL" and memory_kills:
        return "The system killed it because memory ran out. Use fewer workers (--data.workers)."
    if name == "SIGKILL":
        return (
            "Another program killed it; some systems do that when memory runs out. Start the command again, with fewer "
            "workers (--data.workers) if memory is short."
        )
    if is_crash(code):
        return "A library crashed in it, at no particular video. Check that `python -c 'import av, torch'` works."
    if code < 0:
        return "Another program ended it with this signal. Start the command again."
    if not has_read:
        return (
            "Its own error is printed above. Check that another process can import "
            'the program, whose work must be below `if __name__ == "__main__":`.'
        )
    return (
        "A library in it ended the process; any message of it is printed above. Leave out the video, or use workers 0."
    )
