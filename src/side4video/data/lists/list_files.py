"""Small text files as users have them: their lines, lists of class names, and the error that names what is wrong."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

SHOWN = 10  # how many examples an error lists before it only counts
LONGEST_SHOWN = 200  # characters of a name or line in an error
NUMBERED = re.compile(r"(\d{1,18})\s*[\s,;:]\s*(.+)")


class DataError(ValueError):
    """A data set that cannot be used as it is. `problems` holds every problem found, one sentence each."""

    def __init__(self, *problems: str):
        super().__init__("\n".join(problems))
        self.problems = problems


def first_few(items: Iterable[object]) -> str:
    """The first ten items, and how many there are where there are more: `'a', 'b', ... (27 in all)`."""
    items = list(items)
    shown = ", ".join(shorten(item) for item in items[:SHOWN])
    return shown if len(items) <= SHOWN else f"{shown}, ... ({len(items)} in all)"


def shorten(item: object) -> str:
    """What a file holds, for an error: quoted, and cut where it is so long that the error could not be read.

    >>> shorten("a.mp4"), len(shorten("a" * 100_000))
    ("'a.mp4'", 225)
    """
    text = str(item)
    if len(text) <= LONGEST_SHOWN:
        return repr(text)
    return f"{text[:LONGEST_SHOWN]!r}... ({len(text)} characters)"


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, without a byte order mark. Raises `DataError` where it is missing or not UTF-8."""
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}. Check the path.") from None


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file that hold anything, without line ends and blanks around them; tabs stay."""
    # Not str.splitlines: it also breaks at characters that captions and file names may hold.
    return [line.strip(" \r") for line in read_text(path).split("\n") if line.strip()]


def read_json(path: Path) -> Any:
    """The content of a JSON file. Raises `DataError` where it is not JSON, and where an object has a name twice."""
    return parse_json(read_text(path), str(path))


def parse_json(text: str, source: str) -> Any:
    """The content of a JSON text; `source` is named in the `DataError` that is raised as by `read_json`."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):  # json would keep the last of them and say nothing
            twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
            raise DataError(f"{source} has an entry twice in one object: {first_few(twice)}. Keep one.")
        return content

    try:
        return json.loads(text, object_pairs_hook=unique)
    except DataError:
        raise
    except ValueError as error:  # JSONDecodeError, or a number of thousands of digits
        raise DataError(f"{source} is not JSON: {error}.") from None
    except RecursionError:
        raise DataError(f"{source} is nested too deeply to be read.") from None


def read_class_names(path: Path) -> tuple[str, ...]:
    """The class names of a data set, in the order of their indices.

    Understood: one name per line; numbered lines (`1 ApplyEyeMakeup` or `0,abseiling`, counted from 0 or 1, with or
    without a header such as `id,name`); a JSON list of names; a JSON object `{name: index}` or `{index: name}`.
    Raises `DataError` for a name given twice, for gaps in the numbers and for a file without names.
    """
    names = _names_in_json(path) if path.suffix.lower() == ".json" else _names_in_lines(read_lines(path))
    check_class_names(names, source=str(path))
    return names


def check_class_names(names: Sequence[str], *, source: str) -> None:
    """Raise `DataError` unless there is at least one class name and each is there once."""
    if not names:
        raise DataError(f"{source} holds no class names. Write one name per line.")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"{source} names a class twice: {first_few(twice)}. Each name belongs to one class.")


def _names_in_lines(lines: list[str]) -> tuple[str, ...]:
    for start in (0, 1):  # 1: below a header
        numbered = [NUMBERED.fullmatch(line) for line in lines[start:]]
        pairs = [(int(match[1]), _unquote(match[2])) for match in numbered if match]
        if pairs and len(pairs) == len(lines) - start and sorted(n for n, _ in pairs) in _countings(len(pairs)):
            return tuple(name for _, name in sorted(pairs))
    return tuple(_unquote(line) for line in lines)


def _countings(count: int) -> tuple[list[int], list[int]]:
    return list(range(count)), list(range(1, count + 1))


def _unquote(name: str) -> str:
    quoted = len(name) > 1 and name[0] == name[-1] == '"'
    return name[1:-1].replace('""', '"') if quoted else name


def _names_in_json(path: Path) -> tuple[str, ...]:
    content = read_json(path)
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return tuple(content)
    if isinstance(content, dict):
        for pairs in (content.items(), [(name, index) for index, name in content.items()]):
            if all(re.fullmatch(r"\d{1,18}", str(index)) for _, index in pairs):
                names = {int(index): str(name) for name, index in pairs}
                if len(names) == len(content) and sorted(names) == list(range(len(names))):
                    return tuple(names[index] for index in range(len(names)))
                raise DataError(f"{path} numbers {len(content)} classes, but not from 0 to {len(content) - 1}.")
    raise DataError(f"{path} holds no class names. Give a JSON list of names or an object {{name: index}}.")


def name_key(name: str) -> str:
    """What two spellings of a class name share: its letters and digits (`Air_drumming` and `air drumming`)."""
    return "".join(filter(str.isalnum, name)).casefold()


class ClassIndex:
    """Finds the index of a class by its name, or by its `name_key` where that belongs to one class only."""

    def __init__(self, class_names: Sequence[str]):
        self._by_name = {name: index for index, name in enumerate(class_names)}
        shared = Counter(map(name_key, class_names))
        keys = {name_key(name): index for index, name in enumerate(class_names)}
        self._by_key = {key: index for key, index in keys.items() if key and shared[key] == 1}

    def find(self, name: str) -> int | None:
        """The index, or None for a name that is not known."""
        return self._by_name.get(name, self._by_key.get(name_key(name)))
