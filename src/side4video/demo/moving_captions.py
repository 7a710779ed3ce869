"""Videos with captions such as "a red square moves up": only the order of the frames reveals the motion.

A shape crosses the picture in eight stops. The same scene moving down gives the same eight frames in the opposite
order, and likewise for left and right. So a model that averages or compares features of single frames gives both
captions the same score.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from side4video.demo.captioned_stills import MAX_DISTANCE, name_shape, random_captioned_shape
from side4video.demo.still_shapes import COLOURS, FORMS, Shape, draw_background, draw_shape

NUM_STOPS = 8
"""Number of evenly spaced positions of a moving shape."""

MOTIONS: dict[str, tuple[int, int]] = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
"""Word for each motion -> its direction; x to the right, y down."""

MAX_PATH_OFFSET = 0.2
"""Largest distance of a shape's path from the centre: a shape may move left near the top, so its place does not reveal
its motion."""


@dataclass(frozen=True)
class MotionCaption:
    """A parsed caption of a video; `str()` is the caption.

    >>> str(MotionCaption(form="square", colour="red", motion="up"))
    'a red square moves up'
    """

    form: str
    colour: str
    motion: str

    def __str__(self) -> str:
        return f"{name_shape(self.form, self.colour)} moves {self.motion}"

    @classmethod
    def all_captions(cls) -> list[Self]:
        """All captions: form x colour x motion."""
        return [cls(form, colour, motion) for form in FORMS for colour in COLOURS for motion in MOTIONS]

    @property
    def held_out(self) -> bool:
        """Whether no training video has this caption: for each form and colour one motion, in rotation."""
        place = FORMS.index(self.form) + tuple(COLOURS).index(self.colour)
        return tuple(MOTIONS).index(self.motion) == place % len(MOTIONS)


@dataclass(frozen=True)
class CrossingScene:
    """A background and a shape that crosses it, in fractions of the picture's side.

    Attributes:
        background: uint8 (H, W, 3).
        shape: the shape in the middle of its path, near the picture's centre.
        reach: length of the path from there to either side.

    >>> scene = CrossingScene.random(np.random.default_rng(0), form="disc", colour="red")
    >>> draw_crossing(scene, "up").shape
    (24, 64, 64, 3)
    """

    background: NDArray[np.uint8]
    shape: Shape
    reach: float

    @classmethod
    def random(cls, generator: np.random.Generator, *, form: str, colour: str, size: int = 64) -> Self:
        """Return a random scene of size x size pixels; the shape stays wholly inside the picture."""
        background = draw_background(generator, size=size)
        shape = random_captioned_shape(generator, form=form, colour=colour)
        reach = float(generator.uniform(MAX_DISTANCE - 0.06, MAX_DISTANCE))
        x, y = (float(place) for place in generator.uniform(0.5 - MAX_PATH_OFFSET, 0.5 + MAX_PATH_OFFSET, size=2))
        return cls(background=background, shape=shape.moved_to(x, y), reach=reach)


def draw_crossing(scene: CrossingScene, motion: str, *, frames_per_stop: int = 3) -> NDArray[np.uint8]:
    """Draw the frames of a motion: uint8 (8 * frames_per_stop, H, W, 3).

    The shape rests at each stop, so that a clip of one frame from each of eight segments shows every stop once.

    Raises:
        ValueError: the motion is unknown, or `frames_per_stop` is less than 1.
    """
    if motion not in MOTIONS:
        raise ValueError(f"{motion = } is not a known motion. Use one of {', '.join(MOTIONS)}.")
    if frames_per_stop < 1:
        raise ValueError(f"{frames_per_stop = } must be 1 or more.")
    right, down = MOTIONS[motion]
    centre_x = 0.5 if right else scene.shape.x
    centre_y = 0.5 if down else scene.shape.y
    offsets = [
        scene.reach * (2 * stop + 1 - NUM_STOPS) / (NUM_STOPS - 1) for stop in range(NUM_STOPS)
    ]  # -reach to reach
    stops = [
        draw_shape(scene.background, scene.shape.moved_to(centre_x + right * step, centre_y + down * step))
        for step in offsets
    ]
    return np.stack(stops).repeat(frames_per_stop, axis=0)
