"""The recognition models against the numbers that the paper's official code printed; see golden/README.md."""

import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from side4video.models.backbones import load_backbone
from side4video.models.heads import ClassificationHead
from side4video.models.official import from_official, read_official_checkpoint, recognise, to_official
from side4video.models.side_network import SideNetwork
from side4video.models.video_model import VideoModel

GOLDEN = Path(os.environ.get("SIDE4VIDEO_GOLDEN", Path(__file__).parents[1] / "golden"))
KINDS = {path: json.loads(path.read_text()).get("kind", "") for path in sorted(GOLDEN.glob("*.json"))}
FILES = [path for path, kind in KINDS.items() if kind.startswith("recognition")]
RELATIVE = 1e-4
ROUNDING = 1e-6  # a bias in front of a BatchNorm has no gradient but rounding


def make_tensor(name, shape):
    """The value of an official tensor, as golden/README.md defines it."""
    x = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape or (1,)).reshape(shape)
    last = name.rsplit(".", 1)[-1]
    if last == "running_var":
        x = np.abs(x) * 0.1 + 1
    elif last == "running_mean":
        x = x * 0.1
    elif last == "weight" and len(shape) == 1:
        x = 1 + 0.1 * x
    elif last == "bias":
        x = 0.05 * x
    elif "embedding" in name or last in {"cls_token", "pos_embed"}:
        x = 0.2 * x
    elif last in {"proj", "text_projection", "side_proj"}:
        x = x / np.sqrt(shape[0])
    elif len(shape) > 1:
        x = x / np.sqrt(np.prod(shape[1:]))
    return torch.tensor(x, dtype=torch.float32)


def build(golden, folder):
    """Our model with the golden weights, and the official state dict they come from."""
    config = golden["config"]
    official = {name: make_tensor(name, shape) for name, shape in golden["shapes"].items()}
    clip = "clip" in golden["kind"]
    variant, num_blocks = recognise(official)
    frozen = {name: tensor for name, tensor in official.items() if "side_" not in name and not name.startswith("fc.")}
    if clip:  # the official recognition model has no final norm, timm's has one; it is not used
        frozen |= {f"visual.ln_post.{kind}": torch.ones(config["width"]) for kind in ("weight", "bias")}
    weights = folder / "frozen.safetensors"
    prefix = "" if clip else "visual."
    save_file({name.removeprefix(prefix): tensor for name, tensor in frozen.items()}, weights)
    args = {
        "patch_size": config["patch"],
        "embed_dim": config["width"],
        "depth": config["layers"],
        "num_heads": config["heads"],
    }
    if not clip:
        args["mlp_ratio"] = config["mlp_ratio"]
    name = "vit_base_patch16_clip_quickgelu_224" if clip else "eva02_enormous_patch14_clip_224"
    assert config["activation"] == ("quick_gelu" if clip else "gelu")
    backbone = load_backbone(name, weights=weights, image_size=config["image_size"], model_args=args)
    assert backbone.num_blocks == config["layers"]
    side = SideNetwork(
        backbone_width=backbone.width,
        num_patches=backbone.num_patches,
        patch_size=backbone.patch_size,
        taps=range(config["layers"] // num_blocks - 1, config["layers"], config["layers"] // num_blocks),
        width=config["side_dim"],
        variant=variant,
    )
    head = ClassificationHead(width=config["side_dim"], num_classes=config["num_classes"], variant=variant)
    model = VideoModel(backbone=backbone, side=side, head=head)
    return model.load_trained_state(from_official(official)), official


@pytest.fixture(scope="module", params=FILES, ids=lambda path: path.stem)
def case(request, tmp_path_factory):
    golden = json.loads(request.param.read_text())
    config = golden["config"]
    shape = (config["batch"] * config["num_frames"], 3, config["image_size"], config["image_size"])
    images = np.random.RandomState(config["input_seed"]).standard_normal(shape)
    clips = torch.tensor(images, dtype=torch.float32).unflatten(0, (config["batch"], config["num_frames"]))
    return golden, clips, tmp_path_factory.mktemp("golden")


def features_and_logits(model, clips):
    found = {}
    handle = model.head.linear.register_forward_pre_hook(lambda module, inputs: found.update(features=inputs[0]))
    logits = model(clips)
    handle.remove()
    return found["features"], logits


def assert_equals(actual, expected, what):
    expected = torch.tensor(expected).reshape(actual.shape)
    error = (actual - expected).abs().max() / expected.abs().max()
    assert error < RELATIVE, f"{what}: relative error {error:.1e}"


def test_golden_files_are_there():
    assert FILES, f"no recognition*.json in {GOLDEN}"


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
    variant, _ = recognise(official)
    ours = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}
    gradients = to_official(ours, variant)
    assert gradients.keys() == expected["grad_l2"].keys()
    for name, norm in expected["grad_l2"].items():
        assert gradients[name].norm().item() == pytest.approx(norm, rel=RELATIVE, abs=ROUNDING), name
    after = to_official(model.trained_state(), variant)
    for name, norm in expected.get("running_mean_l2", {}).items():
        assert after[name].norm().item() == pytest.approx(norm, rel=RELATIVE), name


def test_official_names_round_trip_bit_for_bit(case):
    golden, _, folder = case
    model, official = build(golden, folder)
    back = to_official(model.trained_state(), recognise(official)[0])
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
    path = tmp_path / "numbers.pt"
    torch.save({"epoch": 3}, path)
    with pytest.raises(ValueError, match="holds no state dict"):
        read_official_checkpoint(path)
