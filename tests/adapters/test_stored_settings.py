"""What an adapter stores is used on load: preprocessing, activation, weights; and adapters of newer versions."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from side4video import Predictor
from side4video.adapters.adapter import Adapter, load_adapter, read_adapter, save_adapter
from side4video.config import parse_config
from side4video.models.backbones.loading import load_backbone
from side4video.models.backbones.supported_models import activation_of
from side4video.models.build import build_model

EARLIER = Path(__file__).parents[1] / "earlier"
NAME, ARGS = "vit_base_patch16_clip_quickgelu_224", {"patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2}


def change(folder, edit):
    path = folder / "config.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file of frozen weights in 32 bits, with values that 16 bits round."""
    path = tmp_path_factory.mktemp("weights") / "vit.safetensors"
    state = load_backbone(NAME, weights="random", image_size=32, model_args=ARGS).model.state_dict()
    save_file({name: tensor.clone() for name, tensor in state.items()}, path)
    return path


def save(folder, weights, **backbone):
    settings = {"name": NAME, "weights": str(weights), "image_size": 32, "model_args": ARGS, **backbone}
    config = parse_config({"backbone": settings, "side": {"width": 16}}, source="test")
    model = build_model(config, num_classes=2, device=torch.device("cpu"))
    save_adapter(folder, model, Adapter(config, ("a", "b"), model.backbone.fingerprint))
    return folder


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("vit_small_patch16_dinov3", {}),  # timm's Eva takes no activation
        ("vit_pe_core_tiny_patch16_384", {}),
        ("eva02_enormous_patch14_clip_224", {"patch_size": 8}),
        ("eva02_base_patch16_clip_224", {}),  # a gated MLP
        ("vit_base_patch16_siglip_224", {}),
        (NAME, {"activation": "gelu"}),
    ],
)
def test_adapters_of_every_kind_of_model_load(tmp_path, name, more):
    own = {key: value for key, value in more.items() if key == "activation"}
    args = {"depth": 1, "embed_dim": 64, "num_heads": 2, **{key: more[key] for key in more.keys() - own.keys()}}
    folder = save(tmp_path, "random", name=name, model_args=args, **own)
    model, adapter = load_adapter(folder, device="cpu")
    assert (
        activation_of(model.backbone.model)
        == json.loads((folder / "config.json").read_text())["backbone"]["activation"]
    )
    assert model.backbone.fingerprint == adapter.fingerprint


@pytest.mark.parametrize("name", ["vit_small_patch16_dinov3", "eva02_base_patch16_clip_224"])
def test_an_activation_that_cannot_be_changed_is_refused(name):
    args = {"depth": 1, "embed_dim": 64, "num_heads": 2, "patch_size": 8}
    with pytest.raises(ValueError, match=f"activation = 'gelu_tanh': {name} has .*cannot be changed"):
        load_backbone(name, weights="random", image_size=32, model_args=args, activation="gelu_tanh")


def save_as(path, weights, dtype):
    save_file({name: tensor.to(dtype) for name, tensor in load_file(weights).items()}, path)
    return path


class TestPreprocessing:
    @pytest.fixture
    def earlier(self, tmp_path):
        return shutil.copytree(EARLIER / "adapter", tmp_path / "adapter")

    def test_the_stored_values_are_used_and_a_difference_is_printed(self, earlier, capsys):
        usual = load_adapter(earlier, device="cpu")[0].backbone
        assert (usual.mean, usual.interpolation) == ((0.5, 0.5, 0.5), "bicubic")
        assert capsys.readouterr().out == ""
        change(earlier, lambda content: content["preprocessing"].update(mean=[0.4, 0.5, 0.6], interpolation="bilinear"))
        backbone = load_adapter(earlier, device="cpu")[0].backbone
        assert (backbone.mean, backbone.std, backbone.interpolation) == ((0.4, 0.5, 0.6), (0.5,) * 3, "bilinear")
        assert "It is used: mean 0.4, 0.5, 0.6 (not 0.5, 0.5, 0.5), interpolation bilinear" in capsys.readouterr().out

    def test_scores_change_with_the_stored_mean(self, earlier):
        clip = sorted((EARLIER / "clips").rglob("*.mp4"))[0]
        before = Predictor(earlier, device="cpu").predict(clip)[0].score
        change(earlier, lambda content: content["preprocessing"].update(mean=[0.1, 0.5, 0.9]))
        assert abs(Predictor(earlier, device="cpu").predict(clip)[0].score - before) > 1e-4

    def test_the_stored_image_size_is_used(self, tmp_path):
        """Settings without a size mean the model's own, which another version of timm may change."""
        args = {**ARGS, "patch_size": 32}
        folder = save(tmp_path / "adapter", "random", image_size=64, model_args=args)
        change(folder, lambda content: content["settings"]["backbone"].update(image_size=None))
        assert load_adapter(folder, device="cpu")[0].backbone.image_size == 64

    @pytest.mark.parametrize(
        ("values", "said"),
        [
            ({"mean": [0.5, 0.5]}, "is not three numbers"),
            ({"mean": [float("nan")] * 3}, "is not three numbers"),
            ({"std": [0.0, 0.5, 0.5]}, "is not three numbers"),
            ({"std": "abc"}, "could not convert"),
            ({"interpolation": "magic"}, "'magic' is not known"),
            ({"image_size": -1}, "is not a number of pixels"),
        ],
    )
    def test_values_out_of_range_are_refused(self, earlier, values, said):
        change(earlier, lambda content: content["preprocessing"].update(values))
        with pytest.raises(ValueError, match=f"its preprocessing is not valid: .*{said}"):
            read_adapter(earlier)


