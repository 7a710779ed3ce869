"""Checks of parameters before work begins: one value where several are allowed, and numbers in their range."""

import math
from collections.abc import Iterable
from numbers import Integral, Real
from os import PathLike
from typing import Any, TypeVar, overload

Item = TypeVar("Item")


@overload
def as_list(given: str | Iterable[str]) -> list[str]: ...


@overload
def as_list(given: Item | Iterable[Item]) -> list[Item]: ...


def as_list(given: Any) -> list[Any]:
    """Several values as a list. One string, path, bytes or open file is a list of one, although Python can iterate it.

    >>> as_list("a dog"), as_list(("a dog", "a cat"))
    (['a dog'], ['a dog', 'a cat'])
    """
    if isinstance(given, (str, bytes, PathLike)) or hasattr(given, "read") or not isinstance(given, Iterable):
        return [given]
    return list(given)


def check_count(value: Any, name: str, *, minimum: int = 1) -> None:
    """Check a whole number.

    >>> check_count(5, "top_k")

    Raises:
        ValueError: the value is not a whole number, or below the minimum.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or value < minimum:
        raise ValueError(f"{name} = {value!r} must be a whole number of {minimum} or more.")


def check_number(
    value: Any, name: str, *, above: float | None = None, minimum: float | None = None, maximum: float | None = None
) -> None:
    """Check a finite number; `above` is a minimum that is itself not allowed.

    >>> check_number(0.5, "min_score", minimum=0, maximum=1)

    Raises:
        ValueError: the value is not a number, not finite, or outside the range.
    """
    bounds = {"above": above, "at least": minimum, "at most": maximum}
    valid = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if (
        not valid
        or (above is not None and value <= above)
        or (minimum is not None and value < minimum)
        or (maximum is not None and value > maximum)
    ):
        range_text = " and ".join(f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None)
        raise ValueError(f"{name} = {value!r} must be a finite number{f', {range_text}' if range_text else ''}.")
