"""What consoles differ in: the characters that they can print, and how their shell quotes words.

Code pages of Windows have a few hundred characters.
"""

import io
import os
import sys
from collections.abc import Sequence
from typing import IO

SYSTEM = os.name


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
