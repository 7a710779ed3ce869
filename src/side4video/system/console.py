"""Characters that a console or a redirected output cannot print: code pages of Windows have a few hundred."""

import io
import sys
from typing import IO


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
