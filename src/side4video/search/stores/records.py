"""What an index holds: a record for each window of a video, and one about the index itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from side4video.models.similarity import Similarity

Metadata = Mapping[str, str | float | bool]
"""What a user's CSV says of a video: column -> value; numbers are numbers, everything else is text."""


@dataclass(frozen=True)
class IndexedFile:
    """A video file as it was when it was indexed.

    Attributes:
        path: absolute, links resolved.
        content: hash of its bytes (`checking.content.hash_content`).
        size: bytes.
        modified: nanoseconds since 1970, as the file system says; with `size` tells that nothing changed without
            reading the file.
        duration_seconds: of the whole video.
        metadata: of the video.
    """

    path: str
    content: str
    size: int
    modified: int
    duration_seconds: float
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True)
class Window:
    """A part of a video and what the model knows of it.

    Attributes:
        file: of which it is a part.
        number: 0 for the first window of its video.
        start_seconds, end_seconds: the part, half-open; of a video that is not cut 0 and its duration.
        frames: (T, E) float16, embeddings of the frames, each of length 1.
        frame_weights: (T,) float32, how much each frame counts, together 1.
        frame_seconds: (T,) float32, when in the video each frame is shown.
        mean: (E,) float32, mean of the frames' embeddings before they were normalised, itself of length 1.
    """

    file: IndexedFile
    number: int
    start_seconds: float
    end_seconds: float
    frames: NDArray[np.float16]
    frame_weights: NDArray[np.float32]
    frame_seconds: NDArray[np.float32]
    mean: NDArray[np.float32]


@dataclass(frozen=True)
class IndexInfo:
    """Which model made an index, and how.

    Attributes:
        model: what was given as the model: an adapter's folder or name on the hub, or a backbone's short name.
        fingerprint: of the model's weights and of the settings that change embeddings; another model is refused.
        similarity: how the model compares words and frames.
        num_frames: T, of a window.
        embed_dim: E.
        window_seconds: length of the windows of long videos.
        overlap_seconds: how much two neighbours share.
        package_version: of this package.
    """

    model: str
    fingerprint: str
    similarity: Similarity
    num_frames: int
    embed_dim: int
    window_seconds: float
    overlap_seconds: float
    package_version: str
