"""Repeated blocks and chunks run once and count for all: compared with steps in which everything runs."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from side4video.config import parse_config
from side4video.memory.planning import StepPlanner, resolve_types
from side4video.memory.repeated_blocks import RepeatedBlocks, find_repeated_blocks
from side4video.memory.step_history import StepHistory
from side4video.memory.training_step import StepSize, TrainingStep
from side4video.models.build import build_model
from side4video.models.video_model import build_video_model

CLASSES = 7
ARGS = {"patch_size": 8, "embed_dim": 64, "depth": 8, "num_heads": 2}


def settings(**groups):
    """Eight blocks, with more channels in the backbone than in the side network."""
    content = {
        "backbone": {
            "name": "vit_tiny_patch16_224",
            "weights": "random",
            "image_size": 32,
            "model_args": ARGS,
        },
        "side": {"width": 32},
        "data": {"num_frames": 4},
        "train": {"device": "cpu"},
    }
    for name, changes in groups.items():
        content[name] = {**content.get(name, {}), **changes}
    return parse_config(content, source="a deep small model")


def model_of(config):
    return build_video_model(config, num_classes=CLASSES, device=torch.device("cpu"))


def sizes(by_category):
    return {category: size for category, size in by_category.items() if size}


@pytest.mark.parametrize(
    "changes",
    [
        {"train": {"precision": "bf16", "memory": "plain"}, "side": {"variant": "post-norm", "taps": (0, 1, 2, 3, 4)}},
        *(
            pytest.param(changes, marks=pytest.mark.slow)
            for changes in (
                {"train": {"precision": "bf16"}, "backbone": {"dtype": "bfloat16", "model_args": ARGS | {"depth": 5}}},
                {"side": {"taps": (0, 2, 3, 4, 5), "centred": True}},
                {"data": {"cache": "somewhere"}, "train": {"memory": "plain"}},
                {"train": {"memory": "tight"}, "side": {"variant": "post-norm", "taps": "every-second"}},
                {"side": {"taps": (0, 1, 2, 3, 4), "attention": False}, "head": {"fused": True}},
                {"backbone": {"chunk_frames": 30, "model_args": ARGS | {"depth": 5}}, "train": {"memory": "tight"}},
                {"backbone": {"name": "eva02_tiny_patch14_224", "model_args": {"patch_size": 8, "depth": 5}}},
            )
        ),
    ],
    ids=str,
)
def test_repeated_blocks_count_as_if_each_ran(changes):
    check_against_running_everything(settings(**changes), [StepSize(2), StepSize(17)])  # 17 clips are two chunks


@pytest.mark.slow
def test_single_clips_and_several_passes_are_counted():
    config = settings(backbone={"model_args": ARGS | {"depth": 5}})
    check_against_running_everything(config, [StepSize(1), StepSize(17, 2)])


@pytest.mark.slow
def test_retrieval_is_counted(small_retrieval_run):
    config = small_retrieval_run(backbone={"model_args": ARGS | {"depth": 5}}, train={"precision": "bf16"})
    check_against_running_everything(config, [StepSize(17)])


def check_against_running_everything(config, steps):
    config = resolve_types(config, "cpu")
    planner = StepPlanner(config, num_classes=CLASSES, target="cpu")
    with torch.device("meta"):
        model = build_model(config, num_classes=CLASSES, device=torch.device("meta"))
    assert find_repeated_blocks(model).skipped
    with FakeTensorMode(allow_non_fake_inputs=True):
        model.to_empty(device="cpu")
        step = TrainingStep(config, model, num_classes=CLASSES, device=torch.device("cpu"), fake=True)
        for size in steps:
            expected = step.count_passes(size)
            found = planner.history(size)
            assert sizes(found.peak_of(size.clips)) == sizes(expected.peak), size
            assert sizes(found.highest_of(size.clips)) == sizes(expected.highest), size


def test_found_repeated_blocks():
    assert find_repeated_blocks(model_of(settings())) == RepeatedBlocks({1: 6}, frozenset({2, 3, 4, 5, 6}))
    every_second = find_repeated_blocks(model_of(settings(side={"taps": "every-second"})))
    assert every_second == RepeatedBlocks({3: 2}, frozenset({4, 5}))
    uneven = find_repeated_blocks(model_of(settings(side={"taps": (0, 2, 4, 5, 6, 7)})))
    assert uneven == RepeatedBlocks({2: 2, 5: 2}, frozenset({3, 4, 6}))
    few = find_repeated_blocks(model_of(settings(side={"taps": (0, 1, 7)})))
    assert few == RepeatedBlocks({}, frozenset())


@pytest.mark.parametrize(
    "change",
    [
        lambda block: setattr(block.attn, "num_heads", 4),
        lambda block: setattr(block.mlp, "fc1", nn.Linear(64, 300)),
        lambda block: setattr(block, "norm1", nn.Identity()),
        lambda block: block.mlp.fc2.double(),
    ],
)
def test_different_block_is_not_skipped(change):
    model = model_of(settings())
    change(model.backbone.model.blocks[4])
    assert find_repeated_blocks(model) == RepeatedBlocks({1: 3, 5: 2}, frozenset({2, 3, 6}))


def block(x, weights):
    """Keeps two tensors of its own, and frees what it was given."""
    weights.append(torch.zeros(10))
    return x + 1


def run(history, blocks, *, times=1):
    """Run some blocks; the first one counts `times` times."""
    x, weights = torch.zeros(1009, 3), []
    for number in range(blocks):
        if number == 0:
            history.begin_part()
        x = block(x, weights)
        if number == 0:
            history.end_part(times)
    with history.freeing_repeats():
        weights.clear()
    return x.sum()


def test_repeated_part_counts_with_what_it_keeps():
    histories = []
    for blocks, times in ((5, 1), (2, 4)):
        history = StepHistory(1009)
        with history:
            run(history, blocks, times=times)
        histories.append(history)
    every, once = histories
    for clips in (1, 2, 1009):
        assert once.peak_of(clips) == every.peak_of(clips) == {"workspace": 2 * 12 * clips + 5 * 40}
    assert once.current == every.current == {"workspace": 0}


def test_one_history_is_valid_for_any_number_of_clips():
    def step(clips):
        x = torch.zeros(clips, 8)
        kept = torch.zeros(1000)
        return (x * x).sum(), kept + 1

    for clips in (1, 2, 50, 1000):
        history, itself = StepHistory(10_007), StepHistory(1)
        with history:
            step(10_007)
        peak = max(2 * 32 * clips + 4000, 32 * clips + 2 * 4000 + 4)
        with itself:
            step(1)
        assert clips > 1 or itself.peak_of(1) == {"workspace": peak}
        assert history.highest_of(clips) == history.peak_of(clips)
