"""Where an output goes: a file behind links, or a stream: standard output, a pipe or a device."""

import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, TextIO

STANDARD_OUTPUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
_OUTPUT_FLAGS = ("--json", "--csv")
_DESCRIPTOR = re.compile(r"/(?:dev|proc/self)/fd/(\d+)", re.ASCII)

_redirected: list[TextIO] = []


def is_stream(path: Path) -> bool:
    """Whether a path is standard output (`-`), a pipe, a socket or a device, which cannot be replaced by a file.

    >>> is_stream(Path("-")), is_stream(Path("/dev/null")), is_stream(Path("result.json"))
    (True, True, False)
    """
    if str(path) in (*STANDARD_OUTPUT, "/dev/stderr") or _DESCRIPTOR.fullmatch(str(path)):
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def follow_links(path: Path) -> Path:
    """The path that a symbolic link points to, which may not exist yet; other paths are returned unchanged."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def copy_to_stream(source: Path, path: Path) -> None:
    """Write the content of a file to a stream, see `is_stream`. A named pipe waits for its reader."""
    with source.open("rb") as file, _open_stream(path) as stream:
        shutil.copyfileobj(file, stream)
        stream.flush()


def standard_output() -> TextIO:
    """The standard output, also inside `messages_to_stderr`."""
    return _redirected[-1] if _redirected else sys.stdout


@contextmanager
def messages_to_stderr() -> Iterator[None]:
    """Print to standard error, so that standard output holds only what is written to `-`."""
    _redirected.append(sys.stdout)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _redirected.pop()


def writes_to_standard_output(arguments: Sequence[str]) -> bool:
    """Whether the arguments of a command name standard output as a file for results.

    >>> writes_to_standard_output(["index", "a dog", "--json", "-"]), writes_to_standard_output(["adapter", "-"])
    (True, False)
    """
    pairs = [*pairwise(arguments), *(argument.split("=", 1) for argument in arguments)]
    return any(pair[0] in _OUTPUT_FLAGS and pair[-1] in STANDARD_OUTPUT for pair in pairs)


@contextmanager
def _open_stream(path: Path) -> Iterator[BinaryIO]:
    if str(path) in STANDARD_OUTPUT:
        output = standard_output()
        output.flush()
        yield output.buffer
        return
    number = re.fullmatch(_DESCRIPTOR, "/dev/fd/2" if str(path) == "/dev/stderr" else str(path))
    # A descriptor of a regular file keeps its position; opening its path again would overwrite what it holds.
    with os.fdopen(os.dup(int(number[1])), "wb") if number else path.open("wb") as stream:
        yield stream
