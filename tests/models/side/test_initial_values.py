"""Initial values by mean and standard deviation of each kind of parameter, over seeds, variants and tasks."""

import re
from collections import defaultdict

import pytest
import torch

from side4video.models.retrieval_model import build_retrieval_model
from side4video.models.side.side_network import SideNetwork

SEEDS = range(4)
D, WIDTH, PATCHES, PATCH, EMBED = 32, 128, 16, 8, 64
CPU = torch.device("cpu")
PYTORCH = {  # inputs of each layer: PyTorch draws its weights and biases from U(-inputs^-1/2, inputs^-1/2)
    "stem": 3 * 3 * PATCH**2,
    "blocks.tap.linear": D,
    "blocks.temporal.expand": WIDTH,
    "blocks.temporal.depthwise": 3,
    "blocks.temporal.project": WIDTH,
    "blocks.attention.query": WIDTH,
    "blocks.attention.key_value": WIDTH,
    "blocks.attention.project": WIDTH,
    "blocks.mlp.expand": WIDTH,
    "blocks.mlp.project": 4 * WIDTH,
}
NORMS = ("stem_norm", "blocks.tap.norm", "blocks.temporal_norm", "blocks.attention_norm", "blocks.mlp_norm")


def by_kind(networks):
    """All values of each kind of parameter: those of the same name in any block of any network."""
    values = defaultdict(list)
    for network in networks:
        for name, parameter in network.named_parameters():
            values[re.sub(r"\.\d+", "", name)].append(parameter.detach().flatten())
    return {kind: torch.cat(parts) for kind, parts in values.items()}


def of_pytorch(layers):
    """Mean and standard deviation of weights and biases by PyTorch's own defaults."""
    return {
        f"{name}.{part}": (0.0, (3 * inputs) ** -0.5) for name, inputs in layers.items() for part in ("weight", "bias")
    }


def expected_side(variant, task, *, scaled=False):
    """Mean and standard deviation of each kind of parameter of a side network, as the paper's code draws it."""
    pre_norm = variant == "pre-norm"
    expected = of_pytorch(PYTORCH) | {"positions": (0.0, 0.01 if pre_norm else 0.02)}
    expected |= {f"{norm}.weight": (1.0, 0.0) for norm in NORMS} | {f"{norm}.bias": (0.0, 0.0) for norm in NORMS}
    if not (pre_norm or scaled):
        return expected
    attention = ("query", "key_value", "project")
    expected |= {f"blocks.attention.{name}.bias": (0.0, 0.0) for name in attention}
    expected |= {f"blocks.attention.{name}.weight": (0.0, WIDTH**-0.5) for name in ("query", "key_value")}
    if task == "retrieval" and not scaled:
        linear = ("tap.linear", "attention.project", "mlp.expand", "mlp.project")
        pointwise = ("temporal.expand", "temporal.project")
        expected |= {f"blocks.{name}.weight": (0.0, 0.02) for name in (*linear, *pointwise)}
        expected |= {f"blocks.{name}.bias": (0.0, 0.0) for name in linear}
        return expected | {"blocks.temporal.depthwise.weight": (0.0, WIDTH**-0.5)}
    expected |= {f"blocks.{name}.weight": (0.0, (2 * WIDTH) ** -0.5) for name in ("tap.linear", "mlp.expand")}
    return expected | {
        f"blocks.{name}.weight": (0.0, WIDTH**-0.5 * 24**-0.5) for name in ("attention.project", "mlp.project")
    }


def check(values, expected):
    """Mean and standard deviation within five standard errors."""
    assert values.keys() == expected.keys()
    for kind, (mean, std) in expected.items():
        error = len(values[kind]) ** -0.5
        assert values[kind].mean().item() == pytest.approx(mean, abs=5 * std * error + 1e-9), kind
        assert values[kind].std().item() == pytest.approx(std, rel=5 * error, abs=1e-9), kind


def recognition_networks(variant):
    sizes = {"backbone_width": D, "num_patches": PATCHES, "patch_size": PATCH, "width": WIDTH}
    for seed in SEEDS:
        torch.manual_seed(seed)
        yield SideNetwork(**sizes, taps=(0, 1), variant=variant)


@pytest.mark.parametrize("variant", ["pre-norm", "post-norm"])
def test_recognition(variant):
    check(by_kind(recognition_networks(variant)), expected_side(variant, "recognition"))


@pytest.mark.parametrize("scaled", [False, True], ids=["paper", "scaled"])
@pytest.mark.parametrize("variant", ["pre-norm", "post-norm"])
def test_retrieval(variant, scaled, small_retrieval_run):
    """Everything that does not start from loaded weights: side network, its projection, weights of words and frames."""
    configs = [
        small_retrieval_run(
            side={"width": WIDTH, "variant": variant, "initial_values": "scaled" if scaled else "paper"},
            text={"model_args": {"embed_dim": EMBED, "width": 32, "heads": 2, "layers": 1, "context_length": 16}},
            seed=seed,
        )
        for seed in SEEDS
    ]
    models = [build_retrieval_model(config, device=CPU) for config in configs]
    check(by_kind(model.side for model in models), expected_side(variant, "retrieval", scaled=scaled))
    weights = by_kind(part for model in models for part in (model.word_weights, model.frame_weights))
    layers = of_pytorch({"layers": EMBED})
    if variant == "pre-norm" and not scaled:
        layers = {"layers.weight": (0.0, 0.02), "layers.bias": (0.0, 0.0)}
    check(weights, layers)
    assert not any(model.head.side_projection.weight.any() for model in models)


@pytest.mark.parametrize("scaled", [False, True], ids=["paper", "scaled"])
@pytest.mark.parametrize("variant", ["pre-norm", "post-norm"])
def test_gates_on_temporal_differences_start_open_in_retrieval_too(variant, scaled, small_retrieval_run):
    values = "scaled" if scaled else "paper"
    config = small_retrieval_run(side={"variant": variant, "initial_values": values, "temporal_difference": True})
    blocks = build_retrieval_model(config, device=CPU).side.blocks
    assert not any(parameter.any() for block in blocks for parameter in block.difference.parameters())


def test_values_depend_only_on_the_seed(small_retrieval_run):
    first, again, other = (
        build_retrieval_model(small_retrieval_run(seed=seed), device=CPU).side.blocks[0].mlp.expand.weight
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_values_of_another_variant_are_detected():
    """The tests above can fail."""
    with pytest.raises(AssertionError):
        check(by_kind(recognition_networks("post-norm")), expected_side("pre-norm", "recognition"))


def test_numbers_of_e14():
    """Width 576 on 1792 channels: the standard deviations of the paper's largest model."""
    torch.manual_seed(0)
    side = SideNetwork(backbone_width=1792, num_patches=4, patch_size=14, taps=(0,), width=576, variant="post-norm")
    (block,) = side.blocks
    layers = [block.tap.linear, block.attention.query, block.attention.project, block.mlp.expand, block.mlp.project]
    found = [layer.weight.std().item() for layer in layers]
    assert found == pytest.approx([0.0136, 0.0241, 0.0241, 0.0241, 0.0120], abs=1e-4)
    assert all(layer.bias.any() for layer in layers)
