"""A run starts from an adapter for frames of another size: its position table is resampled, as timm does it."""

import pytest
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed

from side4video.adapters.adapter import Adapter, save_adapter
from side4video.adapters.initial_weights import load_from
from side4video.config import parse_config
from side4video.models.backbones.loading import load_backbone
from side4video.models.build import build_model
from side4video.models.side.token_grid import resample_positions

CLASSES = ("jump", "walk")
NAME, ARGS = "vit_base_patch16_clip_quickgelu_224", {"patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
TEXT = {"weights": "random", "model_args": {"embed_dim": 16, "width": 32, "heads": 2, "layers": 1}}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "backbone.safetensors"
    with_head = load_backbone(
        NAME, weights="random", image_size=32, model_args=ARGS, projection_width=TEXT["model_args"]["embed_dim"]
    )
    state = {**with_head.model.state_dict(), "head.weight": with_head.projection.weight, "head.bias": torch.zeros(16)}
    save_file({name: tensor.clone() for name, tensor in state.items()}, path)
    return path


def build(weights, image_size, *, seed, task="recognition", **groups):
    settings = {
        "task": task,
        "seed": seed,
        "backbone": {"name": NAME, "weights": str(weights), "image_size": image_size, "model_args": ARGS},
        "side": {"width": 16},
        **({"text": TEXT} if task == "retrieval" else {}),
        **groups,
    }
    config = parse_config(settings, source="test")
    return config, build_model(config, num_classes=len(CLASSES), device=torch.device("cpu"))


def save(folder, config, model):
    names = CLASSES if config.task == "recognition" else ()
    save_adapter(folder, model, Adapter(config=config, class_names=names, fingerprint=model.backbone.fingerprint))
    return names


@pytest.mark.parametrize(("old", "new", "first"), [(4, 6, 0), (4, 6, 1), (6, 4, 1), (4, 4, 1), (5, 9, 0)])
def test_tables_are_resampled_as_timm_does(old, new, first):
    table = torch.randn(first + old**2, 3, generator=torch.Generator().manual_seed(0))
    expected = resample_abs_pos_embed(table[None], (new, new), (old, old), num_prefix_tokens=first)[0]
    torch.testing.assert_close(resample_positions(table, first + new**2), expected)


@pytest.mark.parametrize("task", ["recognition", "retrieval"])
def test_a_run_with_larger_frames_starts_from_the_adapter(weights, tmp_path, task):
    names = save(tmp_path / "small", *(small := build(weights, 32, seed=1, task=task)))
    config, model = build(weights, 48, seed=2, task=task)
    report = load_from(model, tmp_path / "small", config=config, class_names=names)
    first = int(task == "retrieval")
    assert "frames of 32 pixels; this run has 48" in report
    assert f"position table was resampled from {16 + first} to {36 + first} rows" in report
    for (name, tensor), (other, given) in zip(
        model.trained_state().items(), small[1].trained_state().items(), strict=True
    ):
        assert name == other
        if name != "side.positions":
            assert torch.equal(tensor, given), name
    assert torch.equal(model.side.positions, resample_positions(small[1].side.positions, 36 + first))


def test_the_same_size_is_not_mentioned(weights, tmp_path):
    names = save(tmp_path / "small", *build(weights, 32, seed=1))
    config, model = build(weights, 32, seed=2)
    report = load_from(model, tmp_path / "small", config=config, class_names=names)
    assert report.endswith("including the classifier.")


def test_a_classifier_of_another_shape_is_discarded(weights, tmp_path):
    names = save(tmp_path / "one", *(one := build(weights, 32, seed=1, head={"grid": (2, 2, 2)})))
    config, model = build(weights, 32, seed=2)
    assert "its classifier for 2 classes was discarded" in load_from(
        model, tmp_path / "one", config=config, class_names=names
    )
    assert torch.equal(model.side.positions, one[1].side.positions)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"pooled_norm": True, "grid": (2, 2, 2)}, {"pooled_norm": True}),
        ({}, {"pooled_norm": True}),
        ({"pooled_norm": True}, {}),
    ],
)
def test_a_pooled_norm_that_does_not_fit_is_discarded_with_the_classifier(weights, tmp_path, old, new):
    names = save(tmp_path / "one", *(one := build(weights, 32, seed=1, head=old)))
    config, model = build(weights, 32, seed=2, head=new)
    before = {name: tensor.clone() for name, tensor in model.head.state_dict().items()}
    report = load_from(model, tmp_path / "one", config=config, class_names=names)
    assert "its classifier for 2 classes was discarded" in report
    assert torch.equal(model.side.positions, one[1].side.positions)
    for name, tensor in model.head.state_dict().items():
        if not name.startswith("norm."):
            assert torch.equal(tensor, before[name]), name


