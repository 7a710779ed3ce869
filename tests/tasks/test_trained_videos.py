"""Warnings about evaluation videos that an adapter was trained on."""

import re
import shutil

import pytest

from side4video.cli import main
from side4video.training.loop import train


@pytest.fixture(scope="module")
def videos(motion_videos, tmp_path_factory):
    """The videos in a folder of their own, which tests may rename."""
    return shutil.copytree(motion_videos, tmp_path_factory.mktemp("moved") / "videos")


@pytest.fixture(scope="module")
def run(small_run, videos, tmp_path_factory):
    """A run on one video of each class, chosen by its seed."""
    out = tmp_path_factory.mktemp("trained") / "run"
    train(
        small_run(
            data={"train": videos / "train", "test": videos / "test", "shots": 1},
            train={"epochs": 1},
            seed=3,
        ),
        out=out,
    )
    return out


@pytest.fixture
def evaluated(capsys):
    """`evaluated(run, test, *flags)`: what the command prints."""

    def evaluate(run, test, *flags):
        capsys.readouterr()
        assert main(["evaluate", str(run), "--device", "cpu", "--data.test", str(test), *flags]) == 0
        return capsys.readouterr().out

    return evaluate


def trained(printed):
    """The names of the evaluated videos that were trained on, as far as the warning gives them."""
    found = re.search(r"warning: (\d+) of \d+ evaluation videos are also training videos: (.*?)\. ", printed)
    return (int(found[1]), re.findall(r"'(.+?)'", found[2])) if found else (0, [])


def test_training_videos_are_found_among_evaluation_videos(run, videos, evaluated, tmp_path):
    """In the training folder, under other names, and as parts of a list; not in the evaluation set of the run."""
    assert trained(evaluated(run, videos / "test")) == (0, [])
    count, names = trained(evaluated(run, videos / "train"))
    assert count == len(names) == 8
    for number, name in enumerate(names):
        copy = tmp_path / "copies" / name.partition("/")[0] / f"clip {number}.mp4"
        copy.parent.mkdir(parents=True)
        shutil.copy(videos / "train" / name, copy)
    assert trained(evaluated(run, tmp_path / "copies"))[0] == 8
    rows = [f"{videos / 'train' / names[0]},{names[0].partition('/')[0]},0,0.5"]
    (tmp_path / "list.csv").write_text("\n".join(["path,label,start,end", *rows]))
    flags = ("--timeline", "--window-seconds", "1")
    assert trained(evaluated(run, tmp_path / "list.csv", *flags)) == (1, [str(videos / "train" / names[0])])


def test_a_line_says_that_the_training_videos_are_not_known_here(run, videos, evaluated):
    elsewhere = videos.rename(videos.parent / "elsewhere")
    printed = evaluated(run, elsewhere / "test")
    elsewhere.rename(videos)
    assert f"not searched among the training videos: {videos / 'train'} does not exist" in printed


def test_captioned_videos(small_retrieval_run, captioned_videos, evaluated, tmp_path):
    train(small_retrieval_run(train={"epochs": 1}), out=tmp_path / "run")
    assert trained(evaluated(tmp_path / "run", captioned_videos / "test.csv")) == (0, [])
    assert trained(evaluated(tmp_path / "run", captioned_videos / "train.csv"))[0] == 24
