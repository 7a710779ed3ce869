"""Lists without a header: `path`, `path label` or `path frames label`, one video per line."""

import csv
import re
from itertools import takewhile
from pathlib import Path

from side4video.data.lists.class_numbers import INTEGER, labels_to_indices
from side4video.data.lists.columns import LABEL_COLUMNS, PATH_COLUMNS
from side4video.data.lists.records import column_name
from side4video.data.lists.rows import ReadOptions, Row, Table
from side4video.data.lists.text_files import DataError, first_few, read_lines, shorten, strip_invisible, unquote
from side4video.video.decoding import VIDEO_SUFFIXES

DELIMITERS = ("::", "\t", ",", ";", " ", "|")
LONGEST_LINE = 10_000  # characters of `path label`; paths have at most 4,096
SUFFIX = rf"(?:{'|'.join(map(re.escape, VIDEO_SUFFIXES))})"
VIDEO_SUFFIX = re.compile(rf"{SUFFIX}(?=\s|$)", re.IGNORECASE)
_NAMES_VIDEO = re.compile(rf"{SUFFIX}(?=[\s,;|:\"]|$)", re.IGNORECASE)
_QUOTED_LABEL = r'(.+?){}\s*("(?:[^"]|"")*")'
_PATH_BEFORE = rf"(.+{SUFFIX})\s*{{}}\s*(\S.*)"
_TIMES_AND_LABEL = re.compile(r"[\d.,:]+\t[\d.,:]+(\t.*)?")
PATH_AND_REST = re.compile(rf"(.+{SUFFIX}):?\s+(\S.*)", re.IGNORECASE)


def read_plain_list(source: Path, options: ReadOptions) -> Table:
    """Read `path`, `path label` or `path frames label`, one video per line, delimited by blank, tab, `,`, `|` or `::`.

    Lines are split from the right, so paths may contain blanks. If every line ends in two numbers, they are read as
    `frames label`. The number of frames is ignored, because it is often wrong. After a video file, the delimiter is
    part of the label, unless all labels have it. Lines that start with `#` and name no video are comments.
    """
    lines = [line.strip() for line in read_lines(source)]
    videos = [line for line in lines if not line.startswith("#") or _NAMES_VIDEO.search(line)] or lines
    table = _read_videos(videos, source, options)
    comments = len(lines) - len(videos)
    notes = (f"Comments: {comments} lines that start with '#' and name no video.",) if comments else ()
    return table._replace(notes=(*notes, *table.notes))


def _read_videos(lines: list[str], source: Path, options: ReadOptions) -> Table:
    if long := [line for line in lines if len(line) > LONGEST_LINE]:
        raise DataError(
            f"{source} is not a list of videos: it has the line {shorten(long[0])}. Write one video per line."
        )
    if lines[0].startswith("<"):
        raise DataError(f"{source} is XML that is not CVAT's, or a web page. Write one video per line: `path label`.")
    if any(" --> " in line for line in lines) or all(map(_TIMES_AND_LABEL.fullmatch, lines)):
        raise DataError(
            f"{source} has times and texts, such as subtitles or labels of Audacity, but names no video. Write a CSV "
            "with the columns path,start,end,label."
        )
    lines, notes = _without_header(lines, source)
    if all(line.endswith(lines[0][-1]) for line in lines) and lines[0][-1] in ",;|":
        lines = [line[:-1].rstrip() for line in lines]
    table = _read_pairs(lines, source, options)
    return table._replace(notes=(*notes, *table.notes))


def _without_header(lines: list[str], source: Path) -> tuple[list[str], tuple[str, ...]]:
    """The lines without a first one such as `path label`, which tables with a comma or tab do not have here."""
    names = [column_name(name) for name in lines[0].replace("::", " ").split()]
    if len(lines) < 2 or len(names) < 2 or names[0] not in PATH_COLUMNS or names[-1] not in LABEL_COLUMNS:
        return lines, ()
    if len(names) > 2:
        raise DataError(
            f"{source} has the header {shorten(lines[0])}, whose columns blanks separate. Separate the columns by "
            "commas or tabs."
        )
    return lines[1:], (f"The first line {lines[0]!r} is a header.",)


