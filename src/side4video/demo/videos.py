"""Writes the demonstration's videos: a folder per class with short real mp4 files of moving shapes."""

import json
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray
from tqdm import tqdm

from side4video.atomic_files import write_json
from side4video.demo.moving_shapes import MOTIONS, Scene, draw_clip
from side4video.video.container import file_address

FRAMES_PER_SECOND = 12
"""Speed at which the demonstration's videos play; their 24 frames make 2 seconds."""

# Every frame is a key frame of fixed quality, so that equal pictures give equal pixels in any order. Otherwise the
# codec's artefacts of the previous frame would reveal how the shape moves.
_CODECS = {
    "libx264": {"qp": "18", "preset": "veryfast", "x264-params": "keyint=1:scenecut=0:aq-mode=0"},
    "mpeg4": {"qmin": "3", "qmax": "3"},
}


@dataclass(frozen=True, kw_only=True)
class MotionVideos:
    """Settings of a folder of videos, stored in it as `motion_videos.json`.

    Attributes:
        train_clips_per_class: clips of each of the eight motions below `train`.
        test_clips_per_class: the same below `test`.
        size: width and height in pixels, even.
        seed: decides every picture.

    >>> MotionVideos(train_clips_per_class=3).test_clips_per_class
    20
    """

    train_clips_per_class: int = 80
    test_clips_per_class: int = 20
    size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("train_clips_per_class", "test_clips_per_class"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be 1 or more.")


def make_motion_videos(folder: Path, videos: MotionVideos | None = None) -> int:
    """Write `train/<motion>/0001.mp4` ... and `test/<motion>/0001.mp4` ... below `folder`.

    A clip depends only on the seed, its split, motion and number. Existing files are kept, so an interrupted run
    continues where it stopped.

    Args:
        folder: created if it does not exist.
        videos: number and size of the clips; by default 8 x 80 for training and 8 x 20 for testing, 64 x 64 pixels.

    Returns:
        Number of new files.

    Raises:
        ValueError: the folder holds videos with other settings.
    """
    videos = videos or MotionVideos()
    motions = {motion: list(stops) for motion, stops in MOTIONS.items()}
    settings = asdict(videos) | {"motions": motions, "frames_per_second": FRAMES_PER_SECOND}
    write_or_check_settings(folder / "motion_videos.json", settings)
    wanted = {path: key for path, key in _clip_keys(videos) if not (folder / path).exists()}
    for path, key in tqdm(wanted.items(), desc="drawing videos", unit="clip", disable=not wanted):
        scene = Scene.random(np.random.default_rng(key), size=videos.size)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_video(folder / path, draw_clip(scene, path.parent.name), frames_per_second=FRAMES_PER_SECOND)
    return len(wanted)


def _clip_keys(videos: MotionVideos) -> list[tuple[Path, tuple[int, ...]]]:
    """Each clip's path below the folder and the seed of its generator."""
    splits = {"train": videos.train_clips_per_class, "test": videos.test_clips_per_class}
    return [
        (Path(split, motion, f"{clip:04d}.mp4"), (videos.seed, split_index, motion_index, clip))
        for split_index, (split, num_clips) in enumerate(splits.items())
        for motion_index, motion in enumerate(MOTIONS)
        for clip in range(1, num_clips + 1)
    ]


def write_or_check_settings(path: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a folder's videos to a JSON file, or compare them with the existing file.

    Args:
        path: the JSON file in the folder of the videos.
        settings: all settings that decide the videos, as JSON types.

    Raises:
        ValueError: the videos were made with other settings.
    """
    if path.exists() and (found := json.loads(path.read_text(encoding="utf-8"))) != settings:
        raise ValueError(
            f"{path.parent} contains videos made with {found}, not {settings}. Use another folder or remove this one."
        )
    write_json(path, settings)


def write_video(path: Path, frames: NDArray[np.uint8], *, frames_per_second: int, codec: str | None = None) -> None:
    """Write an mp4 file of key frames; it gets its final name only after it is complete.

    Args:
        path: the file; its folder exists.
        frames: uint8 (T, H, W, 3), RGB, H and W even.
        frames_per_second: the speed at which it plays.
        codec: "libx264" (H.264) or "mpeg4" (MPEG-4 part 2); by default the first that PyAV was built with.

    Raises:
        ValueError: frames have another type or shape, or the codec is not supported.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
        raise ValueError(f"frames are {frames.dtype} {frames.shape}. Give uint8 (T, H, W, 3).")
    height, width = frames.shape[1:3]
    if height % 2 or width % 2:
        raise ValueError(f"{height = } and {width = } must be even for this codec. Crop or pad the frames.")
    unfinished = path.with_suffix(".part")
    codec = codec or next(name for name in _CODECS if name in av.codecs_available)
    if codec not in _CODECS:
        raise ValueError(f"{codec = } is not supported. Use one of {', '.join(_CODECS)}.")
    with av.open(file_address(unfinished), "w", format="mp4") as container:
        stream = cast(
            VideoStream, container.add_stream(codec, rate=Fraction(frames_per_second), options=_CODECS[codec])
        )
        stream.height, stream.width, stream.pix_fmt, stream.gop_size = height, width, "yuv420p", 1
        stream.thread_count = 1  # the same bytes on every machine with the same PyAV
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    unfinished.replace(path)
