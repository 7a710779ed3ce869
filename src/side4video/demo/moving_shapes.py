"""Eight motions that differ only in the order of the frames.

A shape jumps around a ring of eight stops and visits each stop exactly once. There are four patterns, each clockwise
and anticlockwise: one turn, two fast turns (every second stop, then the others), three turns along the rays of a star,
and crossing the ring with every jump. The motions differ only in the order of the visits: the same scene with another
motion gives the same eight frames, shuffled. So the set of frames, and every average over frames, is the same for all
eight motions. The ring is rotated by a random angle, so a single frame at a known time carries no information either.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from side4video.demo.still_shapes import Shape, draw_background, draw_shape, random_shape

NUM_STOPS = 8
"""Stops on the ring, numbered clockwise from 0."""

MOTIONS: dict[str, tuple[int, ...]] = {
    "clockwise": (0, 1, 2, 3, 4, 5, 6, 7),
    "anticlockwise": (0, 7, 6, 5, 4, 3, 2, 1),
    "fast_clockwise": (0, 2, 4, 6, 7, 1, 3, 5),
    "fast_anticlockwise": (0, 6, 4, 2, 1, 7, 5, 3),
    "star_clockwise": (0, 3, 6, 1, 4, 7, 2, 5),
    "star_anticlockwise": (0, 5, 2, 7, 4, 1, 6, 3),
    "crossing_clockwise": (0, 4, 1, 5, 2, 6, 3, 7),
    "crossing_anticlockwise": (0, 4, 7, 3, 6, 2, 5, 1),
}
"""Name of each motion -> the stops in the order in which the shape visits them."""


@dataclass(frozen=True)
class Scene:
    """A background, a shape and the ring of stops, in fractions of the picture's side.

    Attributes:
        background: uint8 (H, W, 3).
        shape: the shape at the ring's centre.
        ring_radius: distance of the stops from the centre.
        ring_angle: direction of stop 0, in radians clockwise from the right.

    >>> scene = Scene.random(np.random.default_rng(0))
    >>> draw_clip(scene, "clockwise").shape
    (24, 64, 64, 3)
    """

    background: NDArray[np.uint8]
    shape: Shape
    ring_radius: float
    ring_angle: float

    @classmethod
    def random(cls, generator: np.random.Generator, *, size: int = 64) -> Self:
        """Return a random scene of size x size pixels whose stops lie wholly inside the picture."""
        x, y = generator.uniform(0.47, 0.53, size=2)
        return cls(
            background=draw_background(generator, size=size),
            shape=replace(random_shape(generator), x=float(x), y=float(y)),
            ring_radius=float(generator.uniform(0.25, 0.3)),
            ring_angle=float(generator.uniform(0, 2 * math.pi)),
        )

    def draw_stop(self, stop: int) -> NDArray[np.uint8]:
        """Return the frame, uint8 (H, W, 3), with the shape at `stop`, which counts clockwise and modulo 8."""
        angle = self.ring_angle + 2 * math.pi * stop / NUM_STOPS
        x = self.shape.x + self.ring_radius * math.cos(angle)
        y = self.shape.y + self.ring_radius * math.sin(angle)  # y points down, so growing angles turn clockwise
        return draw_shape(self.background, replace(self.shape, x=x, y=y))


def draw_clip(scene: Scene, motion: str, *, frames_per_stop: int = 3) -> NDArray[np.uint8]:
    """Draw the frames of one motion: uint8 (8 * frames_per_stop, H, W, 3).

    The shape rests at each stop, so that a clip of one frame from each of eight segments shows every stop once,
    regardless of its position in the segment. This requires three frames per stop: with two, the paper's test clips,
    whose segments are (n - 1) / 8 long, would miss the last stop.

    Raises:
        ValueError: the motion is unknown, or `frames_per_stop` is less than 1.
    """
    if motion not in MOTIONS:
        raise ValueError(f"{motion = } is not a known motion. Use one of {', '.join(MOTIONS)}.")
    if frames_per_stop < 1:
        raise ValueError(f"{frames_per_stop = } must be 1 or more.")
    frames = np.stack([scene.draw_stop(stop) for stop in MOTIONS[motion]])
    return frames.repeat(frames_per_stop, axis=0)
