"""The benchmark of memory and speed on small image models, against sums by hand and real tensors."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from measuring.counting import CountedMethod, gpu_norms
from measuring.gpu import build_step
from measuring.step import Step, build_model
from measuring.table import draw, markdown
from measuring.timing import time_steps
from methods import METHODS, SIZES, Size
from side4video.memory.tracking import AllocationTracker
from side4video.models.backbones.loading import load_backbone

ROOT = Path(__file__).parents[2]
RESULTS = sorted((ROOT / "docs/figures").glob("memory-*.json"))
SMALL = {"patch_size": 16, "embed_dim": 64, "depth": 4, "num_heads": 2}
WIDTH, NUM_CLASSES, NUM_FRAMES = 64, 174, 4
SIZE = Size("small", "vit_base_patch16_clip_quickgelu_224", batch=4, num_frames=NUM_FRAMES)
ONE_OF_EACH = ("side4video-exact", "side4video-modules", "dist", "evl", "st-adapter", "aim", "full", "linear-probe")


def counted(name):
    return CountedMethod(METHODS[name], "b16", SIZE, image_size=32, model_args=SMALL)


def test_a_linear_probe_saves_one_vector_per_clip():
    probe = counted("linear-probe")
    assert probe.trained_parameters == NUM_CLASSES * (WIDTH + 1)
    # what the classifier reads, in 16 bits, and the log-probabilities of the loss, in 32
    assert probe.saved_bytes(3) - probe.saved_bytes(2) == 2 * WIDTH + 4 * NUM_CLASSES


def test_saved_bytes_of_full_fine_tuning_grow_per_block():
    checkpointed = counted("full-checkpointed")
    per_clip = checkpointed.saved_bytes(3) - checkpointed.saved_bytes(2)
    stream = 4 * NUM_FRAMES * 5 * WIDTH  # what a block reads, in 32 bits
    assert per_clip < counted("full").saved_bytes(1) / 3
    assert per_clip > SMALL["depth"] * stream


@pytest.mark.parametrize(
    "name", ["side4video-exact", *(pytest.param(name, marks=pytest.mark.slow) for name in ("full", "evl"))]
)
def test_fake_peak_equals_real_peak(name):
    backbone = load_backbone(SIZE.backbone, weights="random", image_size=32, dtype=torch.bfloat16, model_args=SMALL)
    model = build_model(METHODS[name], "b16", backbone, num_frames=NUM_FRAMES)
    step = Step(METHODS[name], SIZE, model, device=torch.device("cpu"), image_size=32, bf16=True, foreach=True)
    with gpu_norms():
        step.run(2)
        with AllocationTracker() as tracker:
            tracker.count_module(model, "weights")
            tracker.count(step.optimizer_tensors(), "optimizer")
            step.run(2)
    expected = sum(counted(name).peak(2).values())
    assert abs(tracker.peak_bytes - expected) < 0.02 * expected


@pytest.mark.slow
def test_largest_batch_fits_and_the_next_does_not(monkeypatch):
    method = counted("st-adapter")
    monkeypatch.setattr("measuring.counting.usable_bytes", lambda card: sum(method.peak(9).values()))
    assert method.largest_batch(2) == 9
    assert sum(method.peak(10).values()) > sum(method.peak(9).values())


def test_norms_compute_in_32_bits_under_autocast_only():
    x, weight = torch.zeros(2, 4, dtype=torch.bfloat16), torch.ones(4, dtype=torch.bfloat16)
    with gpu_norms():
        assert F.layer_norm(x, (4,), weight).dtype == torch.bfloat16
        with torch.autocast("cpu", torch.bfloat16):
            assert F.layer_norm(x, (4,), weight, bias=weight).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert F.layer_norm(x, (4,), weight).dtype == torch.bfloat16


@pytest.mark.slow
def test_every_method_takes_timed_steps():
    backbone = load_backbone(SIZE.backbone, weights="random", image_size=32, model_args=SMALL)
    cpu = torch.device("cpu")
    steps = {name: build_step(METHODS[name], "b16", SIZE, backbone, cpu) for name in ONE_OF_EACH}
    before = {name: [tensor.clone() for tensor in step.trained] for name, step in steps.items()}
    seconds = time_steps(steps, batch=2, rounds=1)
    assert seconds.keys() == steps.keys()
    assert all(0 < value < 60 for value in seconds.values())
    for name, step in steps.items():
        assert any(not torch.equal(a, b) for a, b in zip(before[name], step.trained, strict=True)), name


def test_method_that_does_not_fit_is_reported_and_others_continue(tmp_path):
    backbone = load_backbone(SIZE.backbone, weights="random", image_size=32, model_args=SMALL)
    names = ("linear-probe", "full")
    steps = {name: build_step(METHODS[name], "b16", SIZE, backbone, torch.device("cpu")) for name in names}

    def refuse(*inputs):
        raise torch.OutOfMemoryError("no memory")

    steps["full"].loss = refuse
    seconds = time_steps(steps, batch=1, rounds=1)
    assert seconds["full"] is None
    assert seconds["linear-probe"] > 0
    row = {"size": "b16", "input_frames": 8, "batch": 32, "trained_parameters": 5, "saved_bytes_per_further_clip": 7}
    row |= {"method": "full", "peak_bytes": None, "largest_batch_24gb": 3, "seconds_per_step": None}
    assert "| does not fit |" in markdown({"rows": [row]})
    draw({"rows": [row]}, tmp_path / "none.svg")
    assert not (tmp_path / "none.svg").exists()


def test_documentation_shows_the_committed_results(tmp_path):
    assert RESULTS
    documentation = (ROOT / "docs/background/results.md").read_text(encoding="utf-8")
    for path in RESULTS:
        results = json.loads(path.read_text())
        rows = {(row["size"], row["method"]) for row in results["rows"]}
        assert rows == {(size, name) for name, method in METHODS.items() for size in method.options}
        for word in (results["date"], results["device"], results["command"], f"figures/{path.stem}.svg"):
            assert word in documentation, word
        assert markdown(results) in documentation, f"{path.name} and docs/background/results.md differ"
        draw(results, tmp_path / "drawn.svg")
        assert (tmp_path / "drawn.svg").stat().st_size > 5000


def test_sizes_equal_the_methods():
    assert {size for method in METHODS.values() for size in method.options} == set(SIZES)
