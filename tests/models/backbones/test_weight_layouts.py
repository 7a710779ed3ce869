"""Towers under any prefix, averaged or raw weights, and grids of position tables."""

import pytest
import timm
import torch
from timm.layers import resample_abs_pos_embed

from side4video.models.backbones.loading import load_backbone
from side4video.models.backbones.token_identity import token_identity
from side4video.models.backbones.weight_layouts import IMAGE_LAYOUTS, TEXT_LAYOUTS, find_towers

NAME, CLIP = "vit_tiny_patch16_224", "vit_base_patch16_clip_quickgelu_224"
ARGS = {"embed_dim": 32, "depth": 2, "num_heads": 2, "patch_size": 8}


def state_of(seed=0, **args):
    torch.manual_seed(seed)
    model = timm.create_model(NAME, **{"img_size": 32, "num_classes": 0, **ARGS, **args})
    return model.state_dict()


def openai_state():
    """A CLIP image tower of open_clip, in OpenAI's layout."""
    from open_clip.transformer import QuickGELU, VisionTransformer

    torch.manual_seed(1)
    tower = VisionTransformer(
        image_size=32, patch_size=8, width=32, layers=2, heads=2, mlp_ratio=4, act_layer=QuickGELU, output_dim=16
    )
    return tower.state_dict()


def load(path, content, name=NAME, **kwargs):
    torch.save(content, path)
    return load_backbone(name, weights=path, image_size=32, model_args=ARGS, **kwargs)


def prefixed(state, prefix):
    return {prefix + name: tensor for name, tensor in state.items()}


def wrapped_inside(state, *wrappers):
    """Names of modules that FSDP, activation checkpointing or torch.compile wrapped, block by block."""
    inside = "".join(f"{wrapper}." for wrapper in wrappers)
    return {
        inside + name.replace("blocks.0.", f"blocks.0.{inside}").replace("blocks.1.", f"blocks.1.{inside}"): tensor
        for name, tensor in state.items()
    }


