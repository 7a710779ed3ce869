"""What a request asks for, checked: words, conditions, how many results."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

from fastapi import HTTPException, Query, Request

from side4video.search.stores.filters import Filter, parse_filter

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


def make_filter(where: Iterable[str], path: str | None, columns: Mapping[str, type]) -> Filter:
    """The filter of a request.

    Raises:
        HTTPException: 422 for what is no condition on one of the columns.
    """
    conditions = [text for text in where if text.strip()]
    try:
        return parse_filter(conditions[:_MOST_CONDITIONS], path.strip() if path and path.strip() else None, columns)
    except ValueError as error:
        raise HTTPException(422, str(error)) from None


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
