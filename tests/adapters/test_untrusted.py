"""Adapters from the hub are untrusted: configs that could affect files or terminals are refused."""

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from side4video import Predictor
from side4video.adapters.adapter import load_adapter, read_adapter
from side4video.adapters.untrusted import check_untrusted, without_paths
from side4video.atomic_files import write_json
from side4video.cli import main
from side4video.config import RunConfig
from side4video.models.backbones.loading import load_backbone
from side4video.training.loop import train

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return tmp_path_factory.mktemp("untrusted") / "run"


@pytest.fixture
def adapter(trained, small_run, tmp_path, monkeypatch):
    """A folder in the hub's cache with an adapter, as a download leaves it."""
    if not trained.exists():
        train(small_run(train={"epochs": 1}), out=trained)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return shutil.copytree(trained / "last", tmp_path / "cache/models--user--moves/snapshots/1")


def change(folder, group, **values):
    content = json.loads((folder / "config.json").read_text())
    place = content["settings"][group] if group else content
    place.update(values)
    write_json(folder / "config.json", content)


def test_paths_are_removed(adapter, tmp_path):
    change(
        adapter, "data", train="/etc", test="//host/share", root="/", cache=str(tmp_path / "cache"), captions="/etc/x"
    )
    change(adapter, "data", class_names="/etc/passwd", test_root="..")
    data = read_adapter(adapter).config.data
    assert {data.train, data.test, data.root, data.test_root, data.cache, data.captions, data.class_names} == {None}


def test_an_untrusted_adapter_cannot_allow_paths_outside_the_root(adapter):
    change(adapter, "data", outside_root="allow")
    assert read_adapter(adapter).config.data.outside_root == "refuse"


def test_every_path_setting_is_removed():
    """Path settings added later are covered too: all path settings of the data are removed."""
    paths = {
        (group, name)
        for group, settings in RunConfig.model_fields.items()
        for name, field in getattr(settings.annotation, "model_fields", {}).items()
        if "Path" in str(field.annotation)
    }
    assert {group for group, _ in paths} == {"data", "train"}
    full = RunConfig()
    for group, name in paths:
        full = full.model_copy(update={group: getattr(full, group).model_copy(update={name: Path("/etc")})})
    left = without_paths(full)
    assert {getattr(getattr(left, group), name) for group, name in paths} == {None}
    assert len(paths) >= 7


@pytest.mark.parametrize(
    "path",
    [
        "/home/anna/groups",
        "~/groups",
        "C:\\groups.dat",
        "\\\\host\\groups",
        "s3://anna/groups",
        "lists/groups.csv",
    ],
)
def test_a_file_of_groups_is_removed(path):
    assert without_paths(RunConfig(data={"group": path})).data.group is None


def test_a_file_of_groups_without_an_ending_is_removed_where_it_exists(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "groups").write_text("path,group")
    assert without_paths(RunConfig(data={"group": "groups"})).data.group is None


@pytest.mark.parametrize("setting", ["session", r"\d+_(\w+)", "_g[0-9]+_", r"(day\d+)/.*\.mp4", "x" * 5000, "\0"])
def test_columns_and_patterns_of_groups_are_kept(setting):
    assert without_paths(RunConfig(data={"group": setting})).data.group == setting


def test_prediction_ignores_paths_in_the_config(adapter, motion_videos, tmp_path):
    change(adapter, "data", train=str(tmp_path / "data"), cache=str(tmp_path / "tokens"), test=str(tmp_path / "data"))
    before = sorted(tmp_path.rglob("*"))
    assert Predictor(adapter).predict(sorted((motion_videos / "test").glob("*/*.mp4"))[0])
    assert sorted(tmp_path.rglob("*")) == before


def test_weight_files_named_in_the_config_are_not_opened(adapter, tmp_path):
    weights = tmp_path / "vit.safetensors"
    save_file(load_backbone_of(adapter).model.state_dict(), weights)
    change(adapter, "backbone", weights=str(weights))
    with pytest.raises(ValueError, match=r"vit\.safetensors, which was on its author's machine.*--backbone-weights"):
        load_adapter(adapter, device=CPU)
    model, _ = load_adapter(adapter, device=CPU, backbone_weights=str(weights))
    assert model.backbone.fingerprint == read_adapter(adapter).fingerprint


def test_own_adapters_open_their_weight_file(adapter, tmp_path):
    own = shutil.copytree(adapter, tmp_path / "own")
    weights = tmp_path / "vit.safetensors"
    save_file(load_backbone_of(adapter).model.state_dict(), weights)
    change(own, "backbone", weights=str(weights))
    load_adapter(own, device=CPU)
    weights.unlink()
    with pytest.raises(ValueError, match=r"vit\.safetensors, which does not exist.*fingerprint"):
        load_adapter(own, device=CPU)