WRAPPERS = {
    "plain": lambda state: state,
    "lightning": lambda state: {"state_dict": prefixed(state, "model."), "epoch": 3, "pytorch-lightning_version": "2"},
    "lightning-nested": lambda state: {"state_dict": prefixed(state, "model.net.backbone.")},
    "ddp": lambda state: {"model": prefixed(state, "module.")},
    "compile": lambda state: prefixed(state, "_orig_mod."),
    "fsdp": lambda state: wrapped_inside(state, "_fsdp_wrapped_module"),
    "checkpointing": lambda state: {"state_dict": wrapped_inside(state, "_checkpoint_wrapped_module")},
    "fsdp-compile": lambda state: wrapped_inside(state, "_fsdp_wrapped_module", "_orig_mod"),
    "deepspeed": lambda state: {"module": prefixed(state, "base_model."), "ds_version": "0.9", "dp_world_size": 8},
    "any": lambda state: {"weights": {"a": {"b": prefixed(state, "my_favourite.encoder.")}}},
    "optimizer": lambda state: {
        "net": state,
        "optimizer": {"exp_avg": {name: torch.zeros_like(tensor) for name, tensor in state.items()}},
    },
    "twice": lambda state: {"state_dict": {**prefixed(state, "model."), **prefixed(state, "backbone.")}},
    "dinov2-chunks": lambda state: {name.replace("blocks.", "blocks.0."): tensor for name, tensor in state.items()},
    "timm-in-open-clip": lambda state: prefixed(state, "module.visual.trunk."),
    "timm-in-transformers": lambda state: prefixed(state, "timm_model."),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_any_wrapper(wrapper, tmp_path):
    state = state_of()
    loaded = load(tmp_path / "w.pt", WRAPPERS[wrapper](state)).model.state_dict()
    assert loaded.keys() == state.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("prefix", ["", "visual.", "model.visual.", "clip_model.visual.", "net.image_encoder."])
def test_a_clip_tower_under_any_prefix(prefix, tmp_path):
    expected = load(tmp_path / "usual.pt", prefixed(openai_state(), "visual."), CLIP)
    assert load(tmp_path / "w.pt", prefixed(openai_state(), prefix), CLIP).fingerprint == expected.fingerprint


def test_the_text_tower_is_not_taken_for_the_image_tower():
    names = ["visual.conv1.weight", "visual.transformer.resblocks.0.ln_1.weight"]
    names += ["transformer.resblocks.0.ln_1.weight", "token_embedding.weight"]
    assert [tower.prefix for tower in find_towers(names, IMAGE_LAYOUTS)] == ["visual."]
    assert [tower.prefix for tower in find_towers(names, TEXT_LAYOUTS)] == [""]


FILES = {
    "timm": ("state_dict", "state_dict_ema"),
    "uniformer": ("model", "model_ema"),
    "dino": ("student.backbone", "teacher.backbone"),
    "lightning": ("model.net", "ema_model.module"),
    "moco": ("base_encoder", "momentum_encoder"),
}
"""Keys of raw and averaged weights, as training scripts name them."""


@pytest.fixture(scope="module")
def states():
    return state_of(1), state_of(2)


@pytest.fixture(scope="module")
def state():
    """A model for pictures of 16 x 64 pixels: 2 x 8 patches, as many as 4 x 4."""
    return state_of(img_size=(16, 64))


class TestAveragedWeights:
    @pytest.mark.parametrize("kind", FILES)
    def test_averaged_weights_are_the_default_and_the_choice_is_printed(self, kind, states, tmp_path, capsys):
        raw, ema = FILES[kind]
        content = prefixed(states[0], f"{raw}.") | prefixed(states[1], f"{ema}.")
        for key, expected, said in (
            ("auto", states[1], f"averaged (EMA) weights under {ema}, not {raw}"),
            ("ema", states[1], f"averaged (EMA) weights under {ema}, not {raw}"),
            ("raw", states[0], f"raw weights under {raw}, not {ema}"),
            (raw, states[0], f"raw weights under {raw}, not {ema}"),
        ):
            loaded = load(tmp_path / "w.pt", content, weights_key=key).model.state_dict()
            assert torch.equal(loaded["norm.weight"], expected["norm.weight"])
            assert torch.equal(loaded["blocks.1.attn.qkv.weight"], expected["blocks.1.attn.qkv.weight"])
            assert said in capsys.readouterr().out

    def test_an_unknown_key_lists_what_is_there(self, states, tmp_path):
        content = {"model": states[0], "model_ema": states[1]}
        with pytest.raises(ValueError, match=r"no weights for weights_key = 'teacher'\. It has model, model_ema"):
            load(tmp_path / "w.pt", content, weights_key="teacher")
        with pytest.raises(ValueError, match="no weights for weights_key = 'ema'"):
            load(tmp_path / "w.pt", {"model": states[0]}, weights_key="ema")

    def test_different_weights_without_an_average_need_a_choice(self, states, tmp_path):
        content = {"rgb": states[0], "flow": states[1]}
        with pytest.raises(ValueError, match=r"several sets of weights: rgb, flow\. Choose one with --backbone"):
            load(tmp_path / "w.pt", content)
        loaded = load(tmp_path / "w.pt", content, weights_key="flow").model.state_dict()
        assert torch.equal(loaded["blocks.0.attn.qkv.weight"], states[1]["blocks.0.attn.qkv.weight"])


class TestPositionTables:
    def expected(self, state, grid=(2, 8)):
        return resample_abs_pos_embed(state["pos_embed"], [4, 4], list(grid), num_prefix_tokens=1)

    def test_the_grid_can_be_given(self, state, tmp_path, capsys):
        table = load(tmp_path / "w.pt", state, position_grid=(2, 8)).model.pos_embed
        assert torch.equal(table, self.expected(state))
        assert not torch.allclose(table, state["pos_embed"])
        assert "position table 2 x 8" in capsys.readouterr().out

    @pytest.mark.parametrize(
        "config",
        [
            '{"architecture": "vit", "pretrained_cfg": {"input_size": [3, 16, 64]}}',
            '{"architecture": "vit", "pretrained_cfg": {}, "model_args": {"img_size": [16, 64]}}',
            '{"model_type": "vit", "image_size": [16, 64], "patch_size": 8, "num_attention_heads": 2}',
        ],
    )
    def test_a_config_states_the_grid(self, state, tmp_path, config):
        (tmp_path / "config.json").write_text(config)
        assert torch.equal(load(tmp_path / "w.pt", state).model.pos_embed, self.expected(state))

    def test_without_either_it_is_a_square_and_that_is_printed(self, state, tmp_path, capsys):
        assert torch.equal(load(tmp_path / "w.pt", state).model.pos_embed, state["pos_embed"])
        assert "position table 4 x 4" in capsys.readouterr().out

    def test_tables_that_are_no_square_need_a_grid(self, tmp_path):
        wide = state_of(img_size=(16, 40))
        with pytest.raises(ValueError, match=r"table for 10 patches, which is no square.*--backbone.position-grid"):
            load(tmp_path / "w.pt", wide)
        table = load(tmp_path / "w.pt", wide, position_grid=(2, 5)).model.pos_embed
        assert torch.equal(table, self.expected(wide, (2, 5)))

    def test_another_grid_is_another_key_of_caches(self, state, tmp_path):
        one, other = (load(tmp_path / "w.pt", state, position_grid=grid) for grid in ((2, 8), (4, 4)))
        assert one.fingerprint == other.fingerprint
        assert token_identity(one) != token_identity(other)
        tanh = load(tmp_path / "w.pt", state, position_grid=(4, 4), activation="gelu_tanh")
        assert token_identity(tanh) != token_identity(other)

    @pytest.mark.parametrize(
        ("name", "changes"),
        [
            ("vit_base_patch16_siglip_224", {"projection_width": 32}),  # keeps the attention pooling
            (NAME, {"model_args": {**ARGS, "num_heads": 4}}),
        ],
    )
    def test_what_no_tensor_tells_is_another_key_of_caches(self, name, changes):
        args = {"weights": "random", "image_size": 32, "model_args": ARGS}
        one, same, other = (load_backbone(name, **args | more) for more in ({}, {"chunk_frames": 2}, changes))
        assert token_identity(one) == token_identity(same)
        assert token_identity(one) != token_identity(other)

    def test_a_grid_of_another_size_is_refused(self, state, tmp_path):
        with pytest.raises(ValueError, match="table for 16 patches, not for 3 x 5"):
            load(tmp_path / "w.pt", state, position_grid=(3, 5))


def test_forms_without_weights_are_explained(tmp_path):
    empty = {"module": {name: torch.empty(0) for name in state_of()}}
    with pytest.raises(ValueError, match=r"tensors without values, as DeepSpeed's ZeRO-3.*zero_to_fp32"):
        load(tmp_path / "w.pt", empty)
    lora = {"base_model.model.layers.0.q_proj.lora_A.default.weight": torch.zeros(1)}
    with pytest.raises(ValueError, match=r"LoRA weights separately.*merge_and_unload"):
        load(tmp_path / "w.pt", lora)
    flat = {"_fsdp_wrapped_module._flat_param": torch.zeros(9)}
    with pytest.raises(ValueError, match="weights that FSDP flattened"):
        load(tmp_path / "w.pt", flat)
    packed = {name: tensor.char() if "qkv.weight" in name else tensor for name, tensor in state_of().items()}
    with pytest.raises(ValueError, match=r"2 quantised or of integers: blocks\.0\.attn\.qkv\.weight int8"):
        load(tmp_path / "w.pt", packed)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, value):
    state = state_of()
    state["blocks.1.norm2.bias"][3] = value
    with pytest.raises(ValueError, match=r"NaN or infinity in 1 of \d+ tensors: blocks\.1\.norm2\.bias"):
        load(tmp_path / "w.pt", state)
