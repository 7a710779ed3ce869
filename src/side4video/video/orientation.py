"""How decoded frames are mirrored and rotated to show them upright, from the display matrix of the file."""

import math
import struct
from typing import Any, NamedTuple, cast

import av
import numpy as np


class Orientation(NamedTuple):
    """A frame is mirrored first (left and right swapped), then rotated counter-clockwise.

    >>> Orientation(quarter_turns=1).apply(np.array([[1, 2]])).tolist()
    [[2], [1]]
    >>> Orientation(is_mirrored=True).apply(np.array([[1, 2]])).tolist()
    [[2, 1]]
    """

    quarter_turns: int = 0
    is_mirrored: bool = False

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """A view of the upright picture; shape (height, width, ...)."""
        return np.rot90(picture[:, ::-1] if self.is_mirrored else picture, self.quarter_turns)


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """The orientation of a decoded frame. Rotations are rounded to quarter turns, scale and shift are ignored."""
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV does not know all kinds of data beside a frame, such as the Exif data of cameras
        return Orientation(round(frame.rotation / 90) % 4)
    if matrix is None:
        return Orientation()
    a, b, _, c, d = struct.unpack("=9i", bytes(cast(Any, matrix)))[
        :5
    ]  # row vectors: (x, y) is shown at (ax + cy, bx + dy)
    is_mirrored = a * d - b * c < 0
    if is_mirrored:  # the matrix is diag(-1, 1) @ rotation
        a, b = -a, -b
    return Orientation(round(-math.degrees(math.atan2(b, a)) / 90) % 4, is_mirrored)
