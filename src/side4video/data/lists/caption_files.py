"""Read files of captions and of video names: JSON, JSON lines, pickles, text; detected from their content."""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal, NamedTuple

from side4video.data.lists.columns import PATH_COLUMNS
from side4video.data.lists.json_records import json_records
from side4video.data.lists.records import (
    CAPTION_COLUMNS,
    column_name,
    fields_by_column,
    header_delimiter,
    header_fields,
    number_captions,
    split_header,
)
from side4video.data.lists.safe_unpickler import is_pickle, load_plain_pickle
from side4video.data.lists.split_names import SPLIT_COLUMNS
from side4video.data.lists.text_files import DataError, decode_text, first_few, is_utf16, parse_json, read_bytes
from side4video.data.lists.time_columns import END_COLUMNS, START_COLUMNS

LSMDC_LINE = re.compile(r"[^\t]+(\t[\d.:]+){4}(\t.*)?")


_USUAL = {
    "path": PATH_COLUMNS,
    "caption": CAPTION_COLUMNS,
    "split": SPLIT_COLUMNS,
    "start": START_COLUMNS,
    "end": END_COLUMNS,
}
ROLES = tuple(_USUAL)


class Record(NamedTuple):
    """One row of a table: its fields by column name, and its place in the file (`line 3`).

    >>> records, problems = read_table(load_caption_file(Path("captions.csv")))
    >>> records[0].place, records[0].fields["caption"]
    ('line 2', 'a shape moves anticlockwise')
    """

    place: str
    fields: dict[str, Any]


@dataclass(frozen=True)
class CaptionFile:
    """A file that was read but not interpreted yet.

    `content` is the parsed JSON or unpickled data (`json`), a list of `Record` (`jsonl`), or the text (`text`).
    `problems` are lines that could not be read; `num_not_utf8` counts lines of text that were read as Windows-1252.

    >>> file = load_caption_file(Path("captions.csv"))
    >>> file.kind, sorted(file.columns())
    ('text', ['caption', 'video'])
    """

    path: Path
    kind: Literal["json", "jsonl", "text"]
    content: Any
    problems: tuple[str, ...] = ()
    num_not_utf8: int = 0

    def lines(self) -> list[str]:
        """The lines of a text that are not empty, without line ends; tabs stay. Empty for other kinds of files."""
        return [line.strip(" \r") for line in self.content.split("\n") if line.strip()] if self.kind == "text" else []

    def columns(self) -> set[str]:
        """The fields of the first line of a text, as if it were a header. Empty for other kinds of files."""
        lines = self.lines()[:1]
        return set(split_header(lines[0])) if lines else set()


