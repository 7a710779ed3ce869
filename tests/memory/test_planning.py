"""Planning with fake tensors: against real steps whose tensors are counted, and against brute force."""

import pytest
import torch

from side4video.config import MODEL_PRESETS, RunConfig, TrainConfig, parse_config
from side4video.memory.advice import advise, parse_size, usable_bytes
from side4video.memory.planning import StepPlanner, config_of_process, largest_within, resolve_types, target_of
from side4video.memory.tracking import AllocationTracker
from side4video.memory.training_step import (
    ACTIVATIONS,
    BACKBONE_WEIGHTS,
    CATEGORIES,
    CLIPS,
    GRADIENTS,
    OPTIMIZER,
    TRAINED_WEIGHTS,
    StepSize,
    TrainingStep,
    similarity_bytes,
    step_size,
)
from side4video.models.build import build_model
from side4video.models.retrieval_model import build_retrieval_model
from side4video.models.similarity import TextFeatures, VideoFeatures, similarity
from side4video.models.video_model import build_video_model
from side4video.tasks.retrieval.contrastive import contrastive_loss

CLASSES = 7


def settings(**groups):
    """A small model on the CPU whose activations are larger than its weights; keyword arguments change groups."""
    content = {
        "backbone": {
            "name": "vit_tiny_patch16_224",
            "weights": "random",
            "image_size": 64,
            "model_args": {"patch_size": 8, "embed_dim": 64, "depth": 3, "num_heads": 2},
        },
        "side": {"width": 32},
        "data": {"num_frames": 4},
        "train": {"batch": 4, "device": "cpu"},
    }
    for name, changes in groups.items():
        content[name] = {**content.get(name, {}), **changes}
    return parse_config(content, source="a small model")


PLANNERS = {}


def planner(config, target="cpu"):
    """The planner of these settings; tests share it, and with it the histories that it has recorded."""
    key = config.model_dump_json(), target
    if key not in PLANNERS:
        PLANNERS[key] = StepPlanner(config, num_classes=CLASSES, target=target)
    return PLANNERS[key]


def real_step(config):
    """A step with real tensors, after one that makes the optimizer's state."""
    config, device = resolve_types(config, "cpu"), torch.device("cpu")
    model = build_model(config, num_classes=CLASSES, device=device)
    step = TrainingStep(config, model, num_classes=CLASSES, device=device)
    step.run(step_size(config))
    return step.count(step_size(config))


CHANGES = [
    {},
    {"train": {"memory": "plain", "precision": "bf16"}, "side": {"variant": "post-norm"}},
    {"train": {"memory": "tight"}, "side": {"variant": "post-norm", "taps": "every-second"}},
    {"backbone": {"name": "ViT-B-16-SigLIP2.webli", "chunk_frames": 5}, "head": {"fused": True}},
    {"data": {"cache": "somewhere"}, "side": {"stem": False, "centred": True}, "head": {"fused": True}},
]
MORE_CHANGES = [
    {"backbone": {"chunk_frames": 1, "quantise": "int8"}},
    {"train": {"batch": 9, "micro_batch": 4}},
    {"train": {"batch": 9}},
    {"train": {"memory": "plain"}},
    {"train": {"memory": "tight"}},
    {"train": {"precision": "bf16"}, "backbone": {"dtype": "bfloat16"}},
    {"train": {"precision": "bf16", "memory": "tight"}},
    {"head": {"fused": True, "pooled_norm": True, "dropout": 0.5}},
    {"side": {"stem": False, "attention": False, "centred": True}},
    {"train": {"clip_grad_norm": 1.0, "batch": 1}, "side": {"width": 256}},
    {"augment": {"mixup": 0.5}},
    {"data": {"repeats": 2, "num_frames": 8}},
    {"backbone": {"chunk_frames": 3}, "train": {"memory": "plain", "batch": 5}},
    {"backbone": {"quantise": "nf4"}, "train": {"batch": 1}},
    {"data": {"cache": "somewhere"}},
    {"backbone": {"name": "PE-Core-T-16-384.meta"}, "head": {"fused": True}},
    {"backbone": {"name": "PE-Core-T-16-384.meta", "chunk_frames": 3}, "head": {"fused": True}},
    {"backbone": {"name": "ViT-L-14-CLIPA.datacomp1b"}, "head": {"fused": True}},
]


