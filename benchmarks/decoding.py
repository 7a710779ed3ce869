"""Time to read 8 frames of a 10 s clip and to transform them for a model, compared with other decoders.

python benchmarks/decoding.py --out docs/figures/decoding.json

Makes H.264 clips of moving detail (320x240 and 1280x720, key frames every 12 and every 250 frames), reads the same
frames with every decoder that is installed, one thread each, in turn, and compares the pictures with a plain sequential
decode. After every decoder run the same transforms: this package's, which are torchvision's. torchcodec, decord and
opencv-python-headless are optional: `pip install` what you want to see.
"""

import datetime
import os
import platform
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

import av
import numpy as np
import torch
import tyro

from side4video.atomic_files import write_json
from side4video.data.sampling import FrameSampling
from side4video.data.transforms import EvalTransform, TrainTransform, seeded
from side4video.video.decoding import open_video

FRAMES_PER_SECOND, SECONDS, NUM_FRAMES = 25, 10, 8
IMAGE_SIZE, MEAN, STD = 224, (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # CLIP's
SIZES = ((320, 240), (1280, 720))
KEY_FRAME_DISTANCES = (12, 250)
LARGEST_DIFFERENCE = 4.0
"""Mean difference of pixels, 0 to 255, up to which pictures show the same frame: colours are converted differently."""

Reader = Callable[[Path, Sequence[int]], np.ndarray]
"""Path and frame numbers to uint8 (T, H, W, 3)."""


@dataclass(frozen=True)
class Arguments:
    """What to measure."""

    out: Path = Path("docs/figures/decoding.json")
    rounds: int = 9
    """Times each reader reads each clip; other random frames every time."""
    sizes: tuple[tuple[int, int], ...] = SIZES
    """Widths and heights of the clips, in pixels."""


def make_clip(path: Path, *, width: int, height: int, key_frames: int) -> None:
    """Ten seconds of drifting texture with moving blocks: as hard to decode as filmed video, unlike plain shapes."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (height // 8 + 64, width // 8 + 64, 3), np.uint8)
    texture = np.kron(coarse, np.ones((8, 8, 1), np.uint8)) // 2 + rng.integers(
        0, 60, (*[8 * n for n in coarse.shape[:2]], 3), np.uint8
    )
    with av.open(str(path), "w") as container:
        options = {"g": str(key_frames), "keyint_min": str(key_frames), "sc_threshold": "0", "preset": "fast"}
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(FRAMES_PER_SECOND * SECONDS):
            left, top = int(200 + 200 * np.sin(index / 20)), int(100 + 100 * np.cos(index / 15))
            picture = texture[top : top + height, left : left + width].copy()
            place = (index * 3) % (width - 60)
            picture[40:100, place : place + 60] = (index * 5) % 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def read_ours(path: Path, indices: Sequence[int]) -> np.ndarray:
    """This package."""
    with open_video(path) as video:
        return video.read(indices).permute(0, 2, 3, 1).numpy()


def read_sequentially(path: Path, indices: Sequence[int]) -> np.ndarray:
    """PyAV, every frame up to the last wanted one."""
    wanted, pictures = set(indices), {}
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        for index, frame in enumerate(container.decode(video=0)):
            if index in wanted:
                pictures[index] = frame.to_ndarray(format="rgb24")
            if index == max(wanted):
                break
    return np.stack([pictures[index] for index in indices])


def read_by_seeking(path: Path, indices: Sequence[int]) -> np.ndarray:
    """PyAV, one seek for each frame."""
    pictures = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_count = 1
        distance = round(1 / (FRAMES_PER_SECOND * stream.time_base))
        for index in indices:
            container.seek(index * distance + (stream.start_time or 0), stream=stream)
            wanted = index * distance + (stream.start_time or 0)
            pictures.append(next(f for f in container.decode(stream) if f.pts >= wanted).to_ndarray(format="rgb24"))
    return np.stack(pictures)


def read_with_torchcodec(path: Path, indices: Sequence[int], mode: str = "exact") -> np.ndarray:
    """torchcodec, seeking exactly or trusting the header."""
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(str(path), num_ffmpeg_threads=1, seek_mode=mode, dimension_order="NHWC")
    return decoder.get_frames_at(list(indices)).data.numpy()


def read_with_decord(path: Path, indices: Sequence[int]) -> np.ndarray:
    """Decord."""
    import decord

    return decord.VideoReader(str(path), num_threads=1).get_batch(list(indices)).asnumpy()


def read_with_opencv(path: Path, indices: Sequence[int]) -> np.ndarray:
    """OpenCV, one seek for each frame."""
    import cv2

    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    pictures = []
    for index in indices:
        capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        pictures.append(cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB))
    capture.release()
    return np.stack(pictures)


READERS: dict[str, tuple[str, Reader]] = {
    "side4video": ("side4video", read_ours),
    "torchcodec, exact": ("torchcodec", read_with_torchcodec),
    "torchcodec, approximate": ("torchcodec", lambda path, indices: read_with_torchcodec(path, indices, "approximate")),
    "decord": ("decord", read_with_decord),
    "OpenCV, seek per frame": ("opencv-python-headless", read_with_opencv),
    "PyAV, seek per frame": ("av", read_by_seeking),
    "PyAV, sequential": ("av", read_sequentially),
}
"""By name: the package it comes from, and the function."""


def installed(package: str) -> str | None:
    """Its version; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def random_frames(number: int) -> list[int]:
    """Of a training clip: one out of each of eight segments, others in every round."""
    return SAMPLING.train(FRAMES_PER_SECOND * SECONDS, torch.Generator().manual_seed(number))


def middle_frames(number: int) -> list[int]:  # noqa: ARG001 - the same in every round
    """Of an evaluation clip: the middle of each of eight segments."""
    return SAMPLING.test(FRAMES_PER_SECOND * SECONDS)[0]


def leave(pictures: np.ndarray, number: int) -> None:
    """No transform after reading."""


def augment(pictures: np.ndarray, number: int) -> torch.Tensor:
    """Resize, random crop, flip, normalise: (T, 3, 224, 224); the same draws for every reader of a round."""
    with seeded(number):
        return TRAIN(torch.from_numpy(pictures).permute(0, 3, 1, 2), None)[0]


def crop(pictures: np.ndarray, number: int) -> torch.Tensor:  # noqa: ARG001 - without chance
    """Resize, crop the centre, normalise: (1, T, 3, 224, 224)."""
    return EVALUATION(torch.from_numpy(pictures).permute(0, 3, 1, 2))


SAMPLING = FrameSampling(num_frames=NUM_FRAMES)
TRAIN = TrainTransform(image_size=IMAGE_SIZE, mean=MEAN, std=STD, interpolation="bicubic")
EVALUATION = EvalTransform(image_size=IMAGE_SIZE, mean=MEAN, std=STD, interpolation="bicubic")
TASKS: dict[str, tuple[Callable[[int], list[int]], Callable[[np.ndarray, int], object]]] = {
    "read": (random_frames, leave),
    "training clip": (random_frames, augment),
    "evaluation clip": (middle_frames, crop),
}
"""By name: the frames that are read in a round, and what is made of them."""


@dataclass
class Times:
    """Milliseconds of one reader with one task, of each round."""

    cpu: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)


