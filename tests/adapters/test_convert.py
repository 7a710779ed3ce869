"""Official checkpoints and adapters: bit-identical round trips, equal outputs, and errors."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from side4video.adapters.adapter import Adapter, load_adapter, save_adapter
from side4video.adapters.convert import adapter_from_official, official_from_adapter
from side4video.cli import main
from side4video.config import HeadConfig, SideConfig, dump_config, load_config, parse_config
from side4video.models.build import build_model
from side4video.models.official import detect_layout, from_official, read_official_checkpoint, to_official
from side4video.models.side_tuned_model import SideTunedModel

CPU = torch.device("cpu")
KINDS = [(task, tower) for task in ("recognition", "retrieval") for tower in ("clip", "eva")]
CLASSES = ("jump", "run", "sit")
WIDTHS = {"recognition": 16, "retrieval": load_config("msvd-e14").side.width}


def settings(task, tower, weights):
    clip = tower == "clip"
    small = {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
    return {
        "task": task,
        "backbone": {
            "name": "vit_base_patch16_clip_quickgelu_224" if clip else "eva02_enormous_patch14_clip_224",
            "weights": str(weights),
            "image_size": 32,
            "model_args": small if clip else small | {"mlp_ratio": 2.0},
        },
        "text": {
            "name": "ViT-B-16-quickgelu" if clip else "EVA02-E-14",
            "weights": "random",
            "model_args": {"embed_dim": 16, "width": 32, "heads": 2, "layers": 1},
        },
        "side": {"width": WIDTHS[task], "variant": "pre-norm" if clip else "post-norm"},
    }


def frozen_names(model, tower):
    """The image tower under the names of its authors: CLIP's, or timm's, which are EVA's."""
    tensors = dict(model.backbone.model.state_dict())
    if model.backbone.projection is not None:
        tensors |= {f"head.{name}": tensor for name, tensor in model.backbone.projection.state_dict().items()}
    if tower == "eva":
        return {f"visual.{name}": tensor for name, tensor in tensors.items()}
    renamed = {
        "cls_token": "class_embedding",
        "pos_embed": "positional_embedding",
        "patch_embed.proj.weight": "conv1.weight",
        "norm_pre": "ln_pre",
        "norm.": "ln_post.",
        "head.weight": "proj",
    }
    inside = {"attn.qkv.": "attn.in_proj_", "attn.proj": "attn.out_proj", "norm": "ln_", "mlp.fc1": "mlp.c_fc"}
    inside |= {"mlp.fc2": "mlp.c_proj"}
    official = {}
    for name, tensor in tensors.items():
        if name.startswith("blocks."):
            number, rest = name.removeprefix("blocks.").split(".", 1)
            for ours, theirs in inside.items():
                rest = rest.replace(ours, theirs) if rest.startswith(ours) else rest
            name = f"transformer.resblocks.{number}.{rest}"
        for ours, theirs in renamed.items():
            if name.startswith(ours):
                name = name.replace(ours, theirs)
        if name in {"class_embedding", "positional_embedding"}:
            tensor = tensor.flatten(0, -2) if name == "positional_embedding" else tensor.flatten()
        official[f"visual.{name}"] = tensor.T.contiguous() if name == "proj" else tensor
    return official


@pytest.fixture(scope="module", params=KINDS, ids="-".join)
def case(request, tmp_path_factory):
    """Settings, a file of the frozen model, and a checkpoint as the released code writes one."""
    task, tower = request.param
    folder = tmp_path_factory.mktemp("official")
    first = build_model(parse_config(settings(task, tower, "random"), source="test"), num_classes=3, device=CPU)
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    frozen = frozen_names(first, tower)
    save_file({name: tensor.contiguous() for name, tensor in frozen.items()}, folder / "frozen.safetensors")
    config = parse_config(settings(task, tower, folder / "frozen.safetensors"), source="test")
    model = build_model(config, num_classes=3, device=CPU)
    with torch.no_grad():  # what training leaves: everything has moved
        for tensor in model.trained_state().values():
            tensor.add_(torch.rand_like(tensor) * 0.1 if tensor.is_floating_point() else 7)
    layout = detect_layout(to_official(model.trained_state(), _layout(config, model)))
    trained = to_official(model.trained_state(), layout)
    start = "clip." if task == "retrieval" else ""
    whole = {start + name: tensor for name, tensor in frozen.items()} | trained
    wrapped = {f"module.{name}": tensor for name, tensor in whole.items()}
    torch.save(
        {"model_state_dict": wrapped, "epoch": 29, "optimizer_state_dict": {"state": {}}}, folder / "official.pt"
    )
    return config, model, trained, folder