def load_caption_file(path: Path) -> CaptionFile:
    """Read a file of captions or names. Raises `DataError` if it is missing, empty, an archive or corrupt."""
    if path.is_dir():
        raise DataError(f"{path} is a folder. Give the file of captions in it.")
    data = read_bytes(path)
    if is_pickle(data):
        return CaptionFile(path, "json", load_plain_pickle(data, path))
    if is_utf16(data):
        data = decode_text(data, path).encode()
    _check_text(data, path)
    if data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        return _load_json(decode_text(data, path), path)
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")  # line ends of old Macs
    try:
        return CaptionFile(path, "text", data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        lines = [_decode_line(line) for line in data.split(b"\n")]
        text = "\n".join(line for line, _ in lines)
        return CaptionFile(path, "text", text, num_not_utf8=sum(not is_utf8 for _, is_utf8 in lines))


def _check_text(data: bytes, path: Path) -> None:
    if data.lstrip().startswith(b"<"):
        raise DataError(f"{path} is a web page, such as a server's error page. Download the file again.")
    if b"\0" in data[:4096]:
        raise DataError(f"{path} is not text. Give JSON, CSV, one name per line, or the pickle of MSVD.")
    if not data.strip(b"\xef\xbb\xbf \t\r\n"):
        raise DataError(f"{path} is empty. It must contain videos and their captions.")


def _decode_line(line: bytes) -> tuple[str, bool]:
    """The text of a line, and whether it is UTF-8; otherwise it is read as Windows-1252, with Latin-1 for its gaps."""
    try:
        return line.decode("utf-8"), True
    except UnicodeDecodeError:
        gaps = bytes([0x81, 0x8D, 0x8F, 0x90, 0x9D])
        return "".join(bytes([b]).decode("latin-1" if b in gaps else "cp1252") for b in line), False


def _load_json(text: str, path: Path) -> CaptionFile:
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if len(lines) > 1 and _is_object(lines[0][1]):
        return _load_json_lines(lines, path)
    content = parse_json(text, str(path))
    return CaptionFile(path, "json", _objects_with_captions(content) or content)


def _objects_with_captions(content: Any) -> list[dict[str, Any]]:
    """The objects of `json_records` if each has a name and captions of a video; none for ActivityNet's times."""
    records = json_records(content) if isinstance(content, dict) else []
    for record in records:
        names = set(map(column_name, record))
        if not names & set(PATH_COLUMNS) or not names & set(CAPTION_COLUMNS) or "timestamps" in names:
            return []
    return records


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _load_json_lines(lines: list[tuple[int, str]], path: Path) -> CaptionFile:
    records: list[Record] = []
    problems: list[str] = []
    for number, line in lines:
        try:
            content = parse_json(line, f"{path}, line {number},")
            if not isinstance(content, dict):
                raise DataError(f'{path}, line {number}, is not an object {{"video": ..., "caption": ...}}.')
            records.append(Record(f"line {number}", fields_by_column(content.items(), f"{path}, line {number}")))
        except DataError as error:
            problems += error.problems
    if len(problems) > 10:
        problems = [*problems[:10], f"{path}: {len(problems)} lines cannot be read in total."]
    return CaptionFile(path, "jsonl", records, tuple(problems))


def rename_columns(file: CaptionFile, columns: Mapping[str, str]) -> CaptionFile:
    """The file with the usual names for columns, or fields of JSON, that are given by their role.

    Raises:
        DataError: it has no such column, or a role is unknown.

    >>> renamed = rename_columns(load_caption_file(Path("captions.csv")), {"caption": "caption", "path": "video"})
    >>> sorted(renamed.columns())
    ['caption', 'path']
    """
    if not columns:
        return file
    if file.kind == "text":
        first, *others = file.content.lstrip().split("\n")
        delimiter = header_delimiter(first)
        header = io.StringIO()
        names = header_fields(first)
        csv.writer(header, delimiter=delimiter, lineterminator="").writerow(_renamed(names, columns, file.path))
        return replace(file, content="\n".join([header.getvalue(), *others]))
    content: Any = [file.content] if isinstance(file.content, dict) else file.content  # JSON lines with one line
    records = [record.fields for record in content] if file.kind == "jsonl" else content
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise DataError(f"{file.path} has no columns or fields for --data.columns. Give a table, or leave them out.")
    known = list(dict.fromkeys(name for record in records for name in record))
    new = dict(zip(known, _renamed(known, columns, file.path), strict=True))
    renamed: list[Any] = [{new[name]: value for name, value in record.items()} for record in records]
    if file.kind == "jsonl":
        renamed = [record._replace(fields=one) for record, one in zip(content, renamed, strict=True)]
    return replace(file, content=renamed[0] if isinstance(file.content, dict) else renamed)


def _renamed(names: Sequence[str], columns: Mapping[str, str], path: Path) -> list[str]:
    """The usual names of the given columns; another column with that name is called `unused_...`."""
    role_of = {column_name(name): role for role, name in columns.items()}
    normal = list(map(column_name, names))
    unknown = {role: name for role, name in columns.items() if role not in ROLES or column_name(name) not in normal}
    if wrong := [f"{role} {name}" for role, name in unknown.items()]:
        raise DataError(
            f"{path}: columns {first_few(wrong)} do not exist. The roles are {', '.join(ROLES)}; the columns are "
            f"{first_few(names)}."
        )
    taken = {known for role in columns for known in _USUAL[role]}
    return [
        _USUAL[role_of[name]][0] if name in role_of else f"unused_{name}" if name in taken else written
        for name, written in zip(normal, names, strict=True)
    ]


# --- tables and lists of names --------------------------------------------------------------------------------------


def read_table(file: CaptionFile) -> tuple[list[Record], list[str]]:
    """The rows of a CSV with a header, and its problems. The delimiter is comma, tab or `;`; quoted text may span
    several lines."""
    problems: list[str] = []
    if file.num_not_utf8:
        problems.append(f"{file.path} is not UTF-8 text in {file.num_not_utf8} lines. Save it as UTF-8.")
    text = io.StringIO(file.content, newline="")
    reader = csv.reader(text, delimiter=header_delimiter(file.lines()[0]), skipinitialspace=True, strict=True)
    records: list[Record] = []
    columns: list[str] = []
    header: list[str] = []
    too_long = []
    try:
        for fields in reader:
            if not any(field.strip() for field in fields):
                continue
            if not columns:
                header = fields
                columns = number_captions([column_name(field) for field in fields])
                if repeated := sorted(name for name, count in Counter(columns).items() if name and count > 1):
                    problems.append(f"{file.path} has several columns {first_few(repeated)}. Give each its own name.")
                continue
            if fields == header:
                continue
            too_long += [f"line {reader.line_num}"] if any(fields[len(columns) :]) else []
            values = dict(zip_longest(columns, (field.strip() for field in fields[: len(columns)]), fillvalue=""))
            records.append(Record(f"line {reader.line_num}", values))
    except csv.Error as error:
        problems.append(
            f"{file.path}, line {reader.line_num}: {error}. Close every quote, and double quotes inside a text."
        )
    if too_long:
        problems.append(
            f"{file.path} has more fields than the {len(columns)} of its header in {first_few(too_long)}. "
            "Put captions that contain the delimiter in double quotes."
        )
    return records, problems


def is_lsmdc(lines: list[str]) -> bool:
    """Whether most of the first lines have LSMDC's format: a clip, four times and a sentence, separated by tabs."""
    first = lines[:20]
    return 2 * sum(LSMDC_LINE.fullmatch(line) is not None for line in first) > len(first)


def read_names(file: CaptionFile) -> list[str] | None:
    """The names in a list of videos without captions: one per line, the column of a CSV, or a JSON list of strings.

    None for any other file. A text whose lines have several fields counts as names if no column has a name that is
    used for captions.
    """
    if file.kind == "json" and isinstance(file.content, list) and file.content:
        return list(file.content) if all(isinstance(name, str) for name in file.content) else None
    if file.kind != "text" or file.columns() & set(CAPTION_COLUMNS):
        return None
    lines = file.lines()
    if is_lsmdc(lines):
        return None
    if file.num_not_utf8:
        raise DataError(f"{file.path} is not UTF-8 text in {file.num_not_utf8} lines. Save it as UTF-8.")
    column = next((name for name in PATH_COLUMNS if name in file.columns()), None)
    if column is None:
        return [line.strip() for line in lines]
    records, problems = read_table(file)
    if problems:
        raise DataError(*problems)
    if nameless := [record.place for record in records if not record.fields[column]]:
        raise DataError(f"{file.path} has no video name in {first_few(nameless)}.")
    return [record.fields[column] for record in records]
