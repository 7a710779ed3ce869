"""What a request asks for, checked: words, conditions, how many results."""

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, get_args

from fastapi import HTTPException, Query, Request

from side4video.search.filters import Condition, Filter, Operator

_CONDITION = re.compile(r"\s*([^=<>!~]+?)\s*(!=|<=|>=|=|<|>|~)\s*(.*?)\s*", re.DOTALL)
_LONGEST_FILTER = 500
_MOST_CONDITIONS = 50
DEFAULT_RESULTS = 12

TopK = Annotated[int, Query(ge=1, description="results at most")]
PathPattern = Annotated[
    str | None, Query(max_length=_LONGEST_FILTER, description="a glob pattern for the whole path, or a folder")
]
Where = Annotated[
    list[str],
    Query(max_length=_MOST_CONDITIONS, description="conditions such as year>=2020 or place=Berlin; all must be met"),
]


def parse_condition(text: str) -> Condition:
    """A condition as it is written in an address, such as `year>=2020`.

    Raises:
        HTTPException: 422; it has no operator, or no column.
    """
    match = _CONDITION.fullmatch(text)
    if match is None or len(text) > _LONGEST_FILTER:
        raise HTTPException(422, f"{text[:80]!r} is no condition. Write COLUMN, one of {' '.join(get_args(Operator))}, VALUE.")
    column, operator, value = match.groups()
    return Condition(column, operator, _read_value(value) if operator != "~" else value)  # type: ignore[arg-type]


def make_filter(where: Iterable[str], path: str | None) -> Filter:
    """The filter of a request.

    Raises:
        HTTPException: 422 for what is no condition.
    """
    conditions = tuple(parse_condition(text) for text in where if text.strip())
    return Filter(conditions, path.strip() if path and path.strip() else None)


def check_text(text: str, *, max_letters: int) -> str:
    """A question without the blanks around it.

    Raises:
        HTTPException: 422 where it is empty or too long.
    """
    text = " ".join(text.split())
    if not text:
        raise HTTPException(422, "The question is empty. Write some words.")
    if len(text) > max_letters:
        raise HTTPException(422, f"The question has {len(text)} letters; at most {max_letters} are taken.")
    return text


def check_number(top_k: int, *, most: int) -> int:
    """The number of results.

    Raises:
        HTTPException: 422 where it is not from 1 to `most`.
    """
    if not 1 <= top_k <= most:
        raise HTTPException(422, f"{top_k} results were asked for; 1 to {most} can be.")
    return top_k


def form_conditions(request: Request) -> Sequence[str]:
    """Conditions of the page's form, which has fields `where`, and for a column `min:`, `max:` and `has:`."""
    operators = {"min": ">=", "max": "<=", "has": "~"}
    conditions = [value for value in request.query_params.getlist("where") if value.strip()]
    for name, value in request.query_params.multi_items():
        kind, _, column = name.partition(":")
        if kind in operators and column and value.strip():
            conditions.append(f"{column}{operators[kind]}{value.strip()}")
    return conditions


def _read_value(text: str) -> str | float | bool:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return float(text)
    except ValueError:
        return text
