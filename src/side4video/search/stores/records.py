"""The records of an index: one for each window of a video, and one that describes the index."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from side4video.models.similarity import Similarity
from side4video.subtitles.cues import Cue

Metadata = Mapping[str, str | float | bool]
"""Metadata of a video from the user's CSV: column -> value; values are numbers, booleans or text."""


@dataclass(frozen=True)
class IndexedFile:
    """The state of a video file when it was indexed.

    Attributes:
        path: absolute path as the user gave it, with links; or an address such as s3://bucket/clip.mp4.
        content: hash of its content (`search.file_states.content_of_file`).
        size: size in bytes.
        modified: modification time in nanoseconds since 1970; of an address, a number for its entity tag or time. With
            `size` it shows that a file is unchanged, without reading the file.
        duration_seconds: duration of the whole video.
        metadata: metadata of the video.

    >>> from side4video.search.stores.open_store import open_store
    >>> files = open_store("index").files()
    >>> {file.duration_seconds for file in files.values()}
    {2.0}
    """

    path: str
    content: str
    size: int
    modified: int
    duration_seconds: float
    metadata: Metadata = field(default_factory=dict)


@dataclass(frozen=True)
class VideoSubtitles:
    """The subtitles of a video.

    Attributes:
        state: sizes and times of the files that they were read from, to detect changes.
        cues: in the order of their times; of all languages.

    >>> VideoSubtitles("{}", (Cue(1.0, 2.5, "A dog barks."),)).cues[0].text
    'A dog barks.'
    """

    state: str
    cues: tuple[Cue, ...] = ()


@dataclass(frozen=True)
class Window:
    """A part of a video with its embeddings.

    Attributes:
        file: the video.
        number: position in the video; 0 for the first window.
        start_seconds: start of the window; 0 if the video is not split.
        end_seconds: end of the window, exclusive; the video's duration if the video is not split.
        frames: (T, E) float16, embeddings of the frames, each of length 1.
        frame_weights: (T,) float32, weights of the frames, with sum 1.
        frame_seconds: (T,) float32, time of each frame in the video.
        mean: (E,) float32, mean of the frames' embeddings before normalisation, scaled to length 1.

    >>> from side4video.search.stores.open_store import open_store
    >>> store = open_store("index")
    >>> [window] = next(store.windows_of([min(store.files())]))
    >>> window.start_seconds, window.end_seconds, len(window.frames)
    (0.0, 2.0, 4)
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
    """The description of an index: which model made it, with which settings.

    Attributes:
        model: the model as the user gave it: an adapter folder or hub name, or a backbone's short name.
        fingerprint: hashes of the model's weights and of the settings that change embeddings. A model with another
            fingerprint is rejected.
        similarity: how the model compares words and frames.
        num_frames: T, the number of frames per window.
        embed_dim: E, the size of an embedding.
        window_seconds: length of the windows of long videos.
        overlap_seconds: overlap of neighbouring windows.
        package_version: version of this package.

    >>> from side4video.search.stores.open_store import open_store
    >>> info = open_store("index").read_info()
    >>> info.window_seconds, info.overlap_seconds
    (10.0, 5.0)
    """

    model: str
    fingerprint: str
    similarity: Similarity
    num_frames: int
    embed_dim: int
    window_seconds: float
    overlap_seconds: float
    package_version: str
