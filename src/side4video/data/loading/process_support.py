"""Whether this program can start worker processes, and the warning if videos are read in this process instead."""

import sys
from functools import cache
from multiprocessing import current_process
from pathlib import Path

UNGUARDED = (
    'the program has no `if __name__ == "__main__":` around the part that starts them, so that each process would run '
    "all of it again. Add that line"
)
"""Why a program without a main guard cannot start processes: each imports the program's file."""
DAEMON = (
    "it is a daemon process of multiprocessing, as in Celery's prefork pool or in Airflow, which may not start any. "
    "Use a pool of threads, or a process that is no daemon"
)
STANDARD_INPUT = "the program comes from standard input, which they cannot read again. Save it in a file"


def why_no_processes() -> str | None:
    """Why this program cannot start worker processes, with the remedy; None if nothing is known against it.

    >>> why_no_processes() is None
    True
    """
    if current_process().daemon:
        return DAEMON
    program = sys.modules.get("__main__")
    path = getattr(program, "__file__", None)
    if path is None or getattr(getattr(program, "__spec__", None), "name", "").endswith("__main__"):
        return None  # interactive, `python -c` or `python -m package`: multiprocessing imports nothing of these
    try:
        source = Path(path).read_bytes()
    except OSError:
        return STANDARD_INPUT if Path(path).name == "<stdin>" else None
    return UNGUARDED if b"__name__" not in source else None


def is_importing_main() -> bool:
    """Whether this is a new worker process that imports the program: then it must start no process of its own."""
    return getattr(current_process(), "_inheriting", False)


@cache
def warn_about_reading_here(reason: str) -> None:
    """Print the reason once on standard error."""
    print(
        "warning: videos are read in this process, one after the other and without a timeout. Loader processes cannot "
        f"be started: {reason}, or set workers to 0 to read here without this warning.",
        file=sys.stderr,
    )
