"""Read small text files: lines, JSON, XML; compare names; and the error that lists what is wrong with them."""

import codecs
import difflib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

_LINE_ENDS = " \r\xa0\u200b\ufeff"
MAX_SHOWN = 10  # examples in an error; the others are only counted
MAX_SHOWN_CHARACTERS = 200  # characters of a name or line in an error
MISSING_VALUES = frozenset({"nan", "n/a", "#n/a", "<na>", "#ref!", "#value!", "#name?", "#div/0!"})
"""What pandas and spreadsheets write for values that are missing or could not be computed, in lower case."""
_OTHER_KINDS = {  # first bytes of files that are often given by mistake
    b"PK\x03\x04": "is a ZIP archive. Unpack it and give the file inside.",
    b"\x1f\x8b": "is a gzip archive. Unpack it and give the file inside.",
    b"Rar!": "is a RAR archive. Unpack it and give the file inside.",
    b"\xd0\xcf\x11\xe0": "is a file of old Excel or Word. Save the table as CSV (in Excel: CSV UTF-8).",
    b"PAR1": "is a Parquet file. Convert it to CSV, such as with pandas: read_parquet and to_csv.",
    b"version https://git-lfs": "is a Git LFS pointer, not the file itself. Run `git lfs pull` in its repository.",
}
_ARCHIVED_TABLES = (".xlsx", ".xlsm", ".ods", ".numbers")
_SPREADSHEET = "is a spreadsheet. Save the table as CSV (in Excel: CSV UTF-8)."


_INVISIBLE = r"[\s\u200b\u200c\u2060\ufeff]+"
"""White space of any kind, signs without width, and byte order marks of files that were joined."""


class DataError(ValueError):
    """A data set is invalid. `problems` lists every problem, one sentence each.

    >>> error = DataError("a.csv has no column of paths.", "a.csv has no label in 'line 3'.")
    >>> len(error.problems)
    2
    """

    def __init__(self, *problems: str):
        super().__init__("\n".join(problems))
        self.problems = problems


def first_few(items: Iterable[object]) -> str:
    """The first ten items, and the total number if there are more: `'a', 'b', ... (27 in all)`."""
    items = list(items)
    shown = ", ".join(shorten(item) for item in items[:MAX_SHOWN])
    return shown if len(items) <= MAX_SHOWN else f"{shown}, ... ({len(items)} in all)"


def shorten(item: object) -> str:
    """Content of a file for an error: quoted, and cut if it is too long to read.

    >>> shorten("a.mp4"), len(shorten("a" * 100_000))
    ("'a.mp4'", 225)
    """
    text = str(item)
    if len(text) <= MAX_SHOWN_CHARACTERS:
        return repr(text)
    return f"{text[:MAX_SHOWN_CHARACTERS]!r}... ({len(text)} characters)"


def read_text(path: Path) -> str:
    """The text of a file, without a byte order mark and with `\\n` as line ends; see `read_bytes` and `decode_text`."""
    return decode_text(read_bytes(path), path)


def read_bytes(path: Path) -> bytes:
    """The content of a file of text. Raises `DataError` if it cannot be read, or is a spreadsheet or an archive."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Check the path.") from None
    for start, what in _OTHER_KINDS.items():
        if data.startswith(start):
            raise DataError(f"{path} {_SPREADSHEET if path.suffix.lower() in _ARCHIVED_TABLES else what}")
    return data


def is_utf16(data: bytes) -> bool:
    """Whether a text starts with the byte order mark of UTF-16."""
    return data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not data.startswith(codecs.BOM_UTF32_LE)


def decode_text(data: bytes, path: Path) -> str:
    """The text of UTF-8, or of UTF-16 with a byte order mark, as PowerShell and Excel write it.

    Raises:
        DataError: it is neither; the error names `path`.

    >>> decode_text("video,label\\r\\n".encode("utf-16"), Path("list.csv"))
    'video,label\\n'
    """
    name, encoding = ("UTF-16", "utf-16") if is_utf16(data) else ("UTF-8", "utf-8-sig")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not {name} text ({error.reason} at byte {error.start}). Save it as UTF-8 (in Excel: CSV UTF-8)."
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file without line ends and surrounding blanks. Empty lines are dropped; tabs stay."""
    return [line for _, line in read_numbered_lines(path)]