@pytest.mark.parametrize(
    "changes", [*CHANGES, *(pytest.param(changes, marks=pytest.mark.slow) for changes in MORE_CHANGES)], ids=str
)
def test_estimate_equals_a_real_step(changes):
    if "quantise" in changes.get("backbone", {}):
        pytest.importorskip("bitsandbytes")
    config = settings(**changes)
    estimate = planner(config).estimate()
    real = real_step(config)
    assert estimate.total == pytest.approx(real.peak_bytes, rel=0.02)
    assert sum(estimate.peak.values()) == estimate.total
    transient = real.highest.get("backbone transient", 0)
    assert estimate.backbone_transient == pytest.approx(transient, rel=0.02)
    assert (transient == 0) == (config.data.cache is not None), "with stored tokens no backbone runs"


def test_categories_by_hand():
    """The categories that can be counted without a step."""
    config = settings(train={"batch": 5})
    step = planner(config).estimate()
    model = build_video_model(config, num_classes=CLASSES, device=torch.device("cpu"))
    frozen = sum(tensor.nbytes for tensor in [*model.backbone.parameters(), *model.backbone.buffers()])
    trained = sum(parameter.nbytes for parameter in model.parameters() if parameter.requires_grad)
    buffers = sum(buffer.nbytes for part in (model.side, model.head) for buffer in part.buffers())
    tensors = sum(1 for parameter in model.parameters() if parameter.requires_grad)
    assert step.peak[BACKBONE_WEIGHTS] == frozen
    assert step.peak[TRAINED_WEIGHTS] == trained + buffers
    assert step.peak[OPTIMIZER] == 2 * trained + 4 * tensors  # two moments, and a count of the steps
    assert step.peak[CLIPS] == 5 * 4 * 3 * 64 * 64 * 4 + 5 * 8
    assert set(step.peak) == set(CATEGORIES)