def _layout(config, model):
    from side4video.models.official import Layout

    return Layout(config.side.variant, len(model.side.blocks), retrieval=config.task == "retrieval")


def convert(config, folder, out):
    names = folder / "names.txt"
    names.write_text("\n".join(CLASSES))
    return adapter_from_official(
        folder / "official.pt",
        config.model_copy(update={"data": config.data.model_copy(update={"class_names": names})}),
        out=out,
    )


def test_round_trip_is_bit_identical_with_the_same_outputs(case, tmp_path):
    config, model, trained, folder = case
    adapter = convert(config, folder, tmp_path / "adapter")
    assert adapter.class_names == (CLASSES if config.task == "recognition" else ())
    assert not [name for name in load_file(tmp_path / "adapter/model.safetensors") if name.startswith("backbone")]
    loaded, _ = load_adapter(tmp_path / "adapter", device=CPU)
    clips = torch.randn(2, 3, 3, 32, 32)
    with torch.no_grad():
        for one, other in ((model.eval(), loaded),):
            if config.task == "recognition":
                assert torch.equal(one(clips), other(clips))
            else:
                assert torch.equal(one.embed_videos(clips).frames, other.embed_videos(clips).frames)
    count = official_from_adapter(tmp_path / "adapter", out=tmp_path / "back.pt")
    back = torch.load(tmp_path / "back.pt", weights_only=True)["model_state_dict"]
    assert back.keys() == trained.keys()
    assert count == len(back)
    for name, tensor in trained.items():
        assert torch.equal(back[name], tensor), name


def test_the_command_does_the_same(case, tmp_path, capsys):
    config, _, trained, folder = case
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(dump_config(config))
    arguments = ["convert", str(folder / "official.pt"), str(recipe), "--out", str(tmp_path / "adapter")]
    assert main(arguments) == 0
    names = json.loads((tmp_path / "adapter/config.json").read_text())["class_names"]
    assert names == (["0", "1", "2"] if config.task == "recognition" else [])
    assert main(["convert", str(tmp_path / "adapter"), "--out", str(tmp_path / "back.pt")]) == 0
    assert f"{len(trained)} tensors under their official names" in capsys.readouterr().out
    assert main(arguments) == 2
    assert "already contains an adapter" in capsys.readouterr().err


def test_another_frozen_model_is_refused(case, tmp_path):
    config, _, _, folder = case
    other = config.model_copy(update={"backbone": config.backbone.model_copy(update={"weights": "random"})})
    with pytest.raises(ValueError, match=r"frozen tensors of .* differ from"):
        convert(other, folder, tmp_path / "adapter")
    assert not (tmp_path / "adapter").exists()


def test_settings_of_another_model_are_refused(case, tmp_path):
    config, _, _, folder = case
    variant = "post-norm" if config.side.variant == "pre-norm" else "pre-norm"
    other = config.model_copy(update={"side": config.side.model_copy(update={"variant": variant})})
    with pytest.raises(ValueError, match="Use a recipe of the same kind"):
        convert(other, folder, tmp_path / "adapter")
    wider = config.model_copy(update={"side": config.side.model_copy(update={"width": 32})})
    with pytest.raises(ValueError, match="of another shape"):
        convert(wider, folder, tmp_path / "adapter")


def untrained(folder, **groups):
    """An adapter of a new model with these settings."""
    task = groups.pop("task", "recognition")
    content = settings(task, "clip", "random")
    for name, changes in groups.items():
        content[name] = {**content.get(name, {}), **changes}
    config = parse_config(content, source="test")
    model = build_model(config, num_classes=len(CLASSES), device=CPU)
    classes = CLASSES if task == "recognition" else ()
    save_adapter(folder, model, Adapter(config, classes, model.backbone.fingerprint))
    return folder


