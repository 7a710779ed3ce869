"""What readers of lists get and return: options, and rows of names, labels and times."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

Label = str | int | None
"""A class name, a number of a class from 0, or none."""


class Row(NamedTuple):
    """One video of a list.

    >>> Row("run/1.mp4", "run", ("run/1.mp4", "1.mp4")).candidates
    ('run/1.mp4', '1.mp4')
    """

    name: str  # as the list writes it
    label: Label
    candidates: tuple[str, ...]  # relative paths, with or without suffix, the best first
    start_seconds: float | None = None
    end_seconds: float | None = None
    group: str | None = None  # clips that belong together, such as parts of one recording
    line: int | None = None  # in the file, from 1; None: unknown
    labels: tuple[Label, ...] | None = None  # where the form allows several; `label` is None then
    frames: tuple[float | None, float | None] | None = None  # start and end (exclusive) from 0, instead of seconds
    fps: float | None = None  # of `frames`, if the list states it


class Table(NamedTuple):
    """The result of a reader. `class_names` is the order that the data set defines, or None.

    >>> Table([Row("run/1.mp4", "run", ("run/1.mp4",))], class_names=("run", "walk")).rows[0].label
    'run'
    """

    rows: list[Row]
    class_names: tuple[str, ...] | None = None
    ignore_case: bool = False  # whether file names on disk may differ in case
    label_column: str | None = None  # of a list with named columns
    notes: tuple[str, ...] = ()  # sentences: how the list was understood, and what was left out


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """Options for reading a list; see `read_video_list`.

    >>> ReadOptions(split="train", first_label=1).fold
    1
    """

    class_names: tuple[str, ...] | None = None
    delimiter: str | None = None
    split: str | None = None
    fold: int = 1
    first_label: int = 0
    group: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    fps: float | None = None
    multi_label: bool | None = None
    label_separator: str | None = None
    label_field: str | None = None
