"""Draws still pictures of one coloured shape on a blotchy background to pre-train the demonstration's image model.

All lengths are fractions of the picture's side, x to the right and y down, angles in radians, so that a shape looks
the same at every resolution.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

COLOURS = {
    "red": (235, 50, 45),
    "orange": (250, 150, 30),
    "yellow": (240, 235, 60),
    "green": (60, 210, 70),
    "cyan": (60, 220, 230),
    "blue": (60, 100, 250),
    "magenta": (230, 70, 220),
    "white": (245, 245, 245),
}
"""Name of each colour a shape can have -> its 8-bit red, green and blue."""

FORMS = ("disc", "ring", "triangle", "square", "star", "cross")
"""The forms a shape can have."""

MIN_RADIUS, MAX_RADIUS = 0.1, 0.16
"""A shape's smallest and largest radius."""

_BLOTCHES = 4  # background blotches along one side
_GRAIN = 6.0  # standard deviation of the pixel noise, in grey levels


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One coloured shape in the picture; `radius` is the radius of its circumscribed circle.

    Raises:
        ValueError: the form or colour is unknown.

    >>> Shape(form="disc", colour="red", x=0.5, y=0.5, radius=0.1).moved_to(0.2, 0.5).x
    0.2
    """

    form: str
    colour: str
    x: float
    y: float
    radius: float
    angle: float = 0.0

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ValueError(f"{self.form = } is not a known form. Use one of {', '.join(FORMS)}.")
        if self.colour not in COLOURS:
            raise ValueError(f"{self.colour = } is not a known colour. Use one of {', '.join(COLOURS)}.")

    def moved_to(self, x: float, y: float) -> Self:
        """Return the same shape at another place."""
        return replace(self, x=x, y=y)


def signed_distance(form: str, u: NDArray[np.floating], v: NDArray[np.floating]) -> NDArray[np.floating]:
    """Distance of the points (u, v) outside (> 0) or inside (< 0) a form of radius 1 centred at the origin.

    It is exact along the edges and an underestimate beyond the corners, which is sufficient for smooth drawing.
    """
    distance = np.hypot(u, v)
    match form:
        case "disc":
            return distance - 1
        case "ring":
            return np.abs(distance - 0.75) - 0.25
        case "triangle":
            return _star_distance(distance, np.arctan2(v, u), points=3, inner=math.cos(math.pi / 3))
        case "square":
            return _star_distance(distance, np.arctan2(v, u), points=4, inner=math.cos(math.pi / 4))
        case "star":
            return _star_distance(distance, np.arctan2(v, u), points=5, inner=0.45)
        case "cross":
            near, far = np.minimum(np.abs(u), np.abs(v)), np.maximum(np.abs(u), np.abs(v))
            return np.maximum(near - 0.3, far - 0.95)
    raise ValueError(f"{form = } is not a known form. Use one of {', '.join(FORMS)}.")


def _star_distance(
    distance: NDArray[np.floating], angle: NDArray[np.floating], *, points: int, inner: float
) -> NDArray[np.floating]:
    """Distance to the edge between an outer corner, at 1, and an inner one, at `inner`; all edges mirror that one.

    With `inner = cos(pi / points)` the inner corners are on straight edges: a regular polygon.
    """
    half_turn = math.pi / points
    folded = np.abs(np.mod(angle + half_turn, 2 * half_turn) - half_turn)  # 0 at an outer corner, half_turn at an inner
    edge_u, edge_v = inner * math.cos(half_turn) - 1, inner * math.sin(half_turn)
    length = math.hypot(edge_u, edge_v)
    return ((distance * np.cos(folded) - 1) * edge_v - distance * np.sin(folded) * edge_u) / length


def draw_background(generator: np.random.Generator, *, size: int = 64) -> NDArray[np.uint8]:
    """Draw a dark background (size, size, 3) of smooth colour blotches, two bright specks and fine grain."""
    blotches = generator.integers(25, 115, size=(_BLOTCHES, _BLOTCHES, 3), dtype=np.uint8)
    picture = np.asarray(Image.fromarray(blotches).resize((size, size), Image.Resampling.BICUBIC))
    for _ in range(2):
        x, y = generator.uniform(0.05, 0.95, size=2)
        speck = Shape(
            form="disc", colour=_choose(generator, tuple(COLOURS)), x=x, y=y, radius=generator.uniform(0.02, 0.035)
        )
        picture = draw_shape(picture, speck)
    grain = generator.normal(0, _GRAIN, size=(size, size, 1))
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


def draw_shape(picture: NDArray[np.uint8], shape: Shape) -> NDArray[np.uint8]:
    """Return a copy of `picture`, (H, W, 3), with `shape` drawn over it, its edges one pixel soft."""
    coverage = shape_coverage(shape, size=picture.shape[0])[..., None]  # (H, W, 1)
    blend = coverage * np.array(COLOURS[shape.colour]) + (1 - coverage) * picture
    return np.rint(blend).astype(np.uint8)


def shape_coverage(shape: Shape, *, size: int = 64) -> NDArray[np.floating]:
    """Return the part of each pixel, 0 to 1, that `shape` covers in a square picture: (size, size)."""
    centres = (np.arange(size, dtype=np.float32) + 0.5) / size
    x, y = (centres[None, :] - shape.x) / shape.radius, (centres[:, None] - shape.y) / shape.radius
    cos, sin = math.cos(shape.angle), math.sin(shape.angle)
    distance = signed_distance(shape.form, cos * x + sin * y, cos * y - sin * x)
    return np.clip(0.5 - distance * shape.radius * size, 0, 1)


def random_shape(generator: np.random.Generator) -> Shape:
    """Return a shape of random form, colour, radius and angle, wholly inside the picture."""
    radius = generator.uniform(MIN_RADIUS, MAX_RADIUS)
    x, y = generator.uniform(radius, 1 - radius, size=2)
    return Shape(
        form=_choose(generator, FORMS),
        colour=_choose(generator, tuple(COLOURS)),
        x=float(x),
        y=float(y),
        radius=float(radius),
        angle=float(generator.uniform(0, 2 * math.pi)),
    )


def draw_still(generator: np.random.Generator, *, size: int = 64) -> tuple[NDArray[np.uint8], Shape]:
    """Draw one still picture, (size, size, 3), and return it with its shape."""
    shape = random_shape(generator)
    return draw_shape(draw_background(generator, size=size), shape), shape


def _choose(generator: np.random.Generator, names: tuple[str, ...]) -> str:
    return names[generator.integers(len(names))]