BEYOND = {
    "side.stem": False,
    "side.attention": False,
    "side.centred": True,
    "side.patch_grid": 2,
    "side.temporal_difference": True,
    "side.correlation": 1,
    "side.num_heads": 2,
    "head.grid": (1, 2, 2),
    "head.fused": True,
    "head.pooled_norm": True,
    "probe.name": "linear",
}
WITHIN = {
    "side.width": 32,
    "side.taps": (1,),
    "side.num_heads": 1,
    "side.initial_values": "scaled",
    "head.dropout": 0.5,
}


@pytest.mark.parametrize("name", BEYOND)
def test_settings_beyond_the_official_model_are_refused(name, tmp_path):
    group, setting = name.split(".")
    untrained(tmp_path / "adapter", **{group: {setting: BEYOND[name]}})
    with pytest.raises(ValueError, match=rf"adapter uses {name}, which the official model does not support"):
        official_from_adapter(tmp_path / "adapter", out=tmp_path / "official.pt")
    assert not (tmp_path / "official.pt").exists()


@pytest.mark.parametrize("name", WITHIN)
def test_settings_of_the_official_model_are_converted(name, tmp_path):
    group, setting = name.split(".")
    untrained(tmp_path / "adapter", **{group: {setting: WITHIN[name]}})
    assert official_from_adapter(tmp_path / "adapter", out=tmp_path / "official.pt") > 0
    back = from_official(read_official_checkpoint(tmp_path / "official.pt"))
    own = load_file(tmp_path / "adapter/model.safetensors")
    assert back.keys() == own.keys()
    assert all(torch.equal(back[tensor], own[tensor]) for tensor in own)


def test_every_setting_of_the_model_is_tested():
    """A new setting is refused until it is listed."""
    names = {f"side.{name}" for name in SideConfig.model_fields} | {f"head.{name}" for name in HeadConfig.model_fields}
    elsewhere = {"side.variant", "head.init", "head.frozen_probe"}  # every case; both others need a fused head
    assert names == (BEYOND.keys() | WITHIN.keys() | elsewhere) - {"probe.name"}


def test_a_text_tower_that_is_not_of_clip_is_refused(tmp_path):
    untrained(tmp_path / "adapter", task="retrieval", text={"loss": "sigmoid"})
    with pytest.raises(ValueError, match=r"uses text\.loss"):
        official_from_adapter(tmp_path / "adapter", out=tmp_path / "official.pt")


def test_no_trained_tensor_is_left_out(tmp_path, monkeypatch):
    untrained(tmp_path / "adapter")
    whole = SideTunedModel.trained_state
    monkeypatch.setattr(SideTunedModel, "trained_state", lambda model: whole(model) | {"side.new": torch.ones(1)})
    monkeypatch.setattr(SideTunedModel, "check_trained_state", lambda model, state: None)
    with pytest.raises(ValueError, match=r"no place for its trained tensors side\.new"):
        official_from_adapter(tmp_path / "adapter", out=tmp_path / "official.pt")
    assert not (tmp_path / "official.pt").exists()


def test_a_recipe_beyond_the_official_model_is_refused(case, tmp_path):
    config, _, _, folder = case
    other = config.model_copy(update={"side": config.side.model_copy(update={"centred": True})})
    with pytest.raises(ValueError, match=r"The recipe uses side\.centred"):
        convert(other, folder, tmp_path / "adapter")


def test_class_names_must_be_as_many_as_classes(case, tmp_path):
    config, _, _, folder = case
    if config.task == "retrieval":
        pytest.skip("retrieval has no classes")
    (tmp_path / "two.txt").write_text("jump\nrun\n")
    data = config.data.model_copy(update={"class_names": tmp_path / "two.txt"})
    with pytest.raises(ValueError, match="has 2 names, but the checkpoint has 3 classes"):
        adapter_from_official(
            folder / "official.pt", config.model_copy(update={"data": data}), out=tmp_path / "adapter"
        )
