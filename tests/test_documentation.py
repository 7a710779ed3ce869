"""Every command and Python block of the README and of the documentation is run as written, on small videos."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from side4video.cli import main
from side4video.demo.videos import MotionVideos, make_motion_videos

ROOT = Path(__file__).parents[1]

# What makes training small here; a user's own command has none of it.
SMALL = {
    "own-clips": shlex.split(
        "--backbone.name vit_tiny_patch16_224 --backbone.weights random --backbone.image-size 32 "
        "--backbone.model-args patch_size 8 embed_dim 32 depth 2 num_heads 2 --side.taps 0 1 --side.width 16 "
        "--train.epochs 1 --data.workers 0"
    ),
    "own-captions": shlex.split(
        "--backbone.name vit_base_patch16_clip_quickgelu_224 --backbone.weights random --backbone.image-size 32 "
        "--backbone.model-args patch_size 8 embed_dim 32 depth 2 num_heads 2 --side.width 16 --text.weights random "
        "--text.model-args embed_dim 16 width 32 heads 2 layers 1 --augment.resize 32 --eval.resize 32 "
        "--train.epochs 1 --train.batch 8 --data.workers 0"
    ),
    "retrieval": shlex.split("--train-clips-per-caption 1 --epochs 1 --forms square disc --colours red blue"),
}


def blocks(document, language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL)


def commands(document):
    inline = re.findall(r"`(side4video train runs/[^`]+)`", (ROOT / document).read_text(encoding="utf-8"))
    return [line for block in blocks(document, "console") for line in block.splitlines() if line] + inline


def documents():
    paths = [path.relative_to(ROOT).as_posix() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))]
    return [path for path in paths if commands(path) or blocks(path, "python")]


@pytest.fixture(scope="module")
def user_folder(tmp_path_factory):
    """What a user has: clips in folders, lists of them, videos with captions, and a new clip."""
    folder = tmp_path_factory.mktemp("user")
    make_motion_videos(folder / "clips", MotionVideos(train_clips_per_class=2, test_clips_per_class=1, size=32))
    shutil.copytree(folder / "clips/test", folder / "captions/videos")
    (folder / "lists").mkdir()
    for split in ("train", "test"):
        clips = sorted((folder / "clips" / split).glob("*/*.mp4"))
        captions = [f"../{clip.relative_to(folder)},a shape moves {clip.parent.name}" for clip in clips]
        labels = [f"{clip.relative_to(folder / 'clips')},{clip.parent.name}" for clip in clips]
        (folder / f"captions/{split}.csv").write_text("\n".join(["video,caption", *captions]))
        (folder / f"lists/{split}.csv").write_text("\n".join(["video,label", *labels]))
    rows = ["clockwise/0001.mp4,north,2023", "fast_clockwise/0001.mp4,south,2024"]
    (folder / "captions/facts.csv").write_text("\n".join(["path,camera,year", *rows]))
    shutil.copy(folder / "clips/test/clockwise/0001.mp4", folder / "new_clip.mp4")
    (folder / "MSRVTT_Videos").mkdir()  # in the form of the public set
    shutil.copy(folder / "new_clip.mp4", folder / "MSRVTT_Videos/video9770.mp4")
    rows = ["key,vid_key,video_id,sentence", "ret0,msr9770,video9770,a shape moves clockwise"]
    (folder / "MSRVTT_JSFUSION_test.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize("document", documents())
def test_commands_and_python_run_as_written(document, user_folder, tmp_path, monkeypatch):
    shutil.copytree(user_folder, tmp_path / "user")
    monkeypatch.chdir(tmp_path / "user")
    for command in commands(document):
        program, *arguments = shlex.split(command)
        assert program == "side4video"
        what = arguments[1] if arguments[0] in {"train", "demo"} else None
        assert main([*arguments, *SMALL.get(what, [])]) == 0, command
    for block in blocks(document, "python"):
        exec(compile(block, document, "exec"), {})


def test_there_are_commands_and_python():
    pages = {"own-data", "adapters", "evaluation", "search"}
    assert {"README.md", *(f"docs/{page}.md" for page in pages)} <= set(documents())
    assert len(commands("README.md")) >= 11
    assert len(blocks("README.md", "python")) == 4
