"""Every command and code block of the README is run, on small videos."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from side4video.cli import main
from side4video.demo.videos import MotionVideos, make_motion_videos

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# What makes training small here; a user's own command has none of it.
SMALL = shlex.split(
    "--backbone.name vit_tiny_patch16_224 --backbone.weights random --backbone.image-size 32 "
    "--backbone.model-args patch_size 8 embed_dim 32 depth 2 num_heads 2 --side.taps 0 1 --side.width 16 "
    "--train.epochs 1 --data.workers 0"
)


SMALL_CAPTIONS = shlex.split(
    "--backbone.name vit_base_patch16_clip_quickgelu_224 --backbone.weights random --backbone.image-size 32 "
    "--backbone.model-args patch_size 8 embed_dim 32 depth 2 num_heads 2 --side.width 16 --text.weights random "
    "--text.model-args embed_dim 16 width 32 heads 2 layers 1 --augment.resize 32 --eval.resize 32 "
    "--train.epochs 1 --train.batch 8 --data.workers 0"
)


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands():
    inline = re.findall(r"`(side4video train runs/[^`]+)`", README)
    return [line for block in blocks("console") for line in block.splitlines() if line] + inline


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder: clips/train, clips/test and a new clip."""
    folder = tmp_path_factory.mktemp("user")
    make_motion_videos(folder / "clips", MotionVideos(train_clips_per_class=2, test_clips_per_class=1, size=32))
    (folder / "captions").mkdir()
    shutil.copytree(folder / "clips/test", folder / "captions/videos")
    for split in ("train", "test"):
        clips = sorted((folder / "clips" / split).glob("*/*.mp4"))
        rows = [f"../{clip.relative_to(folder)},a shape moves {clip.parent.name}" for clip in clips]
        (folder / f"captions/{split}.csv").write_text("\n".join(["video,caption", *rows]))
    shutil.copy(folder / "clips/test/clockwise/0001.mp4", folder / "new_clip.mp4")
    return folder


def test_commands_and_python_run_as_written(folder, monkeypatch):
    monkeypatch.chdir(folder)
    for command in commands():
        program, *arguments = shlex.split(command)
        assert program == "side4video"
        recipe = arguments[1] if arguments[0] == "train" else None
        small = {"own-clips": SMALL, "own-captions": SMALL_CAPTIONS}.get(recipe, [])
        assert main([*arguments, *small]) == 0, command
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), {})


def test_the_readme_has_commands_and_python():
    assert len(commands()) >= 11
    assert len(blocks("python")) == 3


def test_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_the_file_tree_names_every_file_once():
    tree = re.search(r"## Where things are\n\n```\n(.*?)```", README, re.DOTALL)
    assert tree, "the README has no file tree"
    named = re.findall(r"^\s*([\w.]+\.(?:py|yaml|jinja|safetensors))\s{2,}\S", tree[1], re.MULTILINE)
    folder = ROOT / "src/side4video"
    there = [path.name for path in folder.rglob("*.py") if path.stat().st_size and path.name != "__init__.py"]
    missing = set(there) - set(named)
    assert not missing, f"not in the README's file tree: {sorted(missing)}"


@pytest.mark.parametrize(
    "document", [path.relative_to(ROOT).as_posix() for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))]
)
def test_links_to_files_lead_somewhere(document):
    path = ROOT / document
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), f"{document} links to {target}"
