"""What consoles differ in: the characters that they can print, how their shell quotes words, and closed pipes.

Code pages of Windows have a few hundred characters.
"""

import errno
import io
import os
import select
import sys
from collections.abc import Sequence
from typing import IO

SYSTEM = os.name

CLOSED_OUTPUT = 128 + 13
"""Exit code if the reader of standard output or error closed it: that of programs which SIGPIPE ends."""


def has_all_characters(file: IO[str]) -> bool:
    """Whether a text file or console can express every character.

    >>> has_all_characters(io.TextIOWrapper(io.BytesIO(), "utf-8"))
    True
    >>> has_all_characters(io.TextIOWrapper(io.BytesIO(), "cp1252"))
    False
    """
    return (getattr(file, "encoding", None) or "utf-8").lower().startswith(("utf", "u8"))


def escape_what_the_console_lacks() -> None:
    r"""Print characters that the encoding of standard output and error lacks as escapes such as `\u6f22`.

    Progress bars and tables then use ASCII: the libraries that draw them look at the encoding.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not has_all_characters(stream):
            stream.reconfigure(errors="backslashreplace")


def silence_closed_outputs() -> bool:
    """Whether the reader of standard output or error has closed its pipe, as `head` does. Such a stream is discarded.

    What was printed to it and is still buffered then causes no error when the process exits.
    """
    closed = [stream for stream in (sys.stdout, sys.stderr) if stream is not None and _is_closed_pipe(stream)]
    for stream in closed:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    return bool(closed)


def _is_closed_pipe(stream: IO[str]) -> bool:
    try:
        stream.flush()
        if hasattr(select, "poll"):  # a failed write of many bytes leaves nothing to flush
            poll = select.poll()
            poll.register(stream.fileno(), 0)
            return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
    except OSError as error:  # Windows: EINVAL
        return error.errno in (errno.EPIPE, errno.EINVAL)
    except ValueError:  # closed by this process
        return False
    return False


def shell_words(words: Sequence[str]) -> str:
    """The words of a command as one line, quoted as the shell of this system reads it.

    >>> shell_words(["--data.train", "my clips/train.csv"])
    "--data.train 'my clips/train.csv'"
    """
    if SYSTEM == "nt":  # cmd.exe and PowerShell take no single quotes from `shlex`
        from subprocess import list2cmdline

        return list2cmdline(words)
    from shlex import join

    return join(words)
