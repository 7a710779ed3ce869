"""Every block of the README and of the documentation runs as written, on small videos, or is checked.

`console` and `python` blocks of a document run one after the other, as one user would run them; `csv` and `jsonl` are
read as data sets. `sh` blocks need several machines, install packages or start a server: their syntax is checked and
each `side4video` command in them is parsed. `text` and `bibtex` are not run. No other kind of block is allowed.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

import side4video.checking.command
import side4video.selection.run
import side4video.training.run_mirror
import side4video.web.server
from side4video.adapters.convert import official_from_adapter
from side4video.cli import main
from side4video.commands import embed, index, predict
from side4video.data.lists.annotations import read_video_list
from side4video.data.lists.captions import read_caption_list
from side4video.demo.film import make_film
from side4video.demo.videos import MotionVideos, make_motion_videos

ROOT = Path(__file__).parents[1]
TINY = "--backbone.weights random --backbone.image-size 32 --side.width 16"
TINY_ARGS = "--backbone.model-args patch_size 8 embed_dim 32 depth 1 num_heads 2"
TINY_TEXT = "--text.weights random --text.model-args embed_dim 16 width 32 heads 2 layers 1"
ONCE = "--train.epochs 1 --train.batch 8 --data.workers 0 --augment.resize 32 --eval.resize 32"
CLIP = f"--backbone.name vit_base_patch16_clip_quickgelu_224 {TINY} {TINY_ARGS}"

# Flags that make training small here; a user's own command has none of them.
SMALL = {
    name: shlex.split(flags)
    for name, flags in {
        "own-clips": f"--backbone.name vit_tiny_patch16_224 {TINY} {TINY_ARGS} --side.taps 0 --train.epochs 1 "
        "--data.workers 0 --search off",
        "own-clips-8gb": f"{CLIP} {TINY_TEXT} {ONCE} --data.num-frames 4",
        "own-captions": f"{CLIP} {TINY_TEXT} {ONCE}",
        "msrvtt-b16": f"{CLIP} {TINY_TEXT} {ONCE} --train.batch 2 --data.num-frames 4",
        "ssv2-b16": f"{CLIP} {ONCE}",
        "b16": f"{CLIP.replace('--side.width 16', '')} {TINY_TEXT} --data.workers 0",
        "l14": f"{CLIP} --data.num-frames 2",
        "demo": "--train-clips-per-class 1 --test-clips-per-class 1 --epochs 1",
        "retrieval": "--train-clips-per-caption 1 --epochs 1 --forms square disc --colours red blue",
    }.items()
}
KINDS = {"console", "python", "csv", "jsonl", "sh", "text", "bibtex"}
RUNNERS = ("torchrun ", "srun ", "make ", "side4video ", "python ", "pip ", "uvx ", "pipx ", "#SBATCH ", "[ ")
WITHOUT_FILES = ("side4video memory ", "side4video recipes", "side4video backbones")
"""What these print depends on nothing that a page made, so a command that several pages show runs once."""
SLOW_PAGES = {
    "docs/how-to/export.md",
    "docs/how-to/own-data.md",
    "docs/how-to/plan-memory.md",
    "docs/reference/adapters.md",
}
"""Each takes ten seconds. Their commands are tested in sharing/, data/lists/, memory/ and adapters/ in every run."""
ONLY_IN_SLOW_TESTS = {  # the tests of these files run the same kinds of commands in every run
    "docs/tutorials/first-clip.md": ("side4video train runs/demo/run/config.yaml",),  # test_cli.py
}
"""Commands that take many seconds."""
IN_ONE_SESSION = {"docs/tutorials/own-loop.md"}  # its python blocks build on each other; all others stand alone
NONFINITE_STEPS = {1203: [0, 1]}  # a step whose loss was not finite, and its clips


class Block(NamedTuple):
    kind: str
    content: str
    line: int


def text_of(document):
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document, *kinds):
    text = text_of(document)
    found = (
        Block(match[1], match[2], text[: match.start()].count("\n") + 1)
        for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    )
    return [block for block in found if not kinds or block.kind in kinds]


def lines(block):
    """The commands of a block; continued lines are joined."""
    return [line for line in block.content.replace("\\\n", " ").splitlines() if line.strip()]


def extras_of(command):
    """The extras of this package that a line installs."""
    return [extra for names in re.findall(r"side4video\[([\w,]+)\]", command) for extra in names.split(",")]


def commands(document):
    return [line for block in blocks(document, "console") for line in lines(block)]


def inline_commands(document):
    return re.findall(r"`(side4video train runs/[^`]+)`", text_of(document))


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXTRAS = set(tomllib.loads(text_of("pyproject.toml"))["project"]["optional-dependencies"])
DOCUMENTS = [path.relative_to(ROOT).as_posix() for path in PAGES]
WITH_COMMANDS = [name for name in DOCUMENTS if blocks(name, "console", "python") or inline_commands(name)]
WITH_DATA = [(name, block) for name in DOCUMENTS for block in blocks(name, "csv", "jsonl")]
IN_SHELLS = [(name, block) for name in DOCUMENTS for block in blocks(name, "sh")]


def arguments_of(command):
    """The arguments of a command, with flags that make it small."""
    program, *arguments = shlex.split(command, comments=True)
    assert program == "side4video"
    trains = arguments[0] in {"train", "demo", "convert", "zero-shot"} or "--measure" in arguments
    small = next((SMALL[name] for name in reversed(arguments[:3]) if name in SMALL), []) if trains else []
    return [*arguments, *small]


# --- the folder of a user ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def user_folder(tmp_path_factory):
    """Clips in folders, lists of them, videos with captions, a new clip, files in the form of public data sets, a
    trained run `runs/mine`, and a checkpoint with the official names."""
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
        several = [f"{row.split(',')[0]},{'turning' if 'clockwise' in row else 'straight'}|all" for row in labels]
        (folder / f"lists/several-{split}.csv").write_text("\n".join(["path,label", *several]))
    rows = ["clockwise/0001.mp4,north,2023", "fast_clockwise/0001.mp4,south,2024"]
    (folder / "captions/facts.csv").write_text("\n".join(["path,camera,year", *rows]))
    names = sorted({clip.parent.name for clip in clips})
    (folder / "labels.csv").write_text("id,name\n" + "".join(f"{number},{name}\n" for number, name in enumerate(names)))
    shutil.copy(folder / "clips/test/clockwise/0001.mp4", folder / "new_clip.mp4")
    segments = make_film(folder / "clips/test", folder / "film.mp4")
    rows = [f"film.mp4,{one.name},{one.start_seconds},{one.end_seconds}" for one in segments]
    (folder / "segments.csv").write_text("\n".join(["path,label,start,end", *rows]))
    make_msrvtt(folder)
    make_something(folder)
    with contextlib.chdir(folder):
        data = ["--data.train", "clips/train", "--data.test", "clips/test"]
        assert main(["train", "own-clips", *data, *SMALL["own-clips"], "--out", "runs/mine"]) == 0
        data = ["--data.train", "something-something-v2-train.json", "--data.root", "20bn-something-something-v2"]
        assert main(["train", "ssv2-b16", *data, *SMALL["ssv2-b16"], "--out", "runs/official"]) == 0
        official_from_adapter(Path("runs/official"), out=Path("official.pt"))
    for step, indices in NONFINITE_STEPS.items():
        content = {"step": step, "epoch": 0, "seed": 1024, "processes": [{"indices": indices}]}
        (folder / f"runs/mine/nonfinite-step-{step}.json").write_text(json.dumps(content))
    return folder


def make_msrvtt(folder):
    """Two videos to train and another to test, in the form of the public set."""
    (folder / "MSRVTT_Videos").mkdir()
    for number, clip in zip((0, 1, 9770), sorted((folder / "clips").glob("t*/*clockwise/*.mp4")), strict=False):
        shutil.copy(clip, folder / f"MSRVTT_Videos/video{number}.mp4")
    rows = ["key,vid_key,video_id,sentence", "ret0,msr9770,video9770,a shape moves clockwise"]
    (folder / "MSRVTT_JSFUSION_test.csv").write_text("\n".join(rows) + "\n")
    (folder / "MSRVTT_train.9k.csv").write_text("video_id\nvideo0\nvideo1\n")
    content = {
        "videos": [{"video_id": f"video{number}", "split": "train"} for number in (0, 1, 9770)],
        "sentences": [{"video_id": f"video{number}", "caption": f"shape {number} moves"} for number in (0, 1, 9770)],
    }
    (folder / "MSRVTT_data.json").write_text(json.dumps(content))


def make_something(folder):
    """The clips in the form of Something-Something V2."""
    root, templates = folder / "20bn-something-something-v2", {}
    root.mkdir()
    for split, name in (("train", "train"), ("test", "validation")):
        records = []
        for number, clip in enumerate(sorted((folder / "clips" / split).glob("*/*.mp4"))):
            shutil.copy(clip, root / f"{split}{number}.mp4")
            template = f"Moving [something] {clip.parent.name}"
            records.append({"id": f"{split}{number}", "template": template})
            templates.setdefault(template.replace("[something]", "something"), str(len(templates)))
        (folder / f"something-something-v2-{name}.json").write_text(json.dumps(records))
    (folder / "something-something-v2-labels.json").write_text(json.dumps(templates))


@pytest.fixture(scope="module")
def finished_commands():
    """The arguments of all commands that ran."""
    return []


@pytest.fixture
def at_home(user_folder, hub, tmp_path, monkeypatch):
    """The current folder is a copy of the user's, with a hub to share with."""
    shutil.copytree(user_folder, tmp_path / "user")
    monkeypatch.chdir(tmp_path / "user")
    return hub