class TestFingerprints:
    @pytest.mark.parametrize("trained", ["float32", "float16", "bfloat16"])
    @pytest.mark.parametrize("used", ["float32", "float16", "bfloat16"])
    def test_the_number_type_of_the_run_does_not_matter(self, weights, tmp_path, trained, used):
        folder = save(tmp_path / "adapter", weights, dtype=trained)
        model, _ = load_adapter(folder, device="cpu", dtype=used)
        assert model.backbone.dtype == getattr(torch, used)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_a_16_bit_copy_of_the_weights_is_accepted(self, weights, tmp_path, dtype):
        copy = save_as(tmp_path / "copy.safetensors", weights, dtype)
        load_adapter(save(tmp_path / "one", weights), device="cpu", backbone_weights=copy)
        load_adapter(save(tmp_path / "other", copy), device="cpu", backbone_weights=weights)

    def test_other_weights_are_refused(self, weights, tmp_path):
        state = load_file(weights)
        state["blocks.0.mlp.fc1.weight"] = state["blocks.0.mlp.fc1.weight"] * 1.02
        save_file(state, tmp_path / "tuned.safetensors")
        with pytest.raises(ValueError, match="Give the weights it was trained on"):
            load_adapter(save(tmp_path / "a", weights), device="cpu", backbone_weights=tmp_path / "tuned.safetensors")

    def test_the_activation_of_training_is_kept_when_weights_move(self, weights, tmp_path):
        config = {"model_type": "clip_vision_model", "hidden_act": "gelu", "num_attention_heads": 2}
        shutil.copy(weights, tmp_path / "vit.safetensors")
        (tmp_path / "config.json").write_text(json.dumps(config))
        folder = save(tmp_path / "adapter", tmp_path / "vit.safetensors")
        assert read_adapter(folder).activation == "gelu"
        model, _ = load_adapter(folder, device="cpu", backbone_weights=weights)  # no config.json next to it
        assert type(model.backbone.model.blocks[0].mlp.act).__name__ == "GELU"

    def test_a_folder_and_a_moved_file_are_found(self, weights, tmp_path, monkeypatch):
        (tmp_path / "model").mkdir()
        shutil.copy(weights, tmp_path / "model/model.safetensors")
        monkeypatch.chdir(tmp_path)
        folder = save(tmp_path / "adapter", "model")
        monkeypatch.chdir("/")
        load_adapter(folder, device="cpu")
        (tmp_path / "model").rename(tmp_path / "moved")
        load_adapter(folder, device="cpu", backbone_weights=tmp_path / "moved")


class TestNewerAdapters:
    @pytest.fixture
    def newer(self, tmp_path):
        folder = shutil.copytree(EARLIER / "adapter", tmp_path / "adapter")
        return change(folder, lambda content: content.update(side4video="7.3.0"))

    def test_unknown_settings_of_training_are_ignored_with_a_note(self, newer, capsys):
        def edit(content):
            content["settings"]["train"] |= {"ema": 0.99, "optimizer": "lion"}
            content["settings"]["augment"]["blur"] = 0.1

        adapter = read_adapter(change(newer, edit))
        assert adapter.config.train.optimizer == "adamw"
        said = capsys.readouterr().out
        assert "written by side4video '7.3.0'" in said
        assert "augment.blur, train.ema, train.optimizer" in said
        load_adapter(newer, device="cpu")

    @pytest.mark.parametrize(("group", "name"), [("side", "gates"), ("backbone", "merge"), ("data", "strides")])
    def test_other_unknown_settings_name_both_versions_and_the_remedy(self, newer, group, name):
        change(newer, lambda content: content["settings"][group].update({name: 1}))
        with pytest.raises(
            ValueError, match=rf"(?s){group}\.{name}: no such setting.*side4video 7\.3\.0; this is 0\.1.*update.*pip"
        ):
            read_adapter(newer)

    def test_a_newer_format_names_both_versions(self, newer):
        change(newer, lambda content: content.update(format_version=2))
        with pytest.raises(ValueError, match=r"format version 2, .* up to 1\. .*side4video 7\.3\.0; this is .*update"):
            read_adapter(newer)

    @pytest.mark.parametrize("given", [1.5, True, None, "one", [1]])
    def test_a_format_version_that_is_no_number(self, newer, given):
        change(newer, lambda content: content.update(format_version=given))
        with pytest.raises(ValueError, match=r"is not the config of an adapter: format_version = .* whole number"):
            read_adapter(newer)

    def test_a_format_version_as_text_and_a_byte_order_mark(self, newer):
        change(newer, lambda content: content.update(format_version="1"))
        path = newer / "config.json"
        path.write_text(path.read_text(), encoding="utf-8-sig")
        assert read_adapter(newer).class_names == ("anticlockwise", "clockwise")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_adapter_that_is_not_finite_is_refused(tmp_path, value):
    folder = shutil.copytree(EARLIER / "adapter", tmp_path / "adapter")
    state = load_file(folder / "model.safetensors")
    state["head.linear.bias"][0] = value
    save_file(state, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"NaN or infinity in 1 of \d+ tensors: head\.linear\.bias"):
        load_adapter(folder, device="cpu")
