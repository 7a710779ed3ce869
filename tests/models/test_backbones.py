"""Frozen backbones against timm's own forward passes, open_clip's tower, and files as people have them."""

import itertools
import os
import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from side4video.models.backbones import FrozenBackbone, list_backbones, load_backbone

REAL_WEIGHTS = Path(__file__).parents[2] / "../shared/data/weights/vit_tiny_patch16_224.safetensors"
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


def random_clips(backbone: FrozenBackbone, *, clips: int = 2, frames: int = 2, dtype=torch.float32) -> torch.Tensor:
    shape = (clips, frames, 3, backbone.image_size, backbone.image_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(5)).to(dtype)


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

    def test_blocks_behind_the_last_tap_are_not_computed(self, clip):
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
    def test_autocast_outside_changes_nothing(self, dtype):
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

    def test_frames_of_bytes(self, clip):
        with pytest.raises(ValueError, match="Divide by 255"):
            clip.iterate(torch.zeros(1, 2, 3, 64, 64, dtype=torch.uint8), [0])


class TestFrozen:
    def test_nothing_is_trained_and_eval_stays(self, clip):
        assert not any(parameter.requires_grad for parameter in clip.parameters())
        nn.Sequential(clip).train()
        assert not any(module.training for module in clip.modules())

    def test_heads_are_gone(self):
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


class TestRandomWeights:
    def test_seed(self):
        weights = [tiny(seed=seed).state_dict() for seed in (3, 3, 4)]
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
        assert not torch.equal(*(state["model.blocks.1.attn.qkv.weight"] for state in weights[1:]))

    def test_the_global_generator_stays(self):
        before = torch.get_rng_state()
        tiny(seed=3)
        assert torch.equal(before, torch.get_rng_state())


class TestNames:
    @pytest.mark.parametrize(
        ("name", "class_name"),
        [
            ("swin_tiny_patch4_window7_224", "SwinTransformer"),
            ("resnet50", "ResNet"),
            ("beit_base_patch16_224", "Beit"),
            ("samvit_base_patch16", "VisionTransformerSAM"),
            ("naflexvit_base_patch16_gap", "NaFlexVit"),
            ("hiera_tiny_224", "hiera"),
        ],
    )
    def test_other_classes_are_refused(self, name, class_name):
        with pytest.raises(ValueError, match=f"class {class_name}.* VisionTransformer.* Eva.*list_backbones"):
            load_backbone(name, image_size=64)

    def test_a_model_of_another_class_is_refused(self):
        with pytest.raises(ValueError, match="class Linear"):
            FrozenBackbone(nn.Linear(2, 2), name="mine")

    def test_unknown_name(self):
        with pytest.raises(
            ValueError, match=r"'vit_base_patch16_clip_quickgelo_224'.*vit_base_patch16_clip_quickgelu_224"
        ):
            load_backbone("vit_base_patch16_clip_quickgelo_224")

    def test_unknown_tag(self):
        with pytest.raises(ValueError, match=rf"tag.*{CLIP}\.openai"):
            load_backbone(f"{CLIP}.opnai", weights="random")

    def test_frames_must_hold_whole_patches(self):
        with pytest.raises(ValueError, match=r"40x40 pixels as 2x2 patches.*multiple of the patch side"):
            random_backbone("vit_tiny_patch16_224", {**SMALL, "depth": 1}, 40)

    def test_list(self):
        names = list_backbones()
        assert {name.partition(".")[0] for name in IDS} <= set(names)
        assert not [
            name for name in names if name.startswith(("swin", "hiera", "resnet", "naflexvit", "beit_", "samvit"))
        ]

    def test_an_own_vision_transformer(self):
        model = timm.models.VisionTransformer(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2)
        backbone = FrozenBackbone(model, name="mine")
        assert (backbone.num_patches, backbone.num_blocks, backbone.width) == (16, 2, 32)
        assert len(backbone.fingerprint) == 16

    def test_no_network(self, tmp_path):
        code = f"from side4video.models.backbones import load_backbone; load_backbone({CLIP!r})"
        env = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
        done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "OSError: The hub's weights of" in done.stderr
        assert "give its path as weights" in done.stderr


def save_tiny(path: Path, *, image_size: int = 32, wrap=lambda state: state, **args) -> nn.Module:
    """A file of a model that timm made, with its head; the model without it."""
    torch.manual_seed(11)
    model = timm.create_model("vit_tiny_patch16_224", img_size=image_size, depth=2, num_classes=7, **SMALL, **args)
    nn.init.normal_(model.cls_token)
    if path.suffix == ".safetensors":
        save_file(model.state_dict(), path)
    else:
        torch.save(wrap(model.state_dict()), path)
    return model.eval()


def load_tiny(path: Path, size: int = 32, name: str = "vit_tiny_patch16_224", **args) -> FrozenBackbone:
    return load_backbone(name, weights=path, image_size=size, model_args={"depth": 2, **SMALL, **args})