# --- the tests --------------------------------------------------------------------------------------------------------

pytestmark = pytest.mark.usefixtures("short_reports")


@pytest.mark.parametrize(
    "document", [pytest.param(page, marks=pytest.mark.slow) if page in SLOW_PAGES else page for page in WITH_COMMANDS]
)
def test_commands_and_python_run_as_written(document, at_home, finished_commands):
    run_page(document, at_home, finished_commands, left_out=ONLY_IN_SLOW_TESTS.get(document, ()))


@pytest.mark.slow
@pytest.mark.parametrize("document", ONLY_IN_SLOW_TESTS)
def test_whole_pages_run_as_written(document, at_home):
    for start in ONLY_IN_SLOW_TESTS[document]:
        assert any(command.startswith(start) for command in [*commands(document), *inline_commands(document)]), start
    run_page(document, at_home, [])


def run_page(document, at_home, finished_commands, *, left_out=()):
    session = {}
    for block in blocks(document, "console", "python"):
        if block.kind == "python":
            names = session if document in IN_ONE_SESSION else {}
            exec(compile(block.content, f"{document}, line {block.line}", "exec"), names)
            continue
        for command in lines(block):
            if command.startswith(left_out):
                continue
            if "--out runs/mine" in command:
                shutil.rmtree("runs/mine")
            arguments = arguments_of(command)
            if command.startswith(WITHOUT_FILES) and arguments in finished_commands:
                continue
            assert main(arguments) == 0, command
            finished_commands.append(arguments)
        for name in at_home.commits:
            at_home.tags["v1"] = at_home.newest(name)
    for command in inline_commands(document):
        if command.startswith(left_out):
            continue
        assert main(arguments_of(command)) == 0, command


