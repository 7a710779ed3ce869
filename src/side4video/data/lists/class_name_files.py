"""Read files of class names: one name per line, tables with numbers, JSON, YAML and label maps of TensorFlow."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from side4video.data.lists.records import column_name, header_delimiter
from side4video.data.lists.text_files import DataError, first_few, read_json, read_lines, read_text, unquote

_NUMBERED_LINE = re.compile(r"(\d{1,18})\s*[\s,;:]\s*(.+)")
_LINE_WITH_NUMBER = re.compile(r"(.*[^\s,;:])\s*[\s,;:]\s*(\d{1,18})")
_NUMBER_COLUMNS = ("id", "index", "idx", "number", "class_id", "label_id", "class_index", "class_idx", "category_id")
_NAME_COLUMNS = ("name", "class_name", "label_name", "class", "label", "category", "action", "display_name", "title")
_NAME_KEYS = ("id2label", "label2id", "names", "classes", "class_names", "labels", "categories")
_ITEM = re.compile(r"(?:item|label)\s*\{([^{}]*)\}")
_ITEM_FIELD = r"\b(?:{})\s*:\s*(?:\"([^\"]*)\"|'([^']*)'|(\d{{1,18}}))"


class NumberedNames(NamedTuple):
    """Class names in order, and the number that the file gives to the first one; None: the file has no numbers.

    >>> NumberedNames(("run", "walk"), 1).first_number
    1
    """

    names: tuple[str, ...]
    first_number: int | None = None


def read_class_names(path: Path) -> tuple[str, ...]:
    """The class names of a data set, in the order of their indices, which count from 0 or 1.

    Supported formats:

    * one name per line; lines that start with `# ` are comments;
    * lines with a number before or after each name (`1 ApplyEyeMakeup`, `0,abseiling`, `abseiling 0`);
    * a table with a header and columns of numbers and names, such as `id,name,count`;
    * JSON or YAML: a list of names, `{name: index}`, `{index: name}`, a list of `{"id": 0, "name": "run"}`, or an
      object with one of these as `names`, `classes`, `labels`, `categories` or `id2label`;
    * label maps of TensorFlow (`item { id: 1 name: "run" }`).

    Raises:
        DataError: a name is duplicate, numbers have gaps, or the file contains no names.
    """
    return read_numbered_names(path).names


def read_numbered_names(path: Path) -> "NumberedNames":
    """The same as `read_class_names`, with the number of the first class.

    Raises:
        DataError: see `read_class_names`.
    """
    suffix = path.suffix.lower()
    if suffix == ".json":
        found = _names_in_data(read_json(path), path)
    elif suffix in {".yaml", ".yml"}:
        found = _names_in_data(_read_yaml(path), path)
    elif items := _ITEM.findall(read_text(path)):
        found = _names_of_items(items, path)
    else:
        found = _names_in_lines(read_lines(path), path)
    check_class_names(found.names, source=str(path))
    return found


def check_class_names(names: Sequence[str], *, source: str) -> None:
    """Raise `DataError` if there are no class names or duplicate ones."""
    if not names:
        raise DataError(f"{source} has no class names. Write one name per line.")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"{source} has duplicate class names: {first_few(twice)}. Each name must be unique.")


def _names_in_lines(lines: list[str], path: Path) -> NumberedNames:
    lines = [line for line in lines if not line.startswith("# ")]
    if (in_table := _names_in_table(lines, path)) is not None:
        return in_table
    for start in (0, 1):  # 1: below a header
        for form, number, name in ((_NUMBERED_LINE, 1, 2), (_LINE_WITH_NUMBER, 2, 1)):
            matches = [form.fullmatch(line) for line in lines[start:]]
            pairs = [(int(match[number]), unquote(match[name])) for match in matches if match]
            found = _in_order(pairs) if len(pairs) == len(lines) - start else NumberedNames(())
            if found.names and len(set(found.names)) == len(pairs):
                return found
    return NumberedNames(tuple(unquote(line) for line in lines))


def _names_in_table(lines: Sequence[str], path: Path) -> NumberedNames | None:
    """The names of a table whose header has a column of numbers and one of names; None for other lines."""
    if len(lines) < 2 or (delimiter := header_delimiter(lines[0])) not in lines[0]:
        return None
    try:
        header, *rows = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    except csv.Error:  # a field above 128 KB: no table
        return None
    columns = [column_name(field) for field in header]
    numbers = next((name for name in _NUMBER_COLUMNS if name in columns), None)
    names = next((name for name in _NAME_COLUMNS if name in columns), None)
    if numbers is None or names is None or any(len(row) != len(columns) for row in rows):
        return None
    places = columns.index(numbers), columns.index(names)
    return _numbered([tuple(row[place].strip() for place in places) for row in rows], path)


def _in_order(pairs: Iterable[tuple[int, str]]) -> NumberedNames:
    """The names in the order of their numbers; none if these do not count from 0 or 1 without gaps."""
    ordered = sorted(pairs)
    numbers = [number for number, _ in ordered]
    first = numbers[0] if numbers else None
    if first is None or first > 1 or numbers != list(range(first, first + len(numbers))):
        return NumberedNames(())
    return NumberedNames(tuple(name for _, name in ordered), first)


def _numbered(pairs: Sequence[Sequence[Any]], path: Path) -> NumberedNames:
    """The names of pairs of number and name, in order."""
    if wrong := [pair for pair in pairs if not re.fullmatch(r"\d{1,18}", str(pair[0])) or isinstance(pair[0], bool)]:
        raise DataError(f"{path}: {wrong[0][0]!r} is not the number of a class. Write numbers from 0 or 1.")
    found = _in_order((int(number), str(name)) for number, name in pairs)
    if pairs and not found.names:
        count = len(pairs)
        raise DataError(f"{path}: the indices of the {count} classes are not 0 to {count - 1}, or 1 to {count}.")
    return found


def _names_of_items(items: Sequence[str], path: Path) -> NumberedNames:
    pairs = []
    for item in items:
        fields = [re.search(_ITEM_FIELD.format(name), item) for name in ("id|label_id", "display_name|name")]
        if not all(fields):
            raise DataError(f"{path} is a label map, but an item has no id or no name: {first_few([item.strip()])}.")
        pairs.append([next(filter(None, field.groups()), "") for field in fields if field])
    return _numbered(pairs, path)


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(read_text(path))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DataError(f"{path} is not YAML: {error}.") from None


def _names_in_data(content: Any, path: Path) -> NumberedNames:
    if isinstance(content, dict):
        content = next((content[key] for key in _NAME_KEYS if isinstance(content.get(key), (dict, list))), content)
    if isinstance(content, list) and all(isinstance(name, str) for name in content):
        return NumberedNames(tuple(content))
    if isinstance(content, list) and all(isinstance(one, dict) for one in content):
        numbers, names = (
            next((key for key in keys if all(key in one for one in content)), None)
            for keys in (_NUMBER_COLUMNS, _NAME_COLUMNS)
        )
        if content and numbers and names:
            return _numbered([(one[numbers], one[names]) for one in content], path)
    if isinstance(content, dict):
        for pairs in ([(index, name) for name, index in content.items()], list(content.items())):
            if all(re.fullmatch(r"\d{1,18}", str(index)) for index, _ in pairs):
                return _numbered(pairs, path)
    raise DataError(f"{path} has no class names. Give a JSON list of names or an object {{name: index}}.")
