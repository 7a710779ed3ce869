"""Validate the parameters of a request: text, conditions, number of results."""

from collections.abc import Iterable, Mapping
from typing import Annotated

from fastapi import HTTPException, Query

from side4video.search.stores.filters import Filter, Operator, Values, parse_filter, write_condition
from side4video.search.stores.numbers import parse_number
from side4video.search.subtitle_index import MAX_SUBTITLE_WEIGHT, SUBTITLE_WEIGHT

_MAX_FILTER_LENGTH = 500
MAX_CONDITIONS = 50
"""Maximum number of conditions of a request."""
DEFAULT_RESULTS = 12

TopK = Annotated[int, Query(ge=1, description="maximum number of results")]
PathPattern = Annotated[
    str | None, Query(max_length=_MAX_FILTER_LENGTH, description="a glob pattern for the whole path, or a folder")
]
Where = Annotated[
    list[str],
    Query(max_length=MAX_CONDITIONS, description="conditions such as year>=2020 or place=Berlin; all must be met"),
]

Texts = Annotated[list[str], Query(description="the query; several texts are combined")]
Unwanted = Annotated[list[str], Query(alias="not", description="texts that must not match")]
SubtitleWeight = Annotated[
    float,
    Query(
        ge=0,
        le=MAX_SUBTITLE_WEIGHT,
        allow_inf_nan=False,
        description=f"weight of subtitles, {SUBTITLE_WEIGHT} by default; 0: pictures only",
    ),
]


def make_filter(
    where: Iterable[str], path: str | None, columns: Mapping[str, type], values: Values | None = None
) -> Filter:
    """The filter of a request.

    Raises:
        HTTPException: 422 if a condition is invalid, or names an unknown column or a text that no video has; or if the
            path or the list of conditions is too long.

    >>> make_filter(["year>=2020"], None, {"year": float}).conditions[0].value
    2020.0
    """
    conditions, path = [text for text in where if text.strip()], (path or "").strip() or None
    if len(conditions) > MAX_CONDITIONS:
        raise HTTPException(422, f"There are {len(conditions)} conditions; the maximum is {MAX_CONDITIONS}.")
    if path and len(path) > _MAX_FILTER_LENGTH:
        raise HTTPException(422, f"path: it has {len(path)} characters; the maximum is {_MAX_FILTER_LENGTH}.")
    try:
        return parse_filter(conditions, path, columns, values)
    except ValueError as error:
        raise HTTPException(422, str(error)) from None


def check_top_k(top_k: int, *, maximum: int) -> int:
    """Check the number of results.

    Raises:
        HTTPException: 422 if it is not from 1 to `maximum`.
    """
    if not 1 <= top_k <= maximum:
        raise HTTPException(422, f"{top_k} results were requested; the number must be from 1 to {maximum}.")
    return top_k


def form_conditions(fields: Iterable[tuple[str, str]]) -> list[str]:
    """Conditions from the page's form: its `where` fields, and the `min:`, `max:` and `has:` fields of columns.

    >>> form_conditions([("where", "camera=north"), ("min:year", "2020"), ("max:year", "")])
    ['camera=north', 'year>=2020']
    """
    operators: dict[str, Operator] = {"min": ">=", "max": "<=", "has": "~"}
    conditions, others = [], []
    for name, value in fields:
        kind, _, column = name.partition(":")
        if name == "where" and value.strip():
            conditions.append(value)
        elif kind in operators and column and value.strip():
            others.append(write_condition(column, operators[kind], value.strip()))
    return conditions + others


def form_number(text: str | None, name: str, default: float, *, maximum: float) -> float:
    """A number of the form, from 0 to `maximum`; empty: the default.

    Raises:
        HTTPException: 422 if it is not such a number.

    >>> form_number("0.5", "subtitles", 0.2, maximum=1.0), form_number("", "subtitles", 0.2, maximum=1.0)
    (0.5, 0.2)
    """
    if text is None or not text.strip():
        return default
    number = parse_number(text.strip())
    if number is None or not 0 <= number <= maximum:
        raise HTTPException(422, f"{name}={text} is not a number from 0 to {maximum:g}.")
    return number
