"""Videos that tests write."""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np


def write_grey_video(
    path: Path, brightness: Sequence[int], *, height: int = 48, width: int = 64, fps: int = 10
) -> Path:
    """An mp4 file of one-coloured frames: frame n has grey level `brightness[n]`, within 3 when decoded."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for level in brightness:
            frame = av.VideoFrame.from_ndarray(np.full((height, width, 3), level, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
