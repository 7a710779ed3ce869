"""Loading backbones: names, random weights, common kinds of weight files, fingerprints."""

import itertools
from argparse import Namespace
from pathlib import Path

import huggingface_hub
import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from side4video.models.backbones.loading import FrozenBackbone, list_backbones, load_backbone
from side4video.models.backbones.supported_models import activation_of
from side4video.models.text.text_tower import load_text_tower

REAL_WEIGHTS = Path(__file__).parents[3] / "../shared/data/weights/vit_tiny_patch16_224.safetensors"
CLIP = "vit_base_patch32_clip_quickgelu_224"
SMALL = {"embed_dim": 64, "num_heads": 2}
MIXED_ROPE = {**SMALL, "depth": 3, "num_heads": 4}


def random_backbone(name: str, args: dict, size: int | None = None, **kwargs) -> FrozenBackbone:
    return load_backbone(name, weights="random", model_args=args, image_size=size, **kwargs)


def random_clips(backbone: FrozenBackbone) -> torch.Tensor:
    shape = (2, 2, 3, backbone.image_size, backbone.image_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


def tiny(**kwargs) -> FrozenBackbone:
    return random_backbone("vit_tiny_patch16_224", {"depth": 3, **SMALL}, 32, **kwargs)


class TestRandomWeights:
    def test_seed(self):
        weights = [tiny(seed=seed).state_dict() for seed in (3, 3, 4)]
        assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
        assert not torch.equal(*(state["model.blocks.1.attn.qkv.weight"] for state in weights[1:]))

    def test_the_global_generator_does_not_change(self):
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
    def test_unsupported_classes_are_refused(self, name, class_name):
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

    def test_frames_must_divide_into_patches(self):
        with pytest.raises(ValueError, match=r"40x40 pixels as 2x2 patches.*multiple of the patch size"):
            random_backbone("vit_tiny_patch16_224", {**SMALL, "depth": 1}, 40)

    def test_list(self):
        names = list_backbones()
        assert {
            CLIP,
            "eva02_large_patch14_clip_224",
            "vit_base_patch16_dinov3",
            "deit_tiny_distilled_patch16_224",
        } <= set(names)
        assert not [
            name for name in names if name.startswith(("swin", "hiera", "resnet", "naflexvit", "beit_", "samvit"))
        ]

    def test_a_custom_vision_transformer(self):
        model = timm.models.VisionTransformer(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2)
        backbone = FrozenBackbone(model, name="mine")
        assert (backbone.num_patches, backbone.num_blocks, backbone.width) == (16, 2, 32)
        assert len(backbone.fingerprint) == 32

    @pytest.mark.parametrize(
        ("load", "name", "flag"),
        [(load_backbone, CLIP, "--backbone.weights"), (load_text_tower, "ViT-B-16-quickgelu", "--text.weights FILE")],
    )
    def test_a_missing_network_is_explained(self, load, name, flag, tmp_path, monkeypatch):
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
        with pytest.raises(
            OSError, match=rf"(?s)^The weights of .* cannot be loaded from the hub .* give its path: {flag}"
        ):
            load(name)


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

    def test_training_checkpoint(self, tmp_path):
        def wrap(state):
            return {"model": {f"module.{name}": tensor for name, tensor in state.items()}, "args": Namespace(lr=0.1)}

        model = save_tiny(tmp_path / "w.pth", wrap=wrap)
        self.check_same(model, load_tiny(tmp_path / "w.pth"))

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

    @pytest.mark.parametrize("name", ["vit_base_patch16_xp_224", "vit_small_patch16_18x2_224"])
    def test_blocks_with_parallel_parts(self, tmp_path, name):
        model = timm.create_model(name, img_size=32, depth=2, **SMALL).eval()
        save_file(model.state_dict(), tmp_path / "w.safetensors")
        backbone = load_tiny(tmp_path / "w.safetensors", name=name)
        self.check_same(model, backbone)
        assert activation_of(backbone.model) == "gelu"

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

    @pytest.mark.skipif(not REAL_WEIGHTS.exists(), reason="the pretrained file is not beside the project")
    def test_real_pretrained_weights(self):
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