def _read_pairs(lines: list[str], source: Path, options: ReadOptions) -> Table:
    delimiter = options.delimiter or _sniff_delimiter(lines)
    if delimiter is None:
        _refuse_label_first(lines, source)
        return Table([Row(line, None, (line,)) for line in lines])
    if options.multi_label or options.label_separator:
        rows = [Row(path, label, (path,)) for path, label in (_split_after_path(line, delimiter) for line in lines)]
        return labels_to_indices(rows, options, source)
    numbers = min((_count_trailing_numbers(line, delimiter) for line in lines), default=0)
    if numbers > 2:
        raise DataError(
            f"{source}: every line ends in {numbers} numbers. Offsets into a folder of frames are not supported. Write "
            "`path label`; if the numbers are several labels, give --data.multi-label true."
        )
    pairs = [_split_line(line, delimiter, max(numbers, 1)) for line in lines]
    notes = _check_frames(lines, delimiter, source) if numbers == 2 else ()
    if unlabelled := [path for path, label in pairs if label is None]:
        raise DataError(f"{source}: no label after {delimiter!r} in {first_few(unlabelled)}; other lines have one.")
    fields = rf'.*{SUFFIX}"?\s*{re.escape(delimiter)}[^"]+{re.escape(delimiter)}.+'
    if delimiter != " " and all(re.fullmatch(fields, line, re.IGNORECASE) for line in lines):
        raise DataError(
            f"{source} has more than path and label in each line, such as {shorten(lines[0])}, and no known header. "
            "Write a first line such as path,label,start,end."
        )
    table = labels_to_indices([Row(path, label, (path,)) for path, label in pairs], options, source)
    return table._replace(notes=(*notes, *table.notes))


def _check_frames(lines: list[str], delimiter: str, source: Path) -> tuple[str, ...]:
    """A sentence about the number of frames before each label. Raises `DataError` if one is 0: it is another number."""
    fields = [line.rsplit(None if delimiter == " " else delimiter, 2) for line in lines]
    if none := [line for line, (_, frames, _) in zip(lines, fields, strict=True) if int(frames) < 1]:
        raise DataError(
            f"{source}: every line ends in two numbers, but {shorten(none[0])} would have no frames. If both are "
            "labels, give --data.multi-label true; if the first is a time, write a first line such as path,start,label."
        )
    example = fields[0][1].strip()
    return (f"The number before each label, such as {example}, is read as the number of frames and ignored.",)


def _sniff_delimiter(lines: list[str]) -> str | None:
    """The delimiter that separates a label in most of the first lines; None if no delimiter does."""
    lines = lines[:1000]
    labelled = {
        delimiter: sum(_split_line(line, delimiter, 1)[1] is not None for line in lines) for delimiter in DELIMITERS
    }
    best = max(DELIMITERS, key=lambda delimiter: labelled[delimiter])  # ties: the first
    return best if labelled[best] else None


def _split_line(line: str, delimiter: str, columns: int) -> tuple[str, str | None]:
    """Path and label of a line whose last `columns` fields are the label; None as label if they are missing."""
    if delimiter == " " and columns == 1 and (match := PATH_AND_REST.fullmatch(line)):
        return match[1], unquote(match[2])  # the label may have several words
    if delimiter != " " and columns == 1 and (match := re.fullmatch(_QUOTED_LABEL.format(re.escape(delimiter)), line)):
        fields = [match[1], match[2]]
    elif columns == 1 and (match := re.fullmatch(_PATH_BEFORE.format(re.escape(delimiter)), line, re.IGNORECASE)):
        fields = [match[1], match[2]]  # the label may contain the delimiter
    elif delimiter == " " and (match := re.fullmatch(r'("(?:[^"]|"")+")\s+(\S.*)', line)):
        fields = [match[1], *match[2].rsplit(None, columns - 1)]
    elif delimiter == "," and line.startswith('"'):
        fields = next(csv.reader([line], skipinitialspace=True))
    else:
        fields = line.rsplit(None if delimiter == " " else delimiter, columns)
    label = fields[-1].strip()
    if len(fields) <= columns or not label or VIDEO_SUFFIX.search(label):
        return line, None
    return unquote(strip_invisible(delimiter.join(fields[:-columns]))), unquote(label)


def _refuse_label_first(lines: list[str], source: Path) -> None:
    for delimiter in DELIMITERS:
        pairs = [line.partition(delimiter) for line in lines] if delimiter != " " else []
        if pairs and all(not VIDEO_SUFFIX.search(first) and VIDEO_SUFFIX.search(last) for first, _, last in pairs):
            raise DataError(
                f"{source}: each line ends in a video, such as {shorten(lines[0])}. Write the path first, or a first "
                f"line with the names of the columns: label{delimiter}path."
            )


def _split_after_path(line: str, delimiter: str) -> tuple[str, str | None]:
    """Path and labels of a line: what follows a video file, or the first delimiter."""
    match = re.fullmatch(rf"(.+?{SUFFIX})(?:\s*{re.escape(delimiter.strip())}\s*|\s+)(\S.*)", line, re.IGNORECASE)
    path, labels = match.groups() if match else (*line.split(delimiter, 1), "")[:2]
    return path.strip(' "'), labels.strip(' "') or None


def _count_trailing_numbers(line: str, delimiter: str) -> int:
    fields = [field.strip() for field in line.split(None if delimiter == " " else delimiter)]
    return sum(1 for _ in takewhile(INTEGER.fullmatch, reversed(fields[1:])))
