"""Quantised frozen weights against their definition in a few lines, on every kind of model, and without data."""

import copy
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from side4video.config import parse_config
from side4video.memory.tracking import AllocationTracker
from side4video.models.backbones.loading import load_backbone
from side4video.models.backbones.quantisation import QuantisedLinear, import_bitsandbytes, quantise_linear_layers
from side4video.models.video_model import build_video_model

SMALL = {"embed_dim": 64, "num_heads": 2, "depth": 2}
TINY = "vit_tiny_patch16_224"
PRECISIONS = ["int8", "nf4"]
# The 16 levels as printed in appendix E of arXiv 2305.14314.
NF4 = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
    *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
    *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
LEVELS = {"int8": [level / 127 for level in range(-127, 128)], "nf4": NF4}


def assert_nearest_levels(quantised: torch.Tensor, weight: torch.Tensor, precision: str) -> None:
    """Each block of 64 numbers is divided by its largest absolute value and rounded to the nearest level."""
    levels = torch.tensor(LEVELS[precision], dtype=torch.float64)
    for block, found in zip(weight.flatten().double().split(64), quantised.flatten().double().split(64), strict=True):
        exact, found = block / block.abs().max(), found / block.abs().max()
        to_levels = (found[:, None] - levels).abs().min(1).values
        assert to_levels.max() < 1e-6, "not on a level"
        nearest = (exact[:, None] - levels).abs().min(1).values
        assert ((exact - found).abs() - nearest).max() < 1e-4, "another level is nearer"


def filled(layer: nn.Linear, seed: int = 1) -> nn.Linear:
    for parameter in layer.requires_grad_(False).parameters():
        parameter.normal_(generator=torch.Generator().manual_seed(seed))
    return layer


def tiny(quantise="none", name=TINY, **args):
    args = {"model_args": SMALL, "image_size": 32, "weights": "random"} | args
    return load_backbone(name, quantise=quantise, **args)


def last_tokens(backbone) -> torch.Tensor:
    side = backbone.image_size
    clips = torch.randn((2, 2, 3, side, side), generator=torch.Generator().manual_seed(5))
    (tokens,) = backbone.iterate(clips, [backbone.num_blocks - 1])
    return tokens.patches


@pytest.mark.parametrize("precision", PRECISIONS)
# Rows that hold whole blocks; rows that do not; a last block that is not full; an odd number of weights.
@pytest.mark.parametrize("shape", [(128, 32), (96, 10), (10, 7), (5, 3)])
class TestLinear:
    def test_the_weight_is_the_nearest_level(self, precision, shape):
        layer = filled(nn.Linear(*shape))
        assert_nearest_levels(QuantisedLinear(layer, precision).weight, layer.weight, precision)

    def test_the_comparison_detects_one_wrong_level(self, precision, shape):
        layer = filled(nn.Linear(*shape))
        weight = QuantisedLinear(layer, precision).weight
        weight.view(-1)[0] = -weight.view(-1)[0]
        with pytest.raises(AssertionError, match="level"):
            assert_nearest_levels(weight, layer.weight, precision)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
    def test_it_computes_in_the_dtype_of_the_layer(self, precision, shape, dtype):
        layer = filled(nn.Linear(*shape)).to(dtype)
        quantised = QuantisedLinear(layer, precision)
        x = torch.randn(4, 3, shape[0], dtype=dtype)
        out = quantised(x)
        assert out.dtype == quantised.weight.dtype == dtype
        assert torch.equal(out, F.linear(x, quantised.weight, layer.bias))


@pytest.mark.parametrize("precision", PRECISIONS)
class TestModule:
    def test_bytes_of_a_layer(self, precision):
        layer = filled(nn.Linear(256, 128, bias=False))
        quantised = QuantisedLinear(layer, precision)
        bits = 8 if precision == "int8" else 4
        assert quantised.codes.nbytes == 256 * 128 * bits / 8
        assert quantised.scales.nbytes == 256 * 128 / 64 * 4
        other = 256 * 4 if precision == "int8" else 0  # the table of levels
        assert sum(buffer.nbytes for buffer in quantised.buffers()) == (256 * 128 * (bits + 0.5) / 8) + other

    def test_a_cast_rounds_no_scales(self, precision):
        quantised = QuantisedLinear(filled(nn.Linear(64, 64)), precision)
        before = quantised.weight
        cast = copy.deepcopy(quantised).to(torch.bfloat16)
        assert cast.weight.dtype == cast.bias.dtype == torch.bfloat16
        torch.testing.assert_close(cast.weight, before.to(torch.bfloat16), rtol=1e-2, atol=0)
        assert torch.equal(cast.to(torch.float32).weight, before)

    def test_only_linear_layers_are_replaced_and_float_weights_are_freed(self, precision):
        module = nn.Sequential(nn.LayerNorm(8), nn.Sequential(nn.Linear(8, 8), nn.GELU()), nn.Conv2d(3, 8, 1))
        quantise_linear_layers(module.requires_grad_(False), precision)
        assert [type(layer) for layer in (module[0], *module[1], module[2])] == [
            *(nn.LayerNorm, QuantisedLinear),
            *(nn.GELU, nn.Conv2d),
        ]
        assert "1.0.weight" not in module.state_dict()

    def test_its_peak_is_one_unpacked_weight(self, precision):
        quantised = QuantisedLinear(filled(nn.Linear(256, 256)), precision)
        x = torch.zeros(2, 256)
        with AllocationTracker() as tracker:
            tracker.count_module(quantised, "weights")
            out = quantised(x)
        assert tracker.peak["workspace"] == 256 * 256 * 4 + out.nbytes

    def test_fake_tensors_are_counted_as_real_ones(self, precision):
        def peak():
            first, second = (nn.Linear(*shape, dtype=torch.bfloat16) for shape in [(70, 64), (64, 10)])
            module = nn.Sequential(first, nn.GELU(), second).requires_grad_(False)
            quantise_linear_layers(module, precision)
            x = torch.zeros(5, 70, dtype=torch.bfloat16)
            with AllocationTracker() as tracker:
                tracker.count_module(module, "weights")
                module(x)
            return tracker.peak

        real = peak()
        with FakeTensorMode():
            assert peak() == real


