"""A run is resumed and an adapter is used after its data or the weights of its backbone moved."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from side4video.adapters.adapter import Adapter, load_adapter, read_adapter, save_adapter
from side4video.config import ConfigError, parse_config
from side4video.models.backbones.loading import load_backbone
from side4video.models.backbones.preprocessing import Preprocessing
from side4video.models.build import build_model
from side4video.training.run_folder import check_run_folder, check_same_weights, claim_run_folder, config_changes
from side4video.training.run_inputs import check_same_inputs, write_inputs

EARLIER = Path(__file__).parents[1] / "earlier/adapter"
NAME, ARGS = "vit_tiny_patch16_224", {"patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2}


def settings(**groups):
    return parse_config(groups, source="test")


@pytest.fixture
def begun(tmp_path):
    """A run folder with an adapter of an earlier version, and the backbone that it was trained on."""
    shutil.copytree(EARLIER, tmp_path / "run/last")
    return tmp_path / "run", load_adapter(EARLIER, device="cpu")[0].backbone


def test_another_way_to_write_the_same_place_is_no_change(begun, tmp_path, monkeypatch):
    out, _ = begun
    (tmp_path / "clips/train").mkdir(parents=True)
    (tmp_path / "moved").symlink_to(tmp_path / "clips")
    monkeypatch.chdir(tmp_path)
    claim_run_folder(out, settings(data={"train": "clips/train"}))
    for same in ("clips/train", "./clips/../clips/train", str(tmp_path / "clips/train"), "moved/train"):
        check_run_folder(out, settings(data={"train": same}), resume=True)
    with pytest.raises(ConfigError, match=r"(?s)data\.train: '.*/clips/train' -> 'clips'.*make a link"):
        check_run_folder(out, settings(data={"train": "clips"}), resume=True)


def test_weights_may_move_and_are_compared_by_their_content(begun):
    out, backbone = begun
    before, moved = (settings(backbone={"weights": name}) for name in ("vit.safetensors", "/elsewhere/vit.pt"))
    assert config_changes(before, moved) == []
    assert config_changes(before, settings(backbone={"weights": "random"}))
    before, moved = (settings(text={"weights": name}) for name in ("clip.safetensors", "/elsewhere/clip.pt"))
    assert config_changes(before, moved) == []
    assert config_changes(before, settings(text={"weights": "random"}))
    check_same_weights(out, backbone)
    other = load_backbone(NAME, weights="random", image_size=32, model_args=ARGS, seed=9)
    started = read_adapter(EARLIER).fingerprint
    with pytest.raises(ConfigError, match=f"weights of fingerprint {started}; these have {other.fingerprint}"):
        check_same_weights(out, other)
    new = out.parent / "new"
    check_same_weights(new, other)  # nothing was trained yet
    check_same_inputs(new, other, {})
    write_inputs(new, backbone, {})
    check_same_inputs(new, backbone, {})
    with pytest.raises(ConfigError, match=f"fingerprint was {backbone.fingerprint}, now it is {other.fingerprint}"):
        check_same_inputs(new, other, {})  # before the first adapter


def test_a_run_is_not_resumed_with_other_preprocessing(begun):
    out, backbone = begun
    backbone.set_preprocessing(Preprocessing((0.4, 0.5, 0.5), backbone.std, backbone.interpolation))
    with pytest.raises(ConfigError, match=r"another preprocessing; now it has mean 0\.4, 0\.5, 0\.5 \(not 0\.5"):
        check_same_weights(out, backbone)


def test_the_activation_is_compared_where_it_can_be_chosen(tmp_path):
    gated = {"name": "eva02_tiny_patch14_224", "weights": "random", "image_size": 28, "model_args": {"depth": 1}}
    plain = {"name": NAME, "weights": "random", "image_size": 32, "model_args": ARGS}
    for backbone in (gated, plain):
        config = settings(backbone=backbone, side={"width": 16})
        model = build_model(config, num_classes=2, device=torch.device("cpu"))
        adapter = Adapter(config=config, class_names=("a", "b"), fingerprint=model.backbone.fingerprint)
        save_adapter(tmp_path / "last", model, adapter)
        check_same_weights(tmp_path, model.backbone)
    other = load_backbone(NAME, weights="random", image_size=32, model_args=ARGS, activation="quick_gelu")
    with pytest.raises(ConfigError, match="started with the activation gelu; now it is quick_gelu"):
        check_same_weights(tmp_path, other)


def test_an_adapter_finds_its_weights_from_every_folder(tmp_path, monkeypatch):
    state = load_backbone(NAME, weights="random", image_size=32, model_args=ARGS).model.state_dict()
    save_file({name: tensor.clone() for name, tensor in state.items()}, tmp_path / "vit.safetensors")
    monkeypatch.chdir(tmp_path)
    backbone = {"name": NAME, "weights": "vit.safetensors", "image_size": 32, "model_args": ARGS}
    config = parse_config({"backbone": backbone, "side": {"width": 16}}, source="test")
    model = build_model(config, num_classes=2, device=torch.device("cpu"))
    save_adapter(tmp_path / "adapter", model, Adapter(config, ("a", "b"), model.backbone.fingerprint))
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    load_adapter("../adapter", device="cpu")
    stored = json.loads((tmp_path / "adapter/config.json").read_text())
    assert stored["settings"]["backbone"]["weights"] == str(tmp_path / "vit.safetensors")
    (tmp_path / "vit.safetensors").rename(tmp_path / "moved.safetensors")
    with pytest.raises(ValueError, match=f"which does not exist at {tmp_path}/vit.safetensors"):
        load_adapter("../adapter", device="cpu")
    load_adapter("../adapter", device="cpu", backbone_weights="../moved.safetensors")
