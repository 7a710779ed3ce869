"""Validate the parameters of a request: text, conditions, number of results."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from fastapi import HTTPException, Query, Request

from side4video.search.combined import split_query
from side4video.search.stores.filters import Filter, Operator, Values, parse_filter, write_condition

_MAX_FILTER_LENGTH = 500
_MAX_CONDITIONS = 50
DEFAULT_RESULTS = 12

TopK = Annotated[int, Query(ge=1, description="maximum number of results")]
PathPattern = Annotated[
    str | None, Query(max_length=_MAX_FILTER_LENGTH, description="a glob pattern for the whole path, or a folder")
]
Where = Annotated[
    list[str],
    Query(max_length=_MAX_CONDITIONS, description="conditions such as year>=2020 or place=Berlin; all must be met"),
]


def make_filter(
    where: Iterable[str], path: str | None, columns: Mapping[str, type], values: Values | None = None
) -> Filter:
    """The filter of a request.

    Raises:
        HTTPException: 422 if a condition is invalid, or names an unknown column or a text that no video has.

    >>> make_filter(["year>=2020"], None, {"year": float}).conditions[0].value
    2020.0
    """
    conditions = [text for text in where if text.strip()]
    try:
        return parse_filter(
            conditions[:_MAX_CONDITIONS], path.strip() if path and path.strip() else None, columns, values
        )
    except ValueError as error:
        raise HTTPException(422, str(error)) from None


def check_text(text: str, *, max_letters: int) -> str:
    """Strip the spaces around a query.

    Raises:
        HTTPException: 422 if it is empty or too long.

    >>> check_text(" a cat jumps ", max_letters=500)
    'a cat jumps'
    """
    text = " ".join(text.split())
    if not text:
        raise HTTPException(422, "The query is empty. Enter at least one word.")
    if not split_query(text)[0]:
        raise HTTPException(422, "The query names only what is unwanted. Enter what to search for, too.")
    if len(text) > max_letters:
        raise HTTPException(422, f"The query has {len(text)} characters; the maximum is {max_letters}.")
    return text


def check_top_k(top_k: int, *, maximum: int) -> int:
    """Check the number of results.

    Raises:
        HTTPException: 422 if it is not from 1 to `maximum`.
    """
    if not 1 <= top_k <= maximum:
        raise HTTPException(422, f"{top_k} results were requested; the number must be from 1 to {maximum}.")
    return top_k


def form_conditions(request: Request) -> Sequence[str]:
    """Conditions from the page's form: its `where` fields, and the `min:`, `max:` and `has:` fields of columns."""
    operators: dict[str, Operator] = {"min": ">=", "max": "<=", "has": "~"}
    conditions = [value for value in request.query_params.getlist("where") if value.strip()]
    for name, value in request.query_params.multi_items():
        kind, _, column = name.partition(":")
        if kind in operators and column and value.strip():
            conditions.append(write_condition(column, operators[kind], value.strip()))
    return conditions
