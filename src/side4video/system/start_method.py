"""How new processes are started."""

import multiprocessing
import sys
from typing import Literal


def start_method() -> Literal["forkserver", "spawn"]:
    """Fork a small server where the system can, otherwise start a new interpreter for each process.

    Neither copies the threads of this process, which can hang its children. A fork server imports modules once for all
    processes. It is not used on macOS, whose system libraries do not support forks.

    >>> start_method() in multiprocessing.get_all_start_methods()
    True
    """
    available = multiprocessing.get_all_start_methods()
    return "forkserver" if "forkserver" in available and sys.platform != "darwin" else "spawn"