class TestFiles:
    def check_same(self, model: nn.Module, backbone: FrozenBackbone):
        clips = random_clips(backbone)
        with torch.no_grad():
            expected = model.forward_features(clips.flatten(0, 1))[:, 0]
        (tokens,) = backbone.iterate(clips, [backbone.num_blocks - 1])
        assert torch.equal(backbone.pool(tokens).flatten(0, 1), expected)

    def test_safetensors_with_another_head(self, tmp_path):
        model = save_tiny(tmp_path / "w.safetensors")
        self.check_same(model, load_tiny(tmp_path / "w.safetensors"))

    @pytest.mark.parametrize("suffix", [".pt", ".pth"])
    @pytest.mark.parametrize("key", ["model", "state_dict", "model_state_dict", None])
    def test_wrapped_files(self, tmp_path, suffix, key):
        def wrap(state):
            state = {f"module.{name}": tensor for name, tensor in state.items()}
            return state if key is None else {key: state, "epoch": 3, "args": Namespace(lr=0.1)}

        model = save_tiny(tmp_path / f"w{suffix}", wrap=wrap)
        self.check_same(model, load_tiny(tmp_path / f"w{suffix}"))

    @pytest.mark.parametrize(
        "name", ["eva02_base_patch16_clip_224", "vit_small_patch16_dinov3", "vit_small_patch16_rope_mixed_224"]
    )
    def test_rotary_tables_are_rebuilt(self, tmp_path, name):
        args = {**MIXED_ROPE, "embed_dim": 128}
        backbone = random_backbone(name, args, 64)
        save_file(backbone.model.state_dict(), tmp_path / "w.safetensors")
        loaded = load_backbone(name, weights=tmp_path / "w.safetensors", image_size=64, model_args=args)
        clips = random_clips(backbone)
        for a, b in zip(backbone.iterate(clips, range(3)), loaded.iterate(clips, range(3)), strict=True):
            assert torch.equal(a.patches, b.patches)
        assert loaded.fingerprint == backbone.fingerprint

    def test_names_of_openai_clip(self, tmp_path):
        open_clip = pytest.importorskip("open_clip", reason="the reference tower is open_clip's")
        torch.manual_seed(2)
        tower = open_clip.transformer.VisionTransformer(
            image_size=64,
            patch_size=32,
            width=64,
            layers=2,
            heads=2,
            mlp_ratio=4,
            act_layer=open_clip.transformer.QuickGELU,
        ).eval()
        state = {f"visual.{name}": tensor for name, tensor in tower.state_dict().items()}
        torch.save({**state, "text_projection": torch.zeros(8, 8), "logit_scale": torch.tensor(1.0)}, tmp_path / "w.pt")
        backbone = load_tiny(tmp_path / "w.pt", 64, CLIP)
        clips = random_clips(backbone)
        seen = []
        for block in tower.transformer.resblocks:
            block.register_forward_hook(lambda *args: seen.append(args[-1]))
        with torch.no_grad():
            tower(clips.flatten(0, 1))
        for tokens, expected in zip(backbone.iterate(clips, range(2)), seen, strict=True):
            torch.testing.assert_close(tokens.summary.flatten(0, 1), expected[:, :1], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(tokens.patches.flatten(0, 1), expected[:, 1:], rtol=1e-4, atol=1e-5)

    def test_names_of_eva_clip(self, tmp_path):
        name = "eva02_base_patch16_clip_224"
        backbone = random_backbone(name, MIXED_ROPE, 64)
        names = {
            "mlp.norm": "mlp.ffn_ln",
            "attn.norm": "attn.inner_attn_ln",
            "mlp.fc1_g": "mlp.w1",
            "mlp.fc1_x": "mlp.w2",
        }
        state = {"text.logit_scale": torch.tensor(1.0)}
        for key, tensor in backbone.model.state_dict().items():
            for own, theirs in ({**names, "mlp.fc2": "mlp.w3"}).items():
                key = key.replace(own, theirs)
            state[f"visual.{key}"] = tensor
        torch.save({"module": state}, tmp_path / "w.pt")
        loaded = load_backbone(name, weights=tmp_path / "w.pt", image_size=64, model_args=MIXED_ROPE)
        assert loaded.fingerprint == backbone.fingerprint

    def test_names_of_deit3(self, tmp_path):
        name, args = "deit3_small_patch16_224", {**SMALL, "depth": 2}
        backbone = random_backbone(name, args, 32)
        state = {
            key.replace("ls1.gamma", "gamma_1").replace("ls2.gamma", "gamma_2"): tensor
            for key, tensor in backbone.model.state_dict().items()
        }
        torch.save({"model": state}, tmp_path / "w.pth")
        loaded = load_backbone(name, weights=tmp_path / "w.pth", image_size=32, model_args=args)
        assert loaded.fingerprint == backbone.fingerprint

    def test_position_table_is_resampled(self, tmp_path):
        model = save_tiny(tmp_path / "w.safetensors", image_size=64)  # 4 x 4 patches
        table = model.pos_embed.detach()
        grid = table[:, 1:].unflatten(1, (4, 4)).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, size=(6, 6), mode="bicubic", antialias=True).flatten(2).mT
        backbone = load_tiny(tmp_path / "w.safetensors", 96)
        torch.testing.assert_close(backbone.model.pos_embed.data, torch.cat([table[:, :1], grid], dim=1))

    def test_too_many_blocks(self, tmp_path):
        save_tiny(tmp_path / "w.pt")
        with pytest.raises(
            ValueError, match=r"12 missing: blocks\.2\.attn\.proj\.bias, blocks\.2\.\S+ .*model_args"
        ) as error:
            load_tiny(tmp_path / "w.pt", depth=3)
        assert str(error.value).count("blocks.2") == 10

    def test_too_few_blocks(self, tmp_path):
        save_tiny(tmp_path / "w.pt")
        with pytest.raises(ValueError, match=r"12 unknown: blocks\.1\."):
            load_tiny(tmp_path / "w.pt", depth=1)

    def test_another_width(self, tmp_path):
        save_tiny(tmp_path / "w.pt")
        with pytest.raises(ValueError, match=r"of another shape: .*\(64,\) instead of \(32,\)"):
            load_tiny(tmp_path / "w.pt", embed_dim=32)

    def test_no_such_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no weight file .*w\.pt"):
            load_tiny(tmp_path / "w.pt")

    @pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
    def test_not_a_weight_file(self, tmp_path, suffix):
        (tmp_path / f"w{suffix}").write_bytes(b"<!DOCTYPE html>" * 9)
        with pytest.raises(ValueError, match=r"cannot be read as weights.*Save model\.state_dict"):
            load_tiny(tmp_path / f"w{suffix}")

    def test_nothing_is_executed(self, tmp_path):
        class Malice:
            def __reduce__(self):
                return Path.touch, (tmp_path / "executed",)

        torch.save({"model": Malice()}, tmp_path / "w.pt")
        with pytest.raises(ValueError, match="cannot be read as weights"):
            load_tiny(tmp_path / "w.pt")
        assert not (tmp_path / "executed").exists()

    @pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
    def test_torchscript_is_not_executed(self, tmp_path):
        torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "w.pt")
        with pytest.raises(ValueError, match="not a TorchScript archive") as error:
            load_tiny(tmp_path / "w.pt")
        assert "Re-running" not in str(error.value)

    @pytest.mark.parametrize("content", [[torch.zeros(1)], torch.zeros(1), {}, {0: torch.zeros(1)}])
    def test_no_tensors_by_name(self, tmp_path, content):
        torch.save(content, tmp_path / "w.pt")
        with pytest.raises(ValueError, match="no tensors by name"):
            load_tiny(tmp_path / "w.pt")

    @pytest.mark.skipif(not REAL_WEIGHTS.exists(), reason="the pretrained file is not beside the project")
    def test_really_pretrained_weights(self):
        real = load_backbone("vit_tiny_patch16_224", weights=REAL_WEIGHTS)
        drawn = load_backbone("vit_tiny_patch16_224", weights="random")
        assert real.mean == real.std == (0.5, 0.5, 0.5)
        assert real.fingerprint != drawn.fingerprint
        model = timm.create_model("vit_tiny_patch16_224", checkpoint_path=str(REAL_WEIGHTS)).eval()
        self.check_same(model, real)


class TestFingerprint:
    def test_same_weights_same_fingerprint(self, tmp_path):
        save_tiny(tmp_path / "w.pt")
        args = {"weights": tmp_path / "w.pt", "image_size": 32, "model_args": {"depth": 2, **SMALL}}
        same = [
            load_backbone("vit_tiny_patch16_224", **args),
            load_backbone("vit_tiny_patch16_224.augreg_in21k_ft_in1k", **args),
            load_backbone("vit_tiny_patch16_224", **args, dtype=torch.bfloat16),
        ]
        assert len({backbone.fingerprint for backbone in same}) == 1
        assert int(same[0].fingerprint, 16) > 0

    def test_other_weights_shapes_or_names_differ(self):
        args = {**SMALL, "depth": 1}
        backbones = [
            random_backbone("vit_tiny_patch16_224", args, 32),
            random_backbone("vit_tiny_patch16_224", args, 32, seed=1),
            random_backbone("vit_tiny_patch16_224", args, 64),
            random_backbone("vit_small_patch16_224", args, 32),
        ]
        pairs = itertools.combinations([backbone.fingerprint for backbone in backbones], 2)
        assert all(a != b for a, b in pairs)