class TestBackbone:
    @pytest.mark.parametrize("precision", PRECISIONS)
    @pytest.mark.parametrize(
        "name",
        [
            TINY,
            "vit_base_patch16_clip_quickgelu_224",
            "vit_base_patch16_siglip_224",
            "vit_small_patch16_dinov3",
            "eva02_base_patch16_clip_224",  # queries, keys and values apart
            "eva_giant_patch14_224",  # reads the weight of its layer itself
            "beit3_base_patch16_224",
        ],
    )
    def test_tokens_are_those_of_rounded_weights(self, name, precision):
        size = 28 if "patch14" in name else 32
        plain = tiny(name=name, image_size=size)
        for layer in plain.model.blocks.modules():
            if isinstance(layer, nn.Linear):
                layer.weight.copy_(QuantisedLinear(layer, precision).weight)
        quantised = tiny(precision, name=name, image_size=size)
        assert any(isinstance(layer, QuantisedLinear) for layer in quantised.modules())
        torch.testing.assert_close(last_tokens(quantised), last_tokens(plain), rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize("precision", PRECISIONS)
    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
    def test_dtype_and_fingerprint_do_not_change(self, precision, dtype):
        plain, quantised = tiny(dtype=dtype), tiny(precision, dtype=dtype)
        assert quantised.dtype == last_tokens(quantised).dtype == dtype
        assert (plain.quantised, quantised.quantised) == ("none", precision)
        assert quantised.fingerprint == plain.fingerprint
        assert quantised.fingerprint != tiny(precision, dtype=dtype, seed=1).fingerprint
        assert not torch.equal(last_tokens(quantised), last_tokens(plain))

    @pytest.mark.parametrize("name", ["vit_small_patch16_dinov3", "vit_medium_patch16_rope_reg1_gap_256"])
    def test_dtype_where_there_are_no_position_tables(self, name):
        assert tiny("nf4", name=name, dtype=torch.bfloat16).dtype == torch.bfloat16

    def test_more_bits_give_a_smaller_error(self):
        exact = last_tokens(tiny())
        int8, nf4 = ((last_tokens(tiny(p)) - exact).norm() / exact.norm() for p in PRECISIONS)
        assert 0 < 5 * int8 < nf4 < 0.2

    @pytest.mark.parametrize(("precision", "bits"), [pytest.param("int8", 8.5, marks=pytest.mark.slow), ("nf4", 4.5)])
    def test_bytes_are_known_without_data(self, precision, bits):
        """Of ViT-E/14, whose weights take 8.7 GB in 16 bits."""
        with torch.device("meta"):
            backbone = load_backbone(
                "eva02_enormous_patch14_clip_224", weights="random", quantise=precision, dtype=torch.bfloat16
            )
        tensors = [*backbone.parameters(), *backbone.buffers()]
        in_blocks = 64 * (4 * 1792**2 + 2 * 1792 * 15360)
        rest = 4.349e9 - in_blocks
        assert sum(t.nbytes for t in tensors) == pytest.approx(in_blocks * bits / 8 + 2 * rest, rel=2e-3)

    def test_it_is_built_from_settings_and_moves(self):
        config = parse_config(
            {
                "backbone": {
                    **{"name": TINY, "weights": "random", "image_size": 32, "model_args": SMALL},
                    **{"quantise": "nf4", "chunk_frames": 3},
                },
                "side": {"width": 16},
            },
            source="test",
        )
        model = build_video_model(config, num_classes=3, device=torch.device("cpu"))
        assert model.backbone.chunk_frames == 3
        model(torch.randn(2, 4, 3, 32, 32)).sum().backward()
        assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
        assert not [name for name in model.trained_state() if name.startswith("backbone")]

    def test_twice_or_an_unknown_precision_is_refused(self):
        with pytest.raises(ValueError, match="is quantised already"):
            tiny("nf4").quantise("int8")
        with pytest.raises(ValueError, match=r"'int4' is not known\. Use one of 'none', int8, nf4"):
            tiny("int4")


def test_a_missing_bitsandbytes_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)  # as Python does for what cannot be imported
    with pytest.raises(ModuleNotFoundError, match=r"quantise = 'nf4' needs.*pip install 'side4video\[quantised\]'"):
        tiny("nf4")
    assert tiny().dtype == torch.float32


@pytest.mark.slow
def test_libraries_that_few_runs_need_are_imported_only_then():
    """`train` and `predict` of recognition: each of these libraries takes a second or more."""
    code = "import sys, side4video.selection.run, side4video.reports.run_report, side4video.inference.predictor; "
    code += "assert not {'bitsandbytes', 'open_clip', 'transformers', 'sklearn'} & sys.modules.keys(), sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert import_bitsandbytes("a test").__name__ == "bitsandbytes"
