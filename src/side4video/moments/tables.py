"""Moments as CSV."""

from collections.abc import Iterable
from pathlib import Path

from side4video.atomic_files import write_rows
from side4video.moments.moment import Moment

COLUMNS = ("video", "start", "end", "label", "score")
"""Columns of the file. A list of videos has the same names, so the file can be corrected and used for training."""


def write_csv(path: Path, moments: Iterable[Moment]) -> None:
    """Write one row per moment: video, start and end in seconds, label, score.

    Absolute paths of videos keep the file valid in any folder. Fields that a spreadsheet would run as a formula start
    with an apostrophe.

    >>> write_csv(Path("moments.csv"), [Moment(Path("/film.mp4"), 1.0, 2.5, "clockwise", 0.9)])
    >>> print(Path("moments.csv").read_text())
    video,start,end,label,score
    /film.mp4,1.000,2.500,clockwise,0.9000
    <BLANKLINE>
    """
    rows = []
    for moment in moments:
        times = f"{moment.start_seconds:.3f}", f"{moment.end_seconds:.3f}"
        rows.append((_plain(str(moment.path.absolute())), *times, _plain(moment.name), f"{moment.score:.4f}"))
    write_rows(path, COLUMNS, rows)


def write_labels(path: Path, rows: Iterable[tuple[Path, str, float]]) -> None:
    """Write one row per class of a whole video: video, label, score.

    >>> write_labels(Path("labels.csv"), [(Path("/film.mp4"), "clockwise", 0.9)])
    >>> print(Path("labels.csv").read_text())
    video,label,score
    /film.mp4,clockwise,0.9000
    <BLANKLINE>
    """
    plain = ((_plain(str(video.absolute())), _plain(name), f"{score:.4f}") for video, name, score in rows)
    write_rows(path, ("video", "label", "score"), plain)


def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