def test_a_pooled_norm_that_fits_is_kept_with_other_classes(weights, tmp_path):
    config, model = build(weights, 32, seed=1, head={"pooled_norm": True})
    model.head.pooled_norm.running_mean.fill_(0.5)
    save(tmp_path / "one", config, model)
    config, model = build(weights, 32, seed=2, head={"pooled_norm": True})
    load_from(model, tmp_path / "one", config=config, class_names=("sit", "stand"))
    assert (model.head.pooled_norm.running_mean == 0.5).all()


def test_another_activation_is_reported(weights, tmp_path):
    names = save(tmp_path / "one", *build(weights, 32, seed=1))
    settings = {"name": NAME, "weights": str(weights), "image_size": 32, "model_args": ARGS, "activation": "gelu"}
    config, model = build(weights, 32, seed=2, backbone=settings)
    report = load_from(model, tmp_path / "one", config=config, class_names=names)
    assert "Its frozen model had the activation quick_gelu; this run's has gelu." in report


def test_other_weights_at_another_size_are_refused(weights, tmp_path):
    names = save(tmp_path / "small", *build("random", 32, seed=1))
    config, model = build(weights, 48, seed=2)
    with pytest.raises(ValueError, match="Use the same backbone and weights"):
        load_from(model, tmp_path / "small", config=config, class_names=names)


@pytest.mark.parametrize(
    ("old", "said"),
    [
        ({"probe": {"name": "linear"}}, "is a linear probe; this run trains a side network for recognition"),
        ({"task": "retrieval"}, "was trained for retrieval; this run trains a side network for recognition"),
        ({"side": {"width": 32}}, "has another side network, with side.width 32, not 16"),
        ({"side": {"width": 16, "taps": [1]}}, r"side.taps \(1,\), not \(0, 1\)"),
        ({"side": {"width": 16, "temporal_difference": True}}, "side.temporal_difference True, not False"),
    ],
)
def test_adapters_that_do_not_fit_are_refused_with_the_reason(weights, tmp_path, old, said):
    save(tmp_path / "one", *build(weights, 32, seed=1, **old))
    config, model = build(weights, 32, seed=2)
    with pytest.raises(ValueError, match=said):
        load_from(model, tmp_path / "one", config=config, class_names=CLASSES)


@pytest.mark.parametrize("old", [{"num_heads": 2}, {"centred": True}])
def test_settings_of_the_side_network_that_fit_all_shapes_are_reported(weights, tmp_path, old):
    save(tmp_path / "one", *build(weights, 32, seed=1, side={"width": 16} | old))
    config, model = build(weights, 32, seed=2)
    report = load_from(model, tmp_path / "one", config=config, class_names=CLASSES)
    ((name, value),) = old.items()
    assert f"Its side network had side.{name} {value}, not " in report
    save(tmp_path / "same", *build(weights, 32, seed=1, side={"width": 16, "taps": [0, 1], "num_heads": 1}))
    assert "Its side network" not in load_from(model, tmp_path / "same", config=config, class_names=CLASSES)