def load_backbone_of(folder):
    settings = read_adapter(folder).config.backbone
    return load_backbone(
        settings.name, weights="random", image_size=settings.image_size, model_args=dict(settings.model_args)
    )


@pytest.mark.parametrize("name", ["local-dir:/tmp/model", "hf-hub:someone/else", "hf_hub:someone/else", "/tmp/model"])
@pytest.mark.parametrize("group", ["backbone", "text"])
def test_models_from_elsewhere_are_refused(adapter, group, name):
    change(adapter, group, name=name)
    with pytest.raises(ValueError, match="is not the name of a model"):
        read_adapter(adapter)


@pytest.mark.parametrize(
    "arguments",
    [{"checkpoint_path": "/tmp/x.pt"}, {"cache_dir": "/tmp"}, {"pretrained": True}, {"pretrained_cfg": "x"}],
)
def test_arguments_of_timm_that_read_files_are_refused(adapter, arguments):
    change(adapter, "backbone", model_args={**read_adapter(adapter).config.backbone.model_args, **arguments})
    with pytest.raises(ValueError, match=f"unknown arguments of timm's models: {next(iter(arguments))}"):
        load_adapter(adapter, device=CPU)


@pytest.mark.parametrize(
    "template",
    ["../../secret/{:05d}.jpg", "/etc/{:05d}.jpg", "..\\{:05d}.jpg", "{0.__class__}.jpg", "{:99999999d}.jpg"],
)
def test_frame_templates_cannot_leave_their_folder(adapter, template):
    change(adapter, "data", frame_template=template)
    with pytest.raises(ValueError, match="is not a plain file name"):
        read_adapter(adapter)


@pytest.mark.parametrize("template", ["img_{:05d}.jpg", "frame-{:06d}.png", "{:d}.jpg", "image {:04d}.jpeg"])
def test_usual_frame_templates_are_accepted(adapter, template):
    change(adapter, "data", frame_template=template)
    assert read_adapter(adapter).config.data.frame_template == template


@pytest.mark.parametrize("odd", ["\x1b[2Jgone", "bell\x07", "two\nlines", "\u202eesrever", "half \ud800"])
def test_class_names_with_control_characters_are_refused(adapter, odd, capsys):
    content = json.loads((adapter / "config.json").read_text())
    content["class_names"][0] = odd
    (adapter / "config.json").write_text(json.dumps(content))
    assert main(["predict", str(adapter), "clip.mp4"]) == 2
    captured = capsys.readouterr()
    assert "control characters" in captured.err
    assert odd not in captured.out + captured.err


@pytest.mark.parametrize("name", ["Überschlag", "跑步", "क़दम", "turn left 👈🏽", "no\u00a0break"])
def test_class_names_in_every_script_are_accepted(adapter, name):
    names = list(read_adapter(adapter).class_names)
    change(adapter, None, class_names=[name, *names[1:]])
    assert read_adapter(adapter).class_names[0] == name


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"', "[" * 100_000, '{"format_version": "x"}', '{"settings": 1}'])
def test_invalid_configs_are_refused(adapter, text):
    (adapter / "config.json").write_text(text)
    with pytest.raises(ValueError, match="is not the config of an adapter"):
        read_adapter(adapter)


@pytest.mark.parametrize(
    ("group", "values", "said"),
    [
        (None, {"scores": "none"}, "is not the config of an adapter"),
        (None, {"run": [1]}, "is not the config of an adapter"),
        (None, {"class_names": ["one"]}, "missing, unknown or of another shape"),
        ("backbone", {"model_args": {"patch": 8}}, "its settings are not valid for a model"),
        ("backbone", {"model_args": {"patch_size": 100, "embed_dim": 32}}, "its settings are not valid for a model"),
        ("backbone", {"model_args": {"embed_dim": -3}}, "its settings are not valid for a model"),
        ("side", {"width": 18}, "missing, unknown or of another shape"),
    ],
)
def test_invalid_model_settings_are_refused_and_the_adapter_is_named(adapter, group, values, said):
    change(adapter, group, **values)
    with pytest.raises(ValueError, match=said) as caught:
        load_adapter(adapter, device=CPU)
    assert str(adapter) in str(caught.value)


def test_weights_that_are_a_pickle_are_refused(adapter):
    torch.save({"head.linear.bias": torch.zeros(8)}, adapter / "model.safetensors")
    with pytest.raises(ValueError, match="is corrupt"):
        load_adapter(adapter, device=CPU)


def test_only_the_name_of_a_weight_file_is_shared(small_run):
    config = small_run(backbone={"weights": "C:\\Users\\me\\vit.pt"})
    assert without_paths(config).backbone.weights == "vit.pt"
    assert without_paths(small_run()).backbone.weights == "random"
    check_untrusted({}, config, source="a test")
