"""How pictures are prepared for an image model: size, mean, standard deviation, interpolation."""

import math
from dataclasses import dataclass
from typing import Any

_INTERPOLATIONS = ("bicubic", "bilinear", "nearest", "lanczos", "random")


@dataclass(frozen=True)
class Preprocessing:
    """What an image model expects of its pictures.

    Attributes:
        mean, std: per channel (red, green, blue), for pixels between 0 and 1.
        interpolation: "bicubic", "bilinear" ...: how pictures are resized.

    >>> Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic").interpolation
    'bicubic'
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str

    def __post_init__(self) -> None:
        for name, numbers, least in (("mean", self.mean, -10.0), ("std", self.std, 1e-6)):
            if len(numbers) != 3 or not all(math.isfinite(number) and least <= number <= 10 for number in numbers):
                raise ValueError(f"{name} = {list(numbers)} is not three numbers, for red, green and blue.")
        if self.interpolation not in _INTERPOLATIONS:
            raise ValueError(
                f"interpolation = {self.interpolation!r} is not known. Use one of {', '.join(_INTERPOLATIONS)}."
            )

    def differences(self, other: "Preprocessing") -> str:
        """What differs from other settings, such as "mean 0.48, 0.46, 0.41 (not 0.5, 0.5, 0.5)"; empty: nothing.

        >>> grey = Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic")
        >>> Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bilinear").differences(grey)
        'interpolation bilinear (not bicubic)'
        """
        parts = []
        for name in ("mean", "std"):
            own, its = getattr(self, name), getattr(other, name)
            if any(abs(one - two) > 1e-6 for one, two in zip(own, its, strict=True)):
                parts.append(f"{name} {_numbers(own)} (not {_numbers(its)})")
        if self.interpolation != other.interpolation:
            parts.append(f"interpolation {self.interpolation} (not {other.interpolation})")
        return ", ".join(parts)


def read_preprocessing(stored: dict[str, Any]) -> Preprocessing:
    """The preprocessing in an adapter's config.

    Raises:
        ValueError: values are missing or out of range.
    """
    try:
        return Preprocessing(
            tuple(float(number) for number in stored["mean"]),
            tuple(float(number) for number in stored["std"]),
            str(stored["interpolation"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"mean, std or interpolation is missing or not a number ({error})") from error


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
