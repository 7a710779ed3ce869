"""Makes the development sets for few clips from folders of real videos: five sets of classes, seen and of motion.

python benchmarks/few_clips_sets.py --data DATA --out SETS

DATA holds `ucf3`, `ut_interaction` and `egogestar`, each with train.txt and test.txt (`path label` lines) and videos.
SETS gets one folder per set with videos, train.txt, test.txt and clips.csv (path, label, group, split). Training and
test clips are of different groups (people or sessions). The same input gives the same sets.

* ucf3: three classes that single frames show; with `--data.arrow-of-time` the two directions of time.
* ut_interaction: six interactions of two people, the test clips from another scene.
* egogestar: ten paths of a finger, the test clips from other sessions.
* speed: clips played once, twice and four times as fast. All have 32 frames.
* camera: a crop that moves in one of eight directions over a clip, from a random start. All have 32 frames.
"""

import csv
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import tyro

NUM_FRAMES = 32
SPEEDS = (1, 2, 4)
CROP, TRAVEL = 160, 64
"""Pixels: side of the moving crop, and how far it moves along each axis within a clip."""
DIRECTIONS = {
    "right": (1, 0),
    "down right": (1, 1),
    "down": (0, 1),
    "down left": (-1, 1),
    "left": (-1, 0),
    "up left": (-1, -1),
    "up": (0, -1),
    "up right": (1, -1),
}
"""Steps of the crop in x (to the right) and y (downwards)."""
CLASSES = ("BabyCrawling", "Punch", "PushUps")


@dataclass(frozen=True)
class Source:
    """A clip of one of the given sets."""

    path: Path
    label: str
    group: str
    split: str


def read_sources(folder: Path) -> list[Source]:
    """The clips of `train.txt` and `test.txt`, in their order."""
    table = folder / "clips.csv"
    groups = {}
    if table.is_file():
        with table.open(newline="") as rows:
            groups = {row["path"]: row["group"] for row in csv.DictReader(rows)}
    return [
        Source(_find(folder, path), label, groups.get(path) or _ucf_group(path), split)
        for split in ("train", "test")
        for path, label in _lines(folder / f"{split}.txt")
    ]


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    for line in path.read_text().splitlines():
        name, label = line.rsplit(" ", 1)
        yield name, CLASSES[int(label)] if label.isdigit() else label


def _find(folder: Path, path: str) -> Path:
    return folder / path if (folder / path).is_file() else folder / "videos" / path


def _ucf_group(path: str) -> str:
    found = re.search(r"v_(\w+_g\d+)_c\d+", path)
    if found is None:
        raise ValueError(f"{path}: no group in clips.csv, and none in the name.")
    return found[1]


def read_frames(path: Path, num_frames: int) -> np.ndarray | None:
    """The first frames (T, H, W, 3); None if there are fewer."""
    frames: list[np.ndarray] = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            frames.append(frame.to_ndarray(format="rgb24"))
            if len(frames) == num_frames:
                return np.stack(frames)
    return None


def write_clip(path: Path, frames: np.ndarray) -> None:
    """An mp4 (H.264) of 25 frames per second; sides must be even."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"crf": "18", "threads": "1"})
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_lists(out: Path, clips: Sequence[Source]) -> None:
    """train.txt, test.txt and clips.csv."""
    rows = [(clip.path.relative_to(out).as_posix(), clip.label.replace(" ", "_"), clip) for clip in clips]
    for split in ("train", "test"):
        lines = [f"{path} {label}\n" for path, label, clip in rows if clip.split == split]
        (out / f"{split}.txt").write_text("".join(lines))
    with (out / "clips.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ("path", "label", "group", "split"),
                *((path, label, clip.group, clip.split) for path, label, clip in rows),
            ]
        )


def copy_set(sources: Sequence[Source], out: Path) -> None:
    """Copy the clips of a set unchanged."""
    clips = []
    for source in sources:
        path = out / "videos" / source.path.name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source.path, path)
        clips.append(Source(path, source.label, source.group, source.split))
    write_lists(out, clips)


def _in_turn(sources: Sequence[Source], choices: Sequence[str]) -> Iterator[tuple[Source, str]]:
    """Each source with one of the choices, in equal numbers per class and split: content does not reveal it."""
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for source in sources:
        kind = (source.label, source.split)
        yield source, choices[(counts[kind] + sum(map(ord, source.label))) % len(choices)]
        counts[kind] += 1


def make_speed_set(sources: Sequence[Source], out: Path) -> None:
    """Clips of `NUM_FRAMES` frames that are 1, 2 or 4 frames of the source apart; shorter sources are skipped."""
    long_enough = [s for s in sources if read_frames(s.path, max(SPEEDS) * (NUM_FRAMES - 1) + 1) is not None]
    clips = []
    for source, label in _in_turn(long_enough, [f"{speed}x" for speed in SPEEDS]):
        step = int(label[:-1])
        frames = read_frames(source.path, step * (NUM_FRAMES - 1) + 1)
        assert frames is not None
        height, width = (side // 2 * 2 for side in frames.shape[1:3])
        path = out / "videos" / f"{source.path.stem}_{label}.mp4"
        write_clip(path, frames[::step, :height, :width])
        clips.append(Source(path, label, source.group, source.split))
    write_lists(out, clips)


def make_camera_set(sources: Sequence[Source], out: Path) -> None:
    """Clips of a square crop that moves at constant speed and stays inside the picture."""
    clips = []
    for place, (source, label) in enumerate(_in_turn(sources, list(DIRECTIONS))):
        frames = read_frames(source.path, NUM_FRAMES)
        if frames is None:
            continue
        rng = np.random.default_rng(place)
        ways = DIRECTIONS[label]
        room = (frames.shape[2] - CROP, frames.shape[1] - CROP)
        starts = [
            int(rng.integers(max(0, -way) * TRAVEL, size - max(0, way) * TRAVEL + 1))
            for way, size in zip(ways, room, strict=True)
        ]
        moved = []
        for time, frame in enumerate(frames):
            shift = round(TRAVEL * time / (NUM_FRAMES - 1))
            x, y = (start + way * shift for start, way in zip(starts, ways, strict=True))
            moved.append(frame[y : y + CROP, x : x + CROP])
        path = out / "videos" / f"{source.path.stem}_{label.replace(' ', '_')}.mp4"
        write_clip(path, np.stack(moved))
        clips.append(Source(path, label, source.group, source.split))
    write_lists(out, clips)


@dataclass(frozen=True)
class Settings:
    """Source and destination of the sets."""

    data: Path
    """Folder with ucf3, ut_interaction and egogestar."""
    out: Path
    """Destination: one folder per set."""


def main(settings: Settings) -> None:
    """Make all sets."""
    given = {name: read_sources(settings.data / name) for name in ("ucf3", "ut_interaction", "egogestar")}
    for name, sources in given.items():
        copy_set(sources, settings.out / name)
    make_speed_set([*given["ucf3"], *given["ut_interaction"]], settings.out / "speed")
    make_camera_set(given["ucf3"], settings.out / "camera")


if __name__ == "__main__":
    main(tyro.cli(Settings))
