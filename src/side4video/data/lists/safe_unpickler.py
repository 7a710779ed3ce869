"""Read pickles of plain data without executing code in them.

A pickle is a program that may import and call anything, and the captions of MSVD are distributed as one. So only the
instructions that create numbers, text, lists, tuples and dictionaries are supported; any other one is an error.
"""

import io
import pickle
import pickletools
import re
from pathlib import Path
from typing import Any

from side4video.data.lists.text_files import DataError

PLAIN_OPCODES = re.findall(
    r"\w+",
    """
    PROTO FRAME STOP MARK POP POP_MARK DUP PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET
    NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT
    STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8
    BINBYTES SHORT_BINBYTES BINBYTES8
    EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3
    EMPTY_DICT DICT SETITEM SETITEMS
""",
)
NAMES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}
CODES = {name: code for code, name in NAMES.items()}

# The first bytes of a pickle of protocol 2 and later; or of a dictionary or list in protocols 0 and 1.
START = re.compile(rb"\x80[\x02-\x05]|[(][dl]p\d+\r?\n|[}\]]q", re.DOTALL)


class _UnsupportedPickleError(Exception):
    """An instruction that does more than create plain data."""


class _PlainInstructions(dict):
    def __missing__(self, code: int) -> Any:
        raise _UnsupportedPickleError(f"instruction {NAMES.get(code, code)}")


def _with_plain_keys(load: Any, first: int) -> Any:
    """Wrap the instruction `load`, which moves items from the stack to a dictionary: all keys must be text."""

    def load_with_plain_keys(unpickler: Any) -> None:
        # Hashing a tuple that is nested a million times would crash the process.
        if not all(isinstance(key, str) for key in unpickler.stack[first::2]):
            raise _UnsupportedPickleError("a dictionary key that is not text")
        load(unpickler)

    return load_with_plain_keys


_KNOWN = pickle._Unpickler.dispatch
_PLAIN = {CODES[name]: _KNOWN[CODES[name]] for name in PLAIN_OPCODES} | {
    CODES[name]: _with_plain_keys(_KNOWN[CODES[name]], first)
    for name, first in (("SETITEM", -2), ("SETITEMS", 0), ("DICT", 0))
}


class _PlainUnpickler(pickle._Unpickler):
    # The unpickler in Python has a table of instructions that can be reduced. The one in C has none: it calls
    # `find_class`, but not for classes given by number, and one large memo index makes it allocate gigabytes.
    dispatch = _PlainInstructions(_PLAIN)


def is_pickle(data: bytes) -> bool:
    """Whether the content of a file, or its beginning, is a pickle.

    >>> is_pickle(pickle.dumps({"video": ["a caption"]})), is_pickle(b"video,caption")
    (True, False)
    """
    return START.match(data) is not None


def load_plain_pickle(data: bytes, path: Path) -> Any:
    """Load numbers, text, lists, tuples and dictionaries from a pickle of Python 2 or 3, protocols 0 to 5.

    Text of Python 2 is decoded as UTF-8, or as Latin-1 if that fails. Nothing in the pickle is imported or called.

    Args:
        data: the pickle.
        path: file name for errors.

    Raises:
        DataError: the pickle is corrupt, or contains other instructions.

    >>> load_plain_pickle(pickle.dumps({"video": ["a caption"]}), Path("captions.pkl"))
    {'video': ['a caption']}
    """
    try:
        try:
            return _load(data, "utf-8")
        except UnicodeDecodeError:
            return _load(data, "latin-1")
    except _UnsupportedPickleError as refused:
        raise DataError(
            f"{path} is a pickle that contains more than text, numbers, lists and dictionaries ({refused}). "
            "Reading it could execute code, so it is refused. Save the captions as JSON: {id: [captions]}."
        ) from None
    except Exception as error:  # a corrupt pickle can raise any exception
        raise DataError(f"{path} is a corrupt pickle ({type(error).__name__}: {error}). Download it again.") from None


def _load(data: bytes, encoding: str) -> Any:
    return _PlainUnpickler(io.BytesIO(data), encoding=encoding).load()
