"""Writes the retrieval demonstration's videos: short real mp4 files and two CSV files with their captions."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from side4video.atomic_files import write_rows
from side4video.demo.moving_captions import MOTIONS, CrossingScene, MotionCaption, draw_crossing
from side4video.demo.still_shapes import COLOURS, FORMS
from side4video.demo.videos import FRAMES_PER_SECOND, write_or_check_settings, write_video


@dataclass(frozen=True, kw_only=True)
class CaptionedVideos:
    """Settings of a folder of videos, stored in it as `captioned_videos.json`.

    Attributes:
        train_clips_per_caption: training clips of each caption that is not held out.
        forms, colours: forms and colours of the shapes, in all combinations and with all four motions.
        size: width and height in pixels, even.
        seed: decides every picture.

    Raises:
        ValueError: there are no clips, or forms or colours are unknown.

    >>> len(CaptionedVideos(forms=("disc",), colours=("red", "blue")).captions)
    8
    """

    train_clips_per_caption: int = 3
    forms: tuple[str, ...] = FORMS
    colours: tuple[str, ...] = tuple(COLOURS)
    size: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if self.train_clips_per_caption < 1:
            raise ValueError(f"{self.train_clips_per_caption = } must be 1 or more.")
        for name, given, known in (("forms", self.forms, FORMS), ("colours", self.colours, tuple(COLOURS))):
            if not given or not set(given) <= set(known) or len(set(given)) < len(given):
                raise ValueError(f"{name} = {given} must be one or more, all different, of {', '.join(known)}.")

    @property
    def captions(self) -> list[MotionCaption]:
        """All captions, form by form; each has one test video."""
        return [
            caption
            for caption in MotionCaption.all_captions()
            if caption.form in self.forms and caption.colour in self.colours
        ]

    @property
    def splits(self) -> dict[str, list[MotionCaption]]:
        """The caption of each video of the split "train" or "test"."""
        seen = [caption for caption in self.captions if not caption.held_out]
        return {"train": seen * self.train_clips_per_caption, "test": self.captions}


def make_captioned_videos(folder: Path, videos: CaptionedVideos | None = None) -> int:
    """Write `train/0001.mp4` ..., `test/0001.mp4` ..., `train.csv` and `test.csv` below `folder`.

    Every clip has its own scene. All captions of the test set differ, so each has exactly one correct video. A quarter
    of them have no training video, but their forms, colours and motions occur in training. Existing files are kept, so
    an interrupted run continues where it stopped.

    Args:
        folder: created if it does not exist.
        videos: by default 432 for training and 192 for testing, 64 x 64 pixels.

    Returns:
        Number of new videos.

    Raises:
        ValueError: the folder holds videos with other settings.
    """
    videos = videos or CaptionedVideos()
    settings = asdict(videos) | {"forms": [*videos.forms], "colours": [*videos.colours], "motions": [*MOTIONS]}
    write_or_check_settings(folder / "captioned_videos.json", settings | {"frames_per_second": FRAMES_PER_SECOND})
    wanted = {
        folder / split / f"{number:04d}.mp4": (caption, (videos.seed, split_index, number))
        for split_index, (split, captions) in enumerate(videos.splits.items())
        for number, caption in enumerate(captions, start=1)
    }
    missing = {path: clip for path, clip in wanted.items() if not path.exists()}
    for path, (caption, key) in tqdm(missing.items(), desc="drawing videos", unit="clip", disable=not missing):
        path.parent.mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng(key)
        scene = CrossingScene.random(generator, form=caption.form, colour=caption.colour, size=videos.size)
        write_video(path, draw_crossing(scene, caption.motion), frames_per_second=FRAMES_PER_SECOND)
    for split in videos.splits:
        rows = [(path.relative_to(folder).as_posix(), str(clip[0])) for path, clip in wanted.items()]
        own = [row for row in rows if row[0].startswith(f"{split}/")]
        write_rows(folder / f"{split}.csv", ("video", "caption"), own)
    return len(missing)