def measure(path: Path, readers: dict[str, Reader], *, rounds: int) -> dict[str, dict[str, Any]]:
    """CPU and wall milliseconds of each reader and task (medians over rounds), and how many pictures are wrong ones."""
    times = {name: {task: Times() for task in TASKS} for name in readers}
    wrong = dict.fromkeys(readers, 0)
    for number in range(rounds + 1):  # the first round warms up
        for task, (choose, finish) in TASKS.items():
            indices = choose(number)
            expected = read_sequentially(path, indices).astype(np.int16)
            for name, read in readers.items():
                wall, cpu = time.perf_counter(), time.process_time()
                pictures = read(path, indices)
                finish(pictures, number)
                cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
                if number:
                    times[name][task].cpu.append(1000 * cpu)
                    times[name][task].wall.append(1000 * wall)
                differences = np.abs(pictures.astype(np.int16) - expected).mean(axis=(1, 2, 3))
                wrong[name] += int((differences > LARGEST_DIFFERENCE).sum())
    return {
        name: {
            "wrong_frames": wrong[name],
            "tasks": {
                task: {"cpu_ms": median(spent.cpu), "wall_ms": median(spent.wall)} for task, spent in by_task.items()
            },
        }
        for name, by_task in times.items()
    }


def table(rows: list[dict[str, Any]], task: str, kind: str) -> str:
    """One task's milliseconds as Markdown, and in brackets as a multiple of ours."""
    titles = [f"{row['width']}x{row['height']}, group {row['key_frames']}" for row in rows]
    lines = [f"| {task}, {kind} ms | {' | '.join(titles)} |", "|" + " --- |" * (1 + len(rows))]
    for name in rows[0]["readers"]:
        cells = []
        for row in rows:
            found = row["readers"][name]
            spent, ours = (each["tasks"][task][f"{kind.lower()}_ms"] for each in (found, row["readers"]["side4video"]))
            wrong = f", {found['wrong_frames']} wrong" if found["wrong_frames"] else ""
            cells.append(f"{spent:.0f} ({spent / ours:.2f}){wrong}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print and write."""
    arguments = tyro.cli(Arguments, description=__doc__)
    torch.set_num_threads(1)
    versions = {package: installed(package) for package, _ in READERS.values()}
    readers = {name: read for name, (package, read) in READERS.items() if versions[package]}
    print("not installed:", ", ".join(sorted({p for p, v in versions.items() if not v})) or "none", "\n")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for width, height in arguments.sizes:
            for key_frames in KEY_FRAME_DISTANCES:
                path = Path(folder) / f"{width}x{height}-{key_frames}.mp4"
                make_clip(path, width=width, height=height, key_frames=key_frames)
                found = measure(path, readers, rounds=arguments.rounds)
                rows.append({"width": width, "height": height, "key_frames": key_frames, "readers": found})
    for task in TASKS:
        for kind in ("CPU", "wall"):
            print(table(rows, task, kind), "\n")
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    about = {"date": str(datetime.date.today()), "machine": machine, "versions": versions, "rounds": arguments.rounds}
    write_json(arguments.out, about | {"rows": rows})


if __name__ == "__main__":
    main()