def test_8_bit_moments_equal_bitsandbytes():
    pytest.importorskip("bitsandbytes")
    config = settings(train={"optimizer": "adamw-8bit", "batch": 1}, side={"width": 128})
    config, device = resolve_types(config, "cpu"), torch.device("cpu")
    model = build_video_model(config, num_classes=CLASSES, device=device)
    step = TrainingStep(config, model, num_classes=CLASSES, device=device)
    step.run(StepSize(1))
    states = [value for state in step.optimizer.state.values() for value in state.values()]
    storages = {value.untyped_storage().data_ptr(): value for value in states if isinstance(value, torch.Tensor)}
    real = sum(value.untyped_storage().nbytes() for value in storages.values())
    trained = [parameter.numel() for parameter in model.parameters() if parameter.requires_grad]
    large, small = [n for n in trained if n >= 4096], [n for n in trained if n < 4096]
    # Two moments: a byte for each number and a scale for each 256; and two tables of 256 numbers, which all share.
    assert real == sum(2 * (n + 4 * -(-n // 256)) for n in large) + sum(2 * 4 * n for n in small) + 2 * 4 * 256
    assert len(large) > 10
    for target in ("cpu", "gpu"):
        assert planner(config, target).estimate().peak[OPTIMIZER] == real
    assert step.count(StepSize(1)).peak[OPTIMIZER] == real


def test_optimizer_peak_includes_all_gradients():
    """A wide side network on one small clip: weights outweigh activations, so the optimizer step is the peak."""
    config = settings(train={"batch": 1}, data={"num_frames": 1}, side={"width": 512})
    step = planner(config, "gpu").estimate()
    assert step.peak[GRADIENTS] == pytest.approx(step.peak[OPTIMIZER] / 2, rel=0.01)
    assert step.peak[ACTIVATIONS] == 0


def test_one_planner_estimates_every_mode():
    shared, own = planner(settings()), planner(settings(train={"memory": "plain"}))
    totals = [shared.estimate(memory=memory).total for memory in ("tight", "exact", "plain")]
    assert totals == sorted(set(totals))
    assert own.estimate() == shared.estimate(memory="plain")
    assert own.estimate(memory="exact") == shared.estimate()


def test_precision_is_16_bits_on_a_gpu_and_32_on_a_cpu():
    config = settings()
    assert target_of(config) == "cpu"
    assert target_of(RunConfig()) == target_of(RunConfig(train=TrainConfig(device="cuda:1"))) == "gpu"
    on_gpu, on_cpu = planner(config, "gpu").estimate(), planner(config, "cpu").estimate()
    assert on_gpu.peak[BACKBONE_WEIGHTS] * 2 == on_cpu.peak[BACKBONE_WEIGHTS]
    assert on_gpu.peak[CLIPS] == on_cpu.peak[CLIPS]
    assert resolve_types(RunConfig(), "gpu").train.precision == "bf16"
    assert resolve_types(RunConfig(train=TrainConfig(precision="fp16")), "gpu").train.precision == "fp16"


def test_a_process_has_its_share_of_the_batch():
    assert [config_of_process(settings(train={"batch": 10}), number).train.batch for number in (1, 4, 10)] == [10, 3, 1]


def test_step_size_uses_the_largest_micro_batch():
    assert step_size(settings(train={"batch": 10, "micro_batch": 4})) == StepSize(4, 3)
    assert step_size(settings(train={"batch": 9, "micro_batch": 8})) == StepSize(5, 2)
    assert step_size(settings(data={"repeats": 2, "arrow_of_time": True})) == StepSize(16, 1)


@pytest.mark.parametrize("memory", ["exact", pytest.param("plain", marks=pytest.mark.slow)])
def test_the_largest_batch_fits_and_the_next_does_not(memory):
    """Compared with real steps, on a card that holds a few clips."""
    budget = 16 * 10**6
    largest = planner(settings()).largest(budget, memory=memory)
    assert 2 < largest < 19
    needed = [real_step(settings(train={"batch": n, "memory": memory})).peak_bytes for n in (largest, largest + 1)]
    assert needed[0] <= budget < needed[1]


@pytest.mark.parametrize(
    "needed",
    [
        lambda n: 50 + 10 * n,
        lambda n: 90 + (n * n) // 3,
        lambda n: max(100, 7 * n),
        lambda n: 20 + 30 * min(n, 8) + 5 * n,
        lambda n: 64 * -(-n // 8),
        lambda n: 1000 * n**0.5,
    ],
)
def test_largest_within_equals_brute_force(needed):
    for budget in (0, 5, 99, 100, 101, 1000, 4321, 10**5):
        fitting = max((n for n in range(1, 65537) if needed(n) <= budget), default=0)
        for start in (1, 7, 500):
            assert largest_within(needed, budget, start=start) == fitting, (budget, start)


def test_largest_within_needs_few_evaluations():
    asked = []
    assert largest_within(lambda n: asked.append(n) or 1000 + 7 * n, 100_000, start=32, fixed=900) == 14142
    assert len(asked) <= 3


@pytest.mark.slow
def test_vit_e_is_planned_without_its_weights():
    backbone, side = MODEL_PRESETS["e14"]
    config = RunConfig(backbone=backbone, side=side, train=TrainConfig(batch=1))
    plan = StepPlanner(config, num_classes=174)
    assert round(plan.num_backbone_parameters / 1e9, 3) == 4.349
    assert plan.num_side_blocks == 32
    step = plan.estimate()
    assert step.peak[BACKBONE_WEIGHTS] == pytest.approx(2 * 4.349e9, rel=1e-3)


@pytest.mark.parametrize(
    ("text", "size"),
    [("24GB", 24 * 10**9), ("24 GiB", 24 * 2**30), ("8000mb", 8 * 10**9), ("0.5GB", 5 * 10**8), ("512MiB", 2**29)],
)
def test_parse_size(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["24", "24G", "GB", "-1GB", "0GB", "24 giga", "24GB!", "1e3GB"])
def test_invalid_sizes_are_refused(text):
    with pytest.raises(ValueError, match=r"24GB"):
        parse_size(text)


def test_usable_memory_leaves_a_reserve():
    assert usable_bytes(24 * 10**9) == 24 * 10**9 * 97 // 100 - 600 * 10**6
    assert usable_bytes(10**8) == 0


def card_with(budget):
    """A card of which `budget` bytes may be used."""
    return next(size for size in range(int((budget + 6e8) / 0.97), 10**12) if usable_bytes(size) >= budget)


@pytest.fixture(scope="module")
def plan():
    """The plan of a batch of 64 videos of two frames, for a very small model."""
    args = {"patch_size": 16, "embed_dim": 64, "depth": 3, "num_heads": 2}
    return planner(settings(backbone={"model_args": args}, data={"num_frames": 2}, train={"batch": 64}))


def test_advice_names_the_fastest_mode_that_fits():
    plan = planner(settings())
    needs = {memory: plan.estimate(memory=memory).total for memory in ("plain", "exact", "tight")}
    for memory, budget in needs.items():
        advice = advise(plan, card_with(budget))
        assert f"--train.memory {memory}" in advice.sentences[0]
        assert next(mode.memory for mode in advice.modes if mode.fits) == memory
        assert advice.fits == (memory != "tight")
    assert advice.to_json()["modes"]["plain"]["peak_bytes"] == needs["plain"]


@pytest.mark.slow
def test_failed_settings_are_not_advised_again():
    failed = planner(settings(train={"memory": "plain"}))
    assert "--train.memory plain" in advise(failed, 10**12).sentences[0]
    tried = failed.estimate().total
    assert "--train.memory exact" in advise(failed, 10**12, failed_bytes=tried).sentences[0]


def test_if_nothing_smaller_is_left_another_backbone_is_advised():
    plan = planner(
        settings(backbone={"dtype": "bfloat16", "quantise": "int8"}, side={"taps": (0,)}, data={"num_frames": 1})
    )
    advice = advise(plan, 10**12, failed_bytes=plan.weight_bytes)
    assert not advice.fits
    assert advice.sentences[0].startswith("Not even one video fits in any mode.")
    assert "None of the smaller settings fits either. Use a smaller backbone" in advice.sentences[1]


@pytest.mark.slow
def test_no_mode_is_advised_if_the_weights_do_not_fit(plan):
    sentences = " ".join(advise(plan, 10**12, failed_bytes=plan.weight_bytes).sentences)
    assert (
        "Not even one video fits in any mode. Only settings that need less memory than this run are considered."
        in sentences
    )
    assert "smaller" in sentences


@pytest.mark.slow
def test_advice_gives_a_fitting_micro_batch_if_no_mode_fits(plan):
    budget = plan.estimate(StepSize(7, 2), memory="tight").total
    advice = advise(plan, card_with(budget))
    assert not advice.fits
    assert "--train.memory tight --train.micro-batch 7" in " ".join(advice.sentences)
    train = plan.config.train.model_copy(update={"memory": "tight", "micro_batch": 7})
    assert real_step(plan.config.model_copy(update={"train": train})).peak_bytes <= budget


@pytest.mark.slow
def test_advice_gives_a_smaller_model_if_no_video_fits(plan):
    one = plan.estimate(StepSize(1, 2), memory="tight").total
    assert "--data.num-frames 1 --train.micro-batch" in " ".join(advise(plan, card_with(one - 1)).sentences)
    assert "smaller backbone" in " ".join(advise(plan, card_with(10**5)).sentences)


def test_quantised_weights_count_as_parameters():
    numbers = [
        StepPlanner(settings(backbone={"quantise": kind}), num_classes=5).num_backbone_parameters
        for kind in ("none", "nf4")
    ]
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize("memory", [pytest.param(mode, marks=pytest.mark.slow) for mode in ("exact", "plain", "tight")])
def test_estimate_of_a_retrieval_step_equals_a_real_step(memory, small_retrieval_run):
    config = small_retrieval_run(backbone={"chunk_frames": 8}, train={"batch": 6, "memory": memory})
    planner = StepPlanner(config, num_classes=1, target="cpu")
    assert planner.estimate(memory=memory).total == pytest.approx(real_step(config).peak_bytes, rel=0.02)
    assert planner.num_trained_parameters == sum(
        parameter.numel()
        for parameter in build_retrieval_model(config, device=torch.device("cpu")).parameters()
        if parameter.requires_grad
    )


def test_the_stated_bytes_of_similarities_are_those_of_a_real_loss(small_retrieval_run):
    batch, width = 64, 16
    config = small_retrieval_run(train={"batch": batch})
    words, frames = config.text.max_words, config.data.num_frames

    def random(*shape):
        return torch.randn(*shape, requires_grad=True)

    mask = torch.ones(batch, words, dtype=torch.bool)
    texts = TextFeatures(random(batch, words, width), mask, random(batch, words), random(batch, width))
    videos = VideoFeatures(random(batch, frames, width), random(batch, frames))
    with AllocationTracker() as tracker:
        contrastive_loss(similarity(texts, videos, "wti"), torch.tensor(4.6)).backward()
    assert sum(tracker.peak.values()) == pytest.approx(similarity_bytes(config), rel=0.2)
