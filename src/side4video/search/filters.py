"""Which videos a search looks at: conditions on their paths and on what a user's CSV says of them."""

from dataclasses import dataclass
from typing import Literal

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "~"]
"""`~`: the text contains this, upper and lower case alike."""


@dataclass(frozen=True)
class Condition:
    """A column of the metadata compared with a value; a video without that column does not fulfil it."""

    column: str
    operator: Operator
    value: str | float | bool


@dataclass(frozen=True)
class Filter:
    """Videos that fulfil all conditions.

    Attributes:
        conditions: on the metadata.
        path: a glob pattern for the whole path, such as `*/2024/*.mp4`, or a folder; None: every path.
    """

    conditions: tuple[Condition, ...] = ()
    path: str | None = None
