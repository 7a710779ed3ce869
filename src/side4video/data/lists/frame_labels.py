"""Lists with a row for each frame or each second of a video: neighbouring rows with the same labels are a segment."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from side4video.data.lists.records import joined_spellings
from side4video.data.lists.rows import Row
from side4video.data.lists.text_files import DataError, first_few, is_missing_value
from side4video.data.lists.time_columns import TIME_ROLES

FRAME_COLUMNS = joined_spellings(
    "frame", "frame_number", "frame_no", "frame_num", "frame_id", "frame_index", "frame_idx"
)
SECOND_COLUMNS = ("second", "seconds", "sec")
MIN_REGULAR = 0.75
"""Least share of neighbours that are one step apart. Otherwise the numbers are those of chosen frames."""
MOMENT = "moment"
"""The role of such a column."""


def moment_column(of_role: Mapping[str, str], records: Sequence[Mapping[str, str]]) -> str | None:
    """The column that numbers the frames or seconds of each video; None if the list has no such column.

    >>> rows = [{"video": "a.mp4", "frame": "0"}, {"video": "a.mp4", "frame": "1"}]
    >>> moment_column({"path": "video"}, rows)
    'frame'
    """
    if not records or of_role.keys() & {*TIME_ROLES} - {"fps"}:
        return None
    for name in (*FRAME_COLUMNS, *SECOND_COLUMNS):
        if name in records[0] and all(record[name].isdecimal() for record in records):
            steps = _steps([record[of_role["path"]] for record in records], [int(record[name]) for record in records])
            is_regular = max(steps.values(), default=0) >= MIN_REGULAR * steps.total()
            num_moments = len({(record[of_role["path"]], int(record[name])) for record in records})
            return name if is_regular and 2 * steps.total() >= num_moments else None
    return None


def join_moments(
    rows: Sequence[Row], moments: Sequence[int], column: str, source: Path
) -> tuple[list[Row], tuple[str, ...]]:
    """Join the rows of neighbouring frames or seconds that have the same labels; return the segments and a sentence.

    The step between neighbours is the most frequent one of the list, so that lists of every tenth frame work too.
    Rows without labels are left out. Rows of the same moment are one, with the labels of all.

    Raises:
        DataError: rows of the same moment have different labels, and each row has one.

    >>> frames = [Row("a.mp4", label, ("a.mp4",)) for label in ("run", "run", "walk")]
    >>> found, notes = join_moments(frames, [0, 1, 2], "frame", Path("list.csv"))
    >>> [(row.label, row.frames) for row in found]
    [('run', (0.0, 2.0)), ('walk', (2.0, 3.0))]
    """
    steps = _steps([row.name for row in rows], moments)
    step = steps.most_common(1)[0][0] if steps else 1
    unit = "frame" if column in FRAME_COLUMNS else "second"
    segments, left_out = [], 0
    for first, end, row in _runs(_merge_moments(rows, moments, unit, source), step):
        if row.labels or row.label is not None:
            span = float(first), float(end)
            times = {"frames": span} if unit == "frame" else {"start_seconds": span[0], "end_seconds": span[1]}
            segments.append(row._replace(**times))
        else:
            left_out += 1
    note = (
        f"A row for each {unit} ({column!r}, from 0, every {step}): neighbours with the same label are a segment, "
        f"{len(segments)} in all."
    )
    return segments, (note, *([f"{left_out} parts without a label are left out."] if left_out else []))


def _merge_moments(rows: Sequence[Row], moments: Sequence[int], unit: str, source: Path) -> list[tuple[int, Row]]:
    """One row for each moment of each video, in order, with the labels that are not missing."""
    of_moment = defaultdict(list)
    for moment, row in zip(moments, rows, strict=True):
        of_moment[row.name, moment].append(row)
    merged, several = [], []
    for (name, moment), same in sorted(of_moment.items()):
        all_labels = (label for row in same for label in (row.labels if row.labels is not None else (row.label,)))
        known = {str(label) for label in all_labels if label is not None}
        labels = tuple(sorted(label for label in known if not is_missing_value(label)))
        if same[0].labels is not None:
            row = same[0]._replace(labels=labels)
        else:
            row = same[0]._replace(label=labels[0] if labels else None)
            several += [f"{name} {moment}: {', '.join(labels)}"] if len(labels) > 1 else []
        merged.append((moment, row))
    if several:
        raise DataError(
            f"{source}: {len(several)} {unit}s have several labels: {first_few(several)}. Keep one of each, or give "
            "--data.multi-label true."
        )
    return merged


def _steps(names: Sequence[str], moments: Sequence[int]) -> Counter[int]:
    """How often neighbouring moments of one video are how far apart."""
    ordered = sorted(set(zip(names, moments, strict=True)))
    return Counter(moment - before for (one, before), (other, moment) in itertools.pairwise(ordered) if one == other)


def _runs(ordered: Sequence[tuple[int, Row]], step: int) -> Iterator[tuple[int, int, Row]]:
    """First moment, end and first row of each run of rows of one video with the same labels."""
    run: list[tuple[int, Row]] = []
    for moment, row in ordered:
        if run and not (_is_alike(row, run[0][1]) and moment <= run[-1][0] + step):
            yield run[0][0], run[-1][0] + step, run[0][1]
            run = []
        run.append((moment, row))
    if run:
        yield run[0][0], run[-1][0] + step, run[0][1]


def _is_alike(one: Row, other: Row) -> bool:
    return (one.name, one.label, one.labels, one.group) == (other.name, other.label, other.labels, other.group)
