"""The recognition models against the numbers that the paper's official code printed; see golden/README.md."""

import json

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from golden import (
    RELATIVE,
    ROUNDING,
    assert_equals,
    golden_files,
    load_golden_backbone,
    make_clips,
    make_side_network,
    make_tensor,
)
from side4video.models.heads import ClassificationHead
from side4video.models.official import detect_layout, from_official, read_official_checkpoint, to_official
from side4video.models.video_model import VideoModel

FILES = golden_files("recognition")


def build(golden, folder):
    """Our model with the golden weights, and the official state dict they come from."""
    config = golden["config"]
    official = {name: make_tensor(name, shape) for name, shape in golden["shapes"].items()}
    clip = "clip" in golden["kind"]
    layout = detect_layout(official)
    assert not layout.retrieval
    frozen = {name: tensor for name, tensor in official.items() if "side_" not in name and not name.startswith("fc.")}
    if clip:  # the official recognition model has no final norm, timm's has one; it is not used
        frozen |= {f"visual.ln_post.{kind}": torch.ones(config["width"]) for kind in ("weight", "bias")}
    weights = folder / "frozen.safetensors"
    prefix = "" if clip else "visual."
    save_file({name.removeprefix(prefix): tensor for name, tensor in frozen.items()}, weights)
    backbone = load_golden_backbone(golden, weights)
    side = make_side_network(golden, backbone, layout)
    head = ClassificationHead(width=config["side_dim"], num_classes=config["num_classes"], variant=layout.variant)
    model = VideoModel(backbone=backbone, side=side, head=head)
    return model.load_trained_state(from_official(official)), official


@pytest.fixture(scope="module", params=FILES, ids=lambda path: path.stem)
def case(request, tmp_path_factory):
    golden = json.loads(request.param.read_text())
    return golden, make_clips(golden["config"]), tmp_path_factory.mktemp("golden")


def features_and_logits(model, clips):
    found = {}
    handle = model.head.linear.register_forward_pre_hook(lambda module, inputs: found.update(features=inputs[0]))
    logits = model(clips)
    handle.remove()
    return found["features"], logits


def test_evaluation_outputs(case):
    golden, clips, folder = case
    model = build(golden, folder)[0].eval()
    with torch.no_grad():
        features, logits = features_and_logits(model, clips)
    assert_equals(features, golden["eval"]["features"], "features")
    assert_equals(logits, golden["eval"]["logits"], "logits")


def test_training_outputs_loss_and_every_gradient(case):
    golden, clips, folder = case
    config, expected = golden["config"], golden["train"]
    model, official = build(golden, folder)
    model.train()
    features, logits = features_and_logits(model, clips)
    loss = F.cross_entropy(logits, torch.tensor(config["labels"]), label_smoothing=config["label_smoothing"])
    loss.backward()
    assert_equals(features.detach(), expected["features"], "features")
    assert_equals(logits.detach(), expected["logits"], "logits")
    assert loss.item() == pytest.approx(expected["loss"], rel=RELATIVE)
    layout = detect_layout(official)
    ours = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}
    gradients = to_official(ours, layout)
    assert gradients.keys() == expected["grad_l2"].keys()
    for name, norm in expected["grad_l2"].items():
        assert gradients[name].norm().item() == pytest.approx(norm, rel=RELATIVE, abs=ROUNDING), name
    after = to_official(model.trained_state(), layout)
    for name, norm in expected.get("running_mean_l2", {}).items():
        assert after[name].norm().item() == pytest.approx(norm, rel=RELATIVE), name


def test_official_names_round_trip_bit_for_bit(case):
    golden, _, folder = case
    model, official = build(golden, folder)
    back = to_official(model.trained_state(), detect_layout(official))
    trained = {name: tensor for name, tensor in official.items() if "side_" in name or name.startswith("fc.")}
    assert trained.keys() == {name for name in back if not name.endswith("num_batches_tracked")}
    for name, tensor in trained.items():
        assert torch.equal(back[name], tensor), name


def test_official_checkpoint_files_are_unwrapped(case, tmp_path):
    golden, _, folder = case
    _, official = build(golden, folder)
    path = tmp_path / "official.pt"
    wrapped = {"model_state_dict": {f"module.{name}": tensor for name, tensor in official.items()}, "epoch": 3}
    torch.save(wrapped, path)
    read = read_official_checkpoint(path)
    assert read.keys() == official.keys()
    assert from_official(read).keys() == from_official(official).keys()


def test_incomplete_and_foreign_checkpoints_are_refused(case, tmp_path):
    golden, _, folder = case
    _, official = build(golden, folder)
    del official["fc.bias"]
    with pytest.raises(ValueError, match=r"1 tensors of the side network are missing: fc\.bias"):
        from_official(official)
    with pytest.raises(ValueError, match="Is this a Side4Video checkpoint"):
        from_official({"conv1.weight": torch.zeros(1)})
    official["fc.bias"] = torch.zeros(1)
    name = next(name for name in official if "side_linears.0." in name)
    official[name] = torch.tensor(0.0)
    with pytest.raises(ValueError, match=r"x\.pt: .* do not have the shapes of a side network"):
        from_official(official, source="x.pt")
    (tmp_path / "damaged.pt").write_bytes(b"PK\x03\x04")
    with pytest.raises(ValueError, match=r"damaged\.pt cannot be read as weights"):
        read_official_checkpoint(tmp_path / "damaged.pt")
    path = tmp_path / "numbers.pt"
    torch.save({"epoch": 3}, path)
    with pytest.raises(ValueError, match="contains no state dict"):
        read_official_checkpoint(path)
