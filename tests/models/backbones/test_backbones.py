"""Frozen backbones against timm's own forward passes."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from side4video.models.backbones.loading import FrozenBackbone, load_backbone

CLIP = "vit_base_patch32_clip_quickgelu_224"
SMALL = {"embed_dim": 64, "num_heads": 2}
MIXED_ROPE = {**SMALL, "depth": 3, "num_heads": 4}

# name, model_args, image_size: class tokens, registers, rotary positions, neither, as the published models have them
MODELS = [
    (CLIP, {"depth": 3}, None),
    ("vit_base_patch16_clip_quickgelu_224", {"depth": 3}, 64),
    ("eva02_base_patch16_clip_224", {"depth": 3}, 64),
    ("vit_base_patch16_siglip_224", {"depth": 3}, 64),
    ("vit_small_patch14_dinov2", {"depth": 3}, 70),
    ("vit_small_patch14_reg4_dinov2", {"depth": 3}, 70),
    ("vit_small_patch16_dinov3", {"depth": 3}, 64),
    ("deit_tiny_distilled_patch16_224", {"depth": 3}, 64),
    ("deit3_small_patch16_224", {"depth": 3}, 64),
    ("vit_base_patch16_224.mae", {"depth": 3}, 64),
    ("vit_medium_patch16_rope_reg1_gap_256", {"depth": 3}, 64),  # a register, but no class token
    ("vit_small_patch16_rope_mixed_224", {"depth": 3}, 64),  # rotations learned for each block
    ("eva02_enormous_patch14_clip_224", {**SMALL, "depth": 3}, 56),  # norms behind attention and MLP
    ("vit_pe_core_tiny_patch16_384", {"depth": 3}, 64),
    ("beit3_base_patch16_224", {"depth": 3}, 64),
]
IDS = [name for name, _, _ in MODELS]


def random_backbone(name: str, args: dict, size: int | None = None, **kwargs) -> FrozenBackbone:
    return load_backbone(name, weights="random", model_args=args, image_size=size, **kwargs)


def random_clips(backbone: FrozenBackbone, *, clips: int = 2) -> torch.Tensor:
    shape = (clips, 2, 3, backbone.image_size, backbone.image_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


def tiny(**kwargs) -> FrozenBackbone:
    return random_backbone("vit_tiny_patch16_224", {"depth": 3, **SMALL}, 32, **kwargs)


@pytest.fixture(scope="module")
def clip() -> FrozenBackbone:
    return random_backbone(CLIP, {**SMALL, "depth": 3}, 64)


class TestIterate:
    @pytest.mark.parametrize(("name", "args", "size"), MODELS, ids=IDS)
    def test_equals_the_models_own_forward(self, name, args, size):
        backbone = random_backbone(name, args, size)
        clips = random_clips(backbone)
        with torch.no_grad():
            own = backbone.model.forward_intermediates(
                clips.flatten(0, 1), norm=False, output_fmt="NLC", return_prefix_tokens=True, intermediates_only=True
            )
        seen = list(backbone.iterate(clips, range(3)))
        assert [tokens.block for tokens in seen] == [0, 1, 2]
        for tokens, expected in zip(seen, own, strict=True):
            patches, prefix = expected if isinstance(expected, tuple) else (expected, None)
            assert tokens.patches.shape == (2, 2, backbone.num_patches, backbone.width)
            assert torch.equal(tokens.patches.flatten(0, 1), patches)
            has_class_token = backbone.model.cls_token is not None
            summary = prefix[:, :1] if has_class_token else patches.mean(1, keepdim=True)
            assert torch.equal(tokens.summary.flatten(0, 1), summary)

    @pytest.mark.parametrize("taps", [(1,), (0, 2), (2, 0, 0)])
    def test_subset_of_taps(self, clip, taps):
        clips = random_clips(clip)
        everything = list(clip.iterate(clips, range(3)))
        chosen = list(clip.iterate(clips, taps))
        assert [tokens.block for tokens in chosen] == sorted(set(taps))
        for tokens in chosen:
            assert torch.equal(tokens.patches, everything[tokens.block].patches)
            assert torch.equal(tokens.summary, everything[tokens.block].summary)

    def test_blocks_after_the_last_tap_are_not_computed(self, clip):
        ran = []
        hooks = [b.register_forward_hook(lambda *_, i=i: ran.append(i)) for i, b in enumerate(clip.model.blocks)]
        blocks = clip.iterate(random_clips(clip), [0, 1])
        assert next(blocks).block == 0
        assert ran == [0]
        assert next(blocks).block == 1
        assert list(blocks) == []
        assert ran == [0, 1]
        for hook in hooks:
            hook.remove()

    def test_no_taps(self, clip):
        assert list(clip.iterate(random_clips(clip), [])) == []

    def test_clips_and_frames_are_not_mixed(self, clip):
        clips = random_clips(clip)
        (together,) = clip.iterate(clips, [2])
        (alone,) = clip.iterate(clips[1:, 1:], [2])
        torch.testing.assert_close(together.patches[1, 1], alone.patches[0, 0], rtol=1e-4, atol=1e-5)

    def test_autograd_stores_nothing_and_the_callers_mode_stays(self, clip):
        saved = []
        clips = random_clips(clip).requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(saved.append, lambda x: x):
            for tokens in clip.iterate(clips, range(3)):
                assert torch.is_grad_enabled()
                assert not tokens.patches.requires_grad
                assert not tokens.summary.requires_grad
        assert saved == []

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_outer_autocast_does_not_change_tokens(self, dtype):
        backbone = tiny(dtype=dtype)
        clips = random_clips(backbone)
        (plain,) = backbone.iterate(clips, [2])
        with torch.autocast("cpu", torch.bfloat16):
            (cast,) = backbone.iterate(clips, [2])
            assert torch.is_autocast_enabled("cpu")
        assert cast.patches.dtype == dtype
        assert torch.equal(cast.patches, plain.patches)

    @pytest.mark.parametrize("name", [CLIP, "eva02_base_patch16_clip_224", "vit_small_patch16_dinov3"])
    def test_half_precision_is_near_single(self, name):
        args = {**MIXED_ROPE, "embed_dim": 128}
        single = random_backbone(name, args, 64)
        half = random_backbone(name, args, 64, dtype=torch.bfloat16)
        clips = random_clips(single)
        (exact,), (rough,) = single.iterate(clips, [2]), half.iterate(clips.double(), [2])
        assert rough.patches.dtype == rough.summary.dtype == torch.bfloat16
        error = (rough.patches.float() - exact.patches).norm() / exact.patches.norm()
        assert 0 < error < 0.03

    @pytest.mark.parametrize("taps", [[3], [-1], [0, 7]])
    def test_unknown_block(self, clip, taps):
        with pytest.raises(ValueError, match="has blocks 0 to 2"):
            clip.iterate(random_clips(clip), taps)

    @pytest.mark.parametrize("shape", [(4, 3, 64, 64), (1, 2, 1, 64, 64), (1, 2, 3, 32, 32), (1, 2, 3, 64, 96)])
    def test_frames_of_another_shape(self, clip, shape):
        with pytest.raises(ValueError, match=r"reads \(B, T, 3, 64, 64\)"):
            clip.iterate(torch.zeros(shape), [0])

    def test_integer_frames_are_refused(self, clip):
        with pytest.raises(ValueError, match="Divide them by 255"):
            clip.iterate(torch.zeros(1, 2, 3, 64, 64, dtype=torch.uint8), [0])


class TestFrozen:
    def test_nothing_is_trained_and_eval_stays(self, clip):
        assert not any(parameter.requires_grad for parameter in clip.parameters())
        nn.Sequential(clip).train()
        assert not any(module.training for module in clip.modules())

    def test_heads_are_removed(self):
        backbone = random_backbone("vit_base_patch16_siglip_224", {"depth": 1}, 32)
        assert not [name for name in backbone.state_dict() if "head" in name or "attn_pool" in name]

    @pytest.mark.parametrize(
        ("name", "norm"),
        [(CLIP, "norm"), ("vit_base_patch16_siglip_224", "norm"), ("eva02_base_patch14_448", "fc_norm")],
    )
    def test_pool_is_the_final_norm_of_the_summary(self, name, norm):
        backbone = random_backbone(name, {**SMALL, "depth": 1}, 224)
        layer = getattr(backbone.model, norm)
        layer.weight.data.uniform_()
        (tokens,) = backbone.iterate(random_clips(backbone, clips=1), [0])
        expected = F.layer_norm(tokens.summary[:, :, 0], (64,), layer.weight, layer.bias, layer.eps)
        torch.testing.assert_close(backbone.pool(tokens), expected)

    def test_pool_of_the_last_block_is_the_models_own_feature(self, clip):
        clips = random_clips(clip)
        (tokens,) = clip.iterate(clips, [2])
        with torch.no_grad():
            own = clip.model.forward_features(clips.flatten(0, 1))[:, 0]
        torch.testing.assert_close(clip.pool(tokens).flatten(0, 1), own)

    def test_pool_lets_gradients_pass(self, clip):
        (tokens,) = clip.iterate(random_clips(clip), [2])
        shift = torch.zeros(64, requires_grad=True)
        clip.pool(replace(tokens, summary=tokens.summary + shift))[..., 0].sum().backward()
        assert shift.grad.abs().sum() > 0

    def test_quickgelu_names_really_use_it(self):
        x = torch.linspace(-3, 3, 7)
        quick, plain = (
            random_backbone(name, {**SMALL, "depth": 1}, 32).model.blocks[0].mlp.act(x)
            for name in ("vit_base_patch16_clip_quickgelu_224", "vit_base_patch16_clip_224")
        )
        torch.testing.assert_close(quick, x * torch.sigmoid(1.702 * x))
        torch.testing.assert_close(plain, F.gelu(x))

    @pytest.mark.parametrize(
        ("name", "width", "blocks", "side", "patch", "patches", "mean"),
        [
            (CLIP, 768, 12, 224, 32, 49, 0.48145466),
            ("vit_large_patch14_clip_quickgelu_336", 1024, 24, 336, 14, 576, 0.48145466),
            ("eva02_enormous_patch14_clip_224", 1792, 64, 224, 14, 256, 0.48145466),
            ("vit_tiny_patch16_224", 192, 12, 224, 16, 196, 0.5),
            ("vit_base_resnet50d_224", 768, 12, 224, 32, 49, 0.485),
        ],
    )
    def test_counts(self, name, width, blocks, side, patch, patches, mean):
        with torch.device("meta"):
            backbone = load_backbone(name, weights="random")
        assert (backbone.width, backbone.num_blocks, backbone.image_size) == (width, blocks, side)
        assert (backbone.patch_size, backbone.num_patches) == (patch, patches)
        assert backbone.mean[0] == mean
        assert backbone.interpolation == "bicubic"
        if name.startswith("eva02_enormous"):
            assert sum(parameter.numel() for parameter in backbone.parameters()) == pytest.approx(4.349e9, rel=5e-3)


@pytest.mark.parametrize("model_args", [{"embed_dim": 32, "num_heads": 3}, {"embed_dim": "wide"}, {"patch_size": 0}])
def test_model_args_that_timm_cannot_build_are_refused(model_args):
    with pytest.raises(ValueError, match=r"timm cannot build vit_tiny_patch16_224 with .* Check model_args"):
        load_backbone("vit_tiny_patch16_224", weights="random", model_args=model_args)