@pytest.mark.parametrize(("document", "block"), WITH_DATA, ids=lambda value: str(getattr(value, "line", value)))
def test_files_are_read_as_written(document, block, tmp_path):
    path = tmp_path / f"list.{block.kind}"
    path.write_text(block.content)
    if "caption" in block.content.splitlines()[0]:
        captions = read_caption_list(path)
        assert sum(map(len, captions.captions)) >= len(captions.videos) >= 1
        assert not captions.notes
    else:
        assert len(read_video_list(path).videos) == len(block.content.splitlines()) - 1


class ParsedError(BaseException):
    """A command would do its work with valid settings, which are in `args`."""


@pytest.mark.parametrize(("document", "block"), IN_SHELLS, ids=lambda value: str(getattr(value, "line", value)))
def test_shell_blocks_have_valid_syntax_and_settings(document, block, monkeypatch, tmp_path):
    subprocess.run(["bash", "-n"], input=block.content, text=True, check=True)

    def parsed(config, *, out, **_):
        raise ParsedError(config, out)

    def listening(host, port):
        raise ParsedError(host, port)

    monkeypatch.setattr(side4video.selection.run, "train", parsed)
    monkeypatch.setattr(side4video.training.run_mirror, "run_folder", contextlib.nullcontext)
    monkeypatch.setattr(side4video.web.server, "listen", listening)
    monkeypatch.setattr(side4video.checking.command, "check_data", lambda *_: listening(None, None))
    for module in (index, embed, predict):  # what they do first with valid settings
        monkeypatch.setattr(module, "check_started_once", lambda: listening(None, None))
    monkeypatch.chdir(tmp_path)
    for line in lines(block):
        assert line.startswith(RUNNERS), (
            f"{document}, line {block.line}: {line!r} is neither a comment nor a known program"
        )
        if line.startswith("make "):
            subprocess.run(["make", "-n", line.split()[1]], cwd=ROOT, check=True, capture_output=True)
        elif line.startswith("pip "):
            assert set(extras_of(line)) <= EXTRAS, f"{document}, line {block.line}: pyproject.toml has {EXTRAS}"
        elif " side4video " in f" {line} ":
            _, _, command = f" {line}".partition(" side4video ")
            with pytest.raises(ParsedError):
                main(shlex.split(command, comments=True))