def read_numbered_lines(path: Path) -> list[tuple[int, str]]:
    """The same as `read_lines`, with the number of each line in the file, from 1; without `sep=;`, a mark of Excel."""
    # Not str.splitlines: it also splits at characters that captions and file names may contain.
    lines = enumerate(read_text(path).split("\n"), start=1)
    texts = [(number, line.strip(_LINE_ENDS)) for number, line in lines if strip_invisible(line)]
    return texts[1:] if texts and re.fullmatch(r'"?sep=.?"?', texts[0][1]) else texts


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises `DataError` if it is invalid JSON or an object has a duplicate name."""
    return parse_json(read_text(path), str(path))


def read_xml(path: Path) -> ElementTree.Element:
    """The first element of an XML file. Raises `DataError` if it is invalid XML or defines entities."""
    text = read_text(path)
    if re.search(r"<!(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise DataError(f"{path} defines XML entities, which can exhaust the memory. Remove them.")
    try:
        return ElementTree.fromstring(text.encode())
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"{path} is not XML: {error}.") from None


def parse_json(text: str, source: str) -> Any:
    """The content of a JSON text. Raises `DataError` like `read_json`; the error names `source`."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):  # json silently keeps only the last duplicate
            twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
            raise DataError(f"{source} has a duplicate name in one object: {first_few(twice)}. Keep one.")
        return content

    try:
        return json.loads(text, object_pairs_hook=unique)
    except DataError:
        raise
    except ValueError as error:  # JSONDecodeError, or a number of thousands of digits
        raise DataError(f"{source} is not JSON: {error}.") from None
    except RecursionError:
        raise DataError(f"{source} is nested too deeply to be read.") from None


def describe_json(content: Any) -> str:
    """What a JSON file contains, for errors.

    >>> describe_json({"a": 1, "b": [2]}), describe_json([{"id": 1}])
    ("an object with the keys 'a', 'b'", "a list of 1, the first with the keys 'id'")
    """
    if isinstance(content, dict):
        return f"an object with the keys {first_few(content)}"
    if not isinstance(content, list):
        return f"the value {shorten(content)}"
    first = content[0] if content else None
    more = f", the first with the keys {first_few(first)}" if isinstance(first, dict) else f": {first_few(content[:3])}"
    return f"a list of {len(content)}{more}" if content else "an empty list"


def unquote(name: str) -> str:
    """A field of CSV without the quotes around it, if it has any.

    >>> unquote('"run, fast"'), unquote('say "hello"')
    ('run, fast', 'say "hello"')
    """
    quoted = len(name) > 1 and name[0] == name[-1] == '"'
    return name[1:-1].replace('""', '"') if quoted else name


def is_missing_value(field: str) -> bool:
    """Whether a field says that it has no value.

    >>> is_missing_value("NaN"), is_missing_value("none")
    (True, False)
    """
    return field.strip().casefold() in MISSING_VALUES


def trimmed_name(name: str) -> str:
    """A class name in Unicode form NFC, without blanks at its ends: the same for files of macOS and other systems."""
    return strip_invisible(unicodedata.normalize("NFC", name))


def strip_invisible(text: str) -> str:
    """A text without blanks at its ends, also those of spreadsheets and web pages that `str.strip` keeps.

    >>> strip_invisible("run" + chr(0x200B) + chr(0xA0))
    'run'
    """
    return re.sub(f"^{_INVISIBLE}|{_INVISIBLE}$", "", text)


def letters_and_digits(name: str) -> str:
    """The letters, their marks and the digits of a class name: equal for the spellings of public data sets.

    >>> letters_and_digits("Air_drumming") == letters_and_digits("air drumming")
    True
    """
    composed = unicodedata.normalize("NFC", name)
    return "".join(sign for sign in composed if unicodedata.category(sign)[0] in "LMN").casefold()


def spaced_name(name: str) -> str:
    """A class name without case, and with one blank for blanks and underscores; signs such as + and - stay."""
    return re.sub(r"[\s_]+", " ", trimmed_name(name).casefold())


class ClassIndex:
    """Finds the index of a class by its name.

    A name matches if it is equal, or equal after `trimmed_name`. Otherwise it matches a class that differs only in
    case, blanks and underscores. With `loose`, punctuation is ignored too. A name that matches several classes in this
    way is unknown.

    >>> classes = ClassIndex(["air drumming", "turn -90"])
    >>> classes.find("Air_drumming"), classes.find("turn +90"), classes.nearest("turn +90")
    (0, None, 'turn -90')
    """

    def __init__(self, class_names: Sequence[str], *, loose: bool = False):
        self._names = class_names
        forms: list[Callable[[str], str]] = [str, trimmed_name, letters_and_digits if loose else spaced_name]
        self._forms = [(form, self._unique(form)) for form in forms]

    def _unique(self, form: Callable[[str], str]) -> dict[str, int]:
        keys = [form(name) for name in self._names]
        counts = Counter(keys)
        return {key: index for index, key in enumerate(keys) if key and counts[key] == 1}

    def find(self, name: str) -> int | None:
        """The index, or None for an unknown name."""
        return next((known[form(name)] for form, known in self._forms if form(name) in known), None)

    def is_exact(self, name: str) -> bool:
        """Whether the name matches without ignoring case, blanks and underscores."""
        return any(form(name) in known for form, known in self._forms[:2])

    def nearest(self, name: str) -> str | None:
        """The class with the most similar name; None if no name is similar."""
        return next(iter(difflib.get_close_matches(name, self._names, n=1)), None)
