"""Draws still pictures with captions such as "a red square on the left" to pre-train the small image-text model."""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from side4video.demo.still_shapes import COLOURS, FORMS, Shape, draw_background, draw_shape

PLACES: dict[str, tuple[int, int]] = {
    "on the left": (-1, 0),
    "on the right": (1, 0),
    "up there": (0, -1),
    "down there": (0, 1),
    "in the middle": (0, 0),
}
"""Phrase for each place -> direction from the picture's centre; x to the right, y down."""

MIN_DISTANCE, MAX_DISTANCE = 0.14, 0.3
"""Distance of a shape "on the left" from the centre, as a fraction of the picture's side."""

MAX_OFFSET = 0.1
"""Largest distance from the centre line across that direction; also of a shape "in the middle" from the centre."""

MIN_CAPTIONED_RADIUS, MAX_CAPTIONED_RADIUS = 0.14, 0.2
"""Smallest and largest radius of a captioned shape: its form must be visible in 64 x 64 pixels."""

MAX_TILT = 0.2
"""Maximum rotation of a captioned shape to either side, radians."""


@dataclass(frozen=True)
class StillCaption:
    """A parsed caption of a picture; `str()` is the caption.

    >>> str(StillCaption(form="star", colour="orange", place="up there"))
    'an orange star up there'
    """

    form: str
    colour: str
    place: str

    def __str__(self) -> str:
        return f"{name_shape(self.form, self.colour)} {self.place}"

    @classmethod
    def all_captions(cls) -> list[Self]:
        """All captions: form x colour x place."""
        return [cls(form, colour, place) for form in FORMS for colour in COLOURS for place in PLACES]


def name_shape(form: str, colour: str) -> str:
    """Return the words for a shape, with their article.

    >>> name_shape("square", "red"), name_shape("disc", "orange")
    ('a red square', 'an orange disc')
    """
    return f"{'an' if colour[0] in 'aeiou' else 'a'} {colour} {form}"


def random_captioned_shape(generator: np.random.Generator, *, form: str, colour: str) -> Shape:
    """Return a shape of random size and tilt at the picture's centre."""
    return Shape(
        form=form,
        colour=colour,
        x=0.5,
        y=0.5,
        radius=float(generator.uniform(MIN_CAPTIONED_RADIUS, MAX_CAPTIONED_RADIUS)),
        angle=float(generator.uniform(-MAX_TILT, MAX_TILT) - math.pi / 2),
    )


def draw_captioned_still(generator: np.random.Generator, caption: StillCaption, *, size: int = 64) -> NDArray[np.uint8]:
    """Draw a random picture, uint8 (size, size, 3), that matches the caption.

    Raises:
        ValueError: the form, colour or place is unknown.
    """
    if caption.place not in PLACES:
        raise ValueError(f"{caption.place = } is not a known place. Use one of {', '.join(PLACES)}.")
    shape = random_captioned_shape(generator, form=caption.form, colour=caption.colour)
    right, down = PLACES[caption.place]
    distance = float(generator.uniform(MIN_DISTANCE, MAX_DISTANCE))
    offset_x, offset_y = (float(value) for value in generator.uniform(-MAX_OFFSET, MAX_OFFSET, size=2))
    x = 0.5 + (right * distance if right else offset_x)
    y = 0.5 + (down * distance if down else offset_y)
    return draw_shape(draw_background(generator, size=size), shape.moved_to(x, y))
