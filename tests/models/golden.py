"""The numbers of the paper's official code, and the weights they belong to; see tests/golden/README.md."""

import zlib

import numpy as np
import torch

from golden_rows import golden_contents
from side4video.models.backbones.loading import load_backbone
from side4video.models.side.side_network import SideNetwork

RELATIVE = 1e-4
ROUNDING = 1e-6  # a bias in front of a BatchNorm has no gradient but rounding


def golden_files(kind):
    """All files whose `kind` starts with `kind`."""
    contents = {path: content for path, content in golden_contents().items() if isinstance(content, dict)}
    return [path for path, content in contents.items() if content.get("kind", "").startswith(kind)]


def make_tensor(name, shape):
    """The value of an official tensor, as golden/README.md defines it."""
    x = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape or (1,)).reshape(shape)
    last = name.rsplit(".", 1)[-1]
    if last == "running_var":
        x = np.abs(x) * 0.1 + 1
    elif last == "running_mean":
        x = x * 0.1
    elif last == "logit_scale":
        x = np.full(shape, np.log(1 / 0.07))
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


def make_clips(config):
    """The clips (B, T, 3, S, S) that a golden model was run on."""
    shape = (config["batch"] * config["num_frames"], 3, config["image_size"], config["image_size"])
    images = np.random.RandomState(config["input_seed"]).standard_normal(shape)
    return torch.tensor(images, dtype=torch.float32).unflatten(0, (config["batch"], config["num_frames"]))


def assert_equals(actual, expected, what):
    expected = torch.tensor(expected).reshape(actual.shape)
    error = (actual - expected).abs().max() / expected.abs().max()
    assert error < RELATIVE, f"{what}: relative error {error:.1e}"


def load_golden_backbone(golden, weights, **arguments):
    """The frozen image model of a golden file, CLIP's or EVA's, with weights from a file."""
    config, clip = golden["config"], "clip" in golden["kind"]
    assert config["activation"] == ("quick_gelu" if clip else "gelu")
    args = {
        "patch_size": config["patch"],
        "embed_dim": config["width"],
        "depth": config["layers"],
        "num_heads": config["heads"],
    }
    name = "vit_base_patch16_clip_quickgelu_224" if clip else "eva02_enormous_patch14_clip_224"
    args |= {} if clip else {"mlp_ratio": config["mlp_ratio"]}
    backbone = load_backbone(name, weights=weights, image_size=config["image_size"], model_args=args, **arguments)
    assert backbone.num_blocks == config["layers"]
    return backbone


def make_side_network(golden, backbone, layout, **arguments):
    """The side network of a golden file, whose blocks are spread evenly over those of the backbone."""
    every = golden["config"]["layers"] // layout.num_blocks
    return SideNetwork(
        backbone_width=backbone.width,
        num_patches=backbone.num_patches,
        patch_size=backbone.patch_size,
        taps=range(every - 1, backbone.num_blocks, every),
        width=golden["config"]["side_dim"],
        variant=layout.variant,
        **arguments,
    )