@pytest.mark.slow  # `training/test_processes.py` has torchrun in every run
def test_torchrun_on_two_processes(at_home):
    """The first command of the page about several GPUs, with two processes and a small model."""
    command = shlex.split(lines(blocks("docs/how-to/multi-gpu.md", "sh")[0])[0])
    assert command[:3] == ["torchrun", "--nproc-per-node", "8"]
    small = ["--standalone", "--nproc-per-node", "2", *command[3:], *SMALL["ssv2-b16"], "--train.device", "cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *small], capture_output=True, text=True, env=environment
    )
    assert run.returncode == 0, run.stderr
    assert Path("runs/ssv2-b16/report.html").is_file()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_block_is_of_a_kind_that_is_run_or_checked(document):
    for block in blocks(document):
        place = f"{document}, line {block.line}"
        assert block.kind in KINDS, f"{place}: call it one of {', '.join(sorted(KINDS))}"
        if block.kind == "text":
            assert not any(line.startswith(RUNNERS) for line in lines(block)), f"{place} has commands: call it console"
    assert len(re.findall(r"^ *(```|~~~)", text_of(document), re.MULTILINE)) == 2 * len(blocks(document)), "in lists"


def test_there_is_much_to_run():
    pages = {
        "docs/how-to/own-data.md",
        "docs/how-to/evaluate.md",
        "docs/how-to/search.md",
        "docs/reference/adapters.md",
    }
    assert {"README.md", *pages} <= set(WITH_COMMANDS)
    assert len(commands("README.md")) >= 11
    assert len(blocks("README.md", "python")) == 2
    assert len(WITH_DATA) >= 4
    assert len(IN_SHELLS) >= 4
