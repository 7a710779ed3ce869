"""Subsets of the training videos: counts, nesting, seeds, errors; and what a run then trains on."""

from collections import Counter
from itertools import pairwise

import pytest
import torch

from side4video.config import ConfigError, DataConfig, parse_config
from side4video.tasks.recognition.data import read_data
from side4video.tasks.recognition.task import RecognitionTask
from side4video.tasks.retrieval.data import read_caption_data
from side4video.tasks.retrieval.task import RetrievalTask
from side4video.tasks.subset import choose_videos

CPU = torch.device("cpu")
GROUPS = [0] * 40 + [1] * 20 + [2] * 3 + [1] * 20 + [0] * 60
NAMES = {0: "walking", 1: "running", 2: "falling"}


def choose(seed=0, groups=GROUPS, **settings):
    return choose_videos(groups, config=DataConfig(**settings), seed=seed, names=NAMES)


@pytest.mark.parametrize(
    ("settings", "sizes"),
    [
        ({"shots": 1}, (1, 1, 1)),
        ({"shots": 3}, (3, 3, 3)),
        ({"fraction": 0.05}, (5, 2, 1)),
        ({"fraction": 0.1}, (10, 4, 1)),
        ({"fraction": 0.5}, (50, 20, 2)),
        ({"fraction": 1.0}, (100, 40, 3)),
        ({}, (100, 40, 3)),
    ],
)
def test_each_class_keeps_its_share_and_the_order_of_the_list(settings, sizes):
    kept = choose(**settings)
    assert kept == sorted(set(kept))
    assert Counter(GROUPS[place] for place in kept) == dict(enumerate(sizes))


def test_smaller_subsets_are_part_of_larger_ones():
    parts = [set(choose(fraction=fraction)) for fraction in (0.05, 0.1, 0.2, 0.5, 1.0)]
    assert all(small < large for small, large in pairwise(parts))
    shots = [set(choose(shots=shots)) for shots in (1, 2, 3)]
    assert all(small < large for small, large in pairwise(shots))
    assert set(choose(shots=3)) <= set(choose(fraction=0.5)) | {place for place in range(143) if GROUPS[place] == 2}


def test_the_choice_depends_only_on_the_seed():
    torch.manual_seed(1)
    first = choose(fraction=0.1)
    torch.manual_seed(2)
    assert choose(fraction=0.1) == first
    assert choose(fraction=0.1, seed=1) != first


def test_chosen_videos_are_spread_over_a_class():
    """The first videos of a list may be from one session or one person."""
    places = [place for seed in range(200) for place in choose(shots=1, seed=seed) if GROUPS[place] == 0]
    assert min(places) < 10
    assert max(places) > 130
    assert len(set(places)) > 70, "of 100; 87 are expected"


def test_more_shots_than_videos_are_refused_with_the_class():
    with pytest.raises(ValueError, match=r"data\.shots = 4 is more than .* of falling \(3\)\. Use 3 or fewer"):
        choose(shots=4)
    with pytest.raises(ValueError, match=r"falling \(0\)"):
        choose(shots=1, groups=[0, 1])
    with pytest.raises(ValueError, match="pass the run's seed"):
        choose(shots=1, seed=None)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"shots": 2, "fraction": 0.1}, "both select training videos"),
        ({"shots": 0}, "data.shots = 0"),
        ({"fraction": 0.0}, "data.fraction = 0"),
        ({"fraction": 1.5}, "data.fraction = 1.5"),
    ],
)
def test_invalid_subsets_are_refused(data, message):
    with pytest.raises(ConfigError, match=message):
        parse_config({"data": data}, source="test")


def test_shots_of_captioned_videos_are_refused():
    with pytest.raises(ConfigError, match=r"data\.shots: not supported by task retrieval"):
        parse_config({"task": "retrieval", "data": {"shots": 2}}, source="test")


def test_a_run_trains_on_the_chosen_videos_and_reports_it(small_run, capsys):
    config = small_run(data={"shots": 1})
    task = RecognitionTask(config, CPU)
    assert "data.shots = 1: training on 8 of 24 videos." in capsys.readouterr().out
    assert len(task.train_set) == 8
    assert sorted(video.label for video in task.train_set.videos) == list(range(8))
    assert len(task.test_set) == len(RecognitionTask(small_run(), CPU).test_set), "evaluation is not touched"
    everything = read_data(small_run().data)
    assert set(task.data.train.videos) < set(everything.train.videos)
    assert task.class_names == everything.class_names


def test_the_arrow_of_time_chooses_by_the_classes_of_the_list(small_run):
    config = small_run(data={"shots": 1, "arrow_of_time": True})
    data = read_data(config.data, seed=config.seed)
    assert data.class_names == ("forward", "reversed")
    assert len({video.path.parent for video in data.train.videos}) == len(data.train.videos) == 8


def test_too_many_shots_are_refused_before_a_model_is_built(small_run):
    with pytest.raises(ValueError, match=r"data\.shots = 4 .* of anticlockwise \(3\)"):
        RecognitionTask(small_run(data={"shots": 4}, backbone={"name": "no model at all"}), CPU)


def test_captioned_videos_keep_their_captions(small_retrieval_run, capsys):
    config = small_retrieval_run(data={"fraction": 0.25})
    task = RetrievalTask(config, CPU)
    assert "data.fraction = 0.25: training on 6 of 24 videos." in capsys.readouterr().out
    assert (len(task.train_set), len(task.captions)) == (6, 6)
    everything = read_caption_data(small_retrieval_run().data).train
    expected = dict(zip(everything.videos, everything.captions, strict=True))
    assert all(expected[video] == own for video, own in zip(task.data.train.videos, task.captions, strict=True))
