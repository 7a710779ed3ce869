"""Memory of this process, and a limit for it."""

import re
import sys
from pathlib import Path

import psutil


def resident_bytes() -> int:
    """Bytes of this process in memory now."""
    return psutil.Process().memory_info().rss


def peak_bytes() -> int:
    """Largest number of bytes that this process had in memory.

    Linux states it in a file; `getrusage` reports the size of the parent process there if that was larger.

    >>> peak_bytes() > 1_000_000
    True
    """
    now = psutil.Process().memory_info()
    if (peak := getattr(now, "peak_wset", None)) is not None:  # Windows
        return peak
    status = Path("/proc/self/status")
    if status.is_file() and (
        found := re.search(r"^VmHWM:\s*(\d+) kB", status.read_text(encoding="utf-8"), re.MULTILINE)
    ):
        return 1024 * int(found[1])
    try:
        import resource
    except ImportError:  # a system that reports no peak
        return now.rss
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)  # KiB


def limit_memory(num_bytes: int) -> None:
    """Let this process allocate `num_bytes` more than it has now; only Linux and FreeBSD can limit it."""
    process = psutil.Process()
    if hasattr(process, "rlimit"):
        limit = process.memory_info().vms + num_bytes
        process.rlimit(psutil.RLIMIT_AS, (limit, limit))
