"""Every file of a folder of odd videos, and corrupt copies of real ones: the requested frames, or a `VideoError`.

The folder is named by SIDE4VIDEO_ODD_VIDEOS; its `manifest.json` lists for each file `name`, `decoded` (frames that a
plain decode gives), `w`, `h` and `rot` (degrees counter-clockwise that make it upright). Every file is read in a
process that is ended after a minute and may not allocate more than a gigabyte.
"""

import json
import os
import random
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from side4video.checking.workers import FailedItem, run_with_timeout
from side4video.data.sampling import FrameSampling
from side4video.video.container import open_container
from side4video.video.decoding import VideoError, open_video

FOLDER = Path(os.environ.get("SIDE4VIDEO_ODD_VIDEOS", Path(__file__).parents[2] / "../shared/data/odd"))
MANIFEST = FOLDER / "manifest.json"
needs_videos = pytest.mark.skipif(
    not MANIFEST.is_file(),
    reason=f"{FOLDER} holds no odd videos with a manifest.json; SIDE4VIDEO_ODD_VIDEOS names them",
)
ENTRIES = json.loads(MANIFEST.read_text()) if MANIFEST.is_file() else []

SECONDS, MEMORY_BYTES = 60, 2**30
ENCRYPTED = {"media__sample_fragmented_variable_length_sgpd.mp4", "mp4ff__prog_8s_enc_dashinit.mp4"}
SHIFTED_STREAM = {"libavif__colors-animated-8bpc.avif": 5}  # the manifest counts its still picture, not its video
NUM_FRAMES = 16  # of a clip
NUM_BROKEN = 12  # copies of a clip


class Read(NamedTuple):
    """The result of reading a file."""

    num_frames: int
    asked: int
    shape: tuple[int, ...]
    first_differs_by: float  # from what a plain decode gives, turned as the manifest says; mean over the pixels


class Refused(NamedTuple):
    """The message of a `VideoError`."""

    path: Path
    reason: str


def read_clip(item):
    """Read a clip as training does; `turns`: quarter turns that make it upright, None: its picture is not compared."""
    path, turns = item
    try:
        with open_video(path) as video:
            num_frames = video.num_frames
            indices = FrameSampling(num_frames=NUM_FRAMES).test(num_frames)[0]
            clip = video.read(indices)
            first = video.read([0])[0].permute(1, 2, 0).numpy()
    except VideoError as error:
        return Refused(error.path, error.reason)
    differs = float("nan") if turns is None else compare_with_plain_decode(path, first, turns)
    return Read(num_frames, len(indices), tuple(clip.shape), differs)


def compare_with_plain_decode(path, first, turns):
    with open_container(path) as container:
        plain = next(container.decode(container.streams.best("video"))).to_ndarray(format="rgb24")
    upright = np.rot90(plain, turns)
    return float(np.abs(upright.astype(int) - first).mean()) if upright.shape == first.shape else float("inf")


def quarter_turns(entry):
    return (entry["rot"] or 0) // 90  # files that nothing comes out of have none


def read_all(items):
    found = run_with_timeout(read_clip, items, processes=2, seconds=SECONDS, memory_bytes=MEMORY_BYTES)
    return {items[place][0]: answer for place, answer in found}


@pytest.fixture(scope="module")
def answers():
    return read_all([(FOLDER / entry["name"], quarter_turns(entry)) for entry in ENTRIES])


def assert_whole_clip_or_reason(answer, path):
    assert not isinstance(answer, FailedItem), answer
    if isinstance(answer, Refused):
        assert answer.path == path
        assert answer.reason.endswith(".")
        assert "MemoryError" not in answer.reason
    else:
        assert answer.num_frames >= 1
        assert answer.shape[:2] == (NUM_FRAMES, 3) == (answer.asked, 3), "no clip is shorter than asked for"


@needs_videos
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_an_odd_video_gives_all_frames_upright_or_a_reason(entry, answers):
    path = FOLDER / entry["name"]
    answer = answers[path]
    assert_whole_clip_or_reason(answer, path)
    num_frames = SHIFTED_STREAM.get(entry["name"], entry["decoded"])
    if not num_frames or entry["name"] in ENCRYPTED:
        assert isinstance(answer, Refused)
        return
    assert isinstance(answer, Read), answer
    assert answer.num_frames == num_frames
    size = (entry["w"], entry["h"]) if quarter_turns(entry) % 2 else (entry["h"], entry["w"])
    if entry["name"] not in SHIFTED_STREAM:
        assert answer.shape[2:] == size
    assert answer.first_differs_by == 0


@needs_videos
def test_the_folder_has_each_kind_of_odd_video(answers):
    assert any(entry["rot"] for entry in ENTRIES)
    assert {type(answer) for answer in answers.values()} == {Read, Refused}


def broken_copies(source, folder):
    """Copies that are truncated, have flipped bits, or both."""
    content, chance = source.read_bytes(), random.Random(source.name)
    for number in range(NUM_BROKEN):
        length = len(content) if number % 3 == 1 else chance.randrange(len(content))
        broken = bytearray(content[:length])
        for _ in range(0 if number % 3 == 0 else chance.choice([1, 20, 400])):
            if broken:
                broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
        path = folder / f"{number}-{source.name}"
        path.write_bytes(broken)
        yield path


@needs_videos
@pytest.mark.parametrize("codec", ["h264", "vp8", "mpeg4"])
def test_corrupt_copies_of_a_real_clip(codec, tmp_path):
    entry = next(e for e in ENTRIES if e["codec"] == codec and e["decoded"] >= NUM_FRAMES and e["size"] < 500_000)
    answers = read_all([(path, None) for path in broken_copies(FOLDER / entry["name"], tmp_path)])
    assert len(answers) == NUM_BROKEN
    for path, answer in answers.items():
        assert_whole_clip_or_reason(answer, path)
        if isinstance(answer, Read):
            assert answer.num_frames <= entry["decoded"] + 1


def test_corrupt_copies_of_a_written_clip(tmp_path, make_video):
    source = make_video(tmp_path / "clip.mp4", np.random.default_rng(0).integers(0, 255, 60))
    answers = read_all([(path, None) for path in broken_copies(source, tmp_path)])
    for path, answer in answers.items():
        assert_whole_clip_or_reason(answer, path)
    assert {type(answer) for answer in answers.values()} >= {Refused}, "the header is at the end: cut off is unreadable"
