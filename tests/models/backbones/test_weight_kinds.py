"""Kinds of weight files: names of real models, and the errors."""

from pathlib import Path

import open_clip
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from side4video.models.backbones.loading import load_backbone
from side4video.models.backbones.names import IMAGE_TEXT_MODELS, NAMED_BACKBONES
from side4video.models.backbones.weight_kinds import OPENAI_ONLY, describe_weights
from side4video.models.side.side_network import SideNetwork
from side4video.models.text.text_tower import load_text_tower


def clip_names(name):
    with torch.device("meta"):
        return open_clip.create_model(name, device="meta").state_dict()


def timm_names(name):
    with torch.device("meta"):
        return timm.create_model(name).state_dict()


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (lambda: clip_names("ViT-B-32-quickgelu"), "a CLIP model in OpenAI's layout"),
        (lambda: clip_names("RN50"), "a CLIP model with a convolutional image tower"),
        (lambda: clip_names("EVA02-B-16"), "an open_clip model with an image tower of timm"),
        (lambda: timm_names("vit_tiny_patch16_224"), "a Vision Transformer under timm's names"),
        (lambda: timm_names("eva02_tiny_patch14_224"), "a Vision Transformer under timm's names"),
        (lambda: timm_names("swin_tiny_patch4_window7_224"), "a Swin Transformer"),
        (lambda: timm_names("resnet18"), "a ResNet"),
        (lambda: torchvision.models.vit_b_32().state_dict(), "a ViT of torchvision"),
        (lambda: {"vision_model.encoder.layers.0.self_attn.q_proj.weight": 0}, "a Hugging Face CLIP or SigLIP model"),
        (lambda: nn.Linear(2, 2).state_dict(), "an unknown kind of weights, with names such as bias, weight"),
    ],
)
def test_kinds(names, kind):
    assert describe_weights(names()) == kind


def test_adapters_and_official_checkpoints():
    side = SideNetwork(backbone_width=8, num_patches=4, patch_size=8, taps=[0], width=16)
    ours = [f"side.{name}" for name in side.state_dict()] + ["head.linear.weight"]
    assert describe_weights(ours) == "an adapter of this package"
    assert (
        describe_weights(["visual.transformer.side_linears.0.weight", "fc.weight"])
        == "an official Side4Video checkpoint"
    )


def test_the_error_identifies_a_wrong_file(tmp_path):
    save_file(timm.create_model("resnet18").state_dict(), tmp_path / "resnet.safetensors")
    with pytest.raises(ValueError, match=r"resnet\.safetensors, a ResNet, as weights of vit_tiny_patch16_224"):
        load_backbone("vit_tiny_patch16_224", weights=tmp_path / "resnet.safetensors")


def test_names_without_quickgelu_are_refused(tmp_path):
    for name in ("vit_base_patch16_clip_224.openai", "vit_large_patch14_clip_224.openai"):
        with pytest.raises(ValueError, match="were trained with QuickGELU"):
            load_backbone(name)
    state = {name: torch.zeros(1) for name in OPENAI_ONLY} | {"visual.conv1.weight": torch.zeros(1)}
    save_file(state, tmp_path / "openai.safetensors")
    with pytest.raises(ValueError, match=r"OpenAI's CLIP weights.*_clip_quickgelu_"):
        load_backbone("vit_base_patch16_clip_224", weights=tmp_path / "openai.safetensors")
    with pytest.raises(ValueError, match="need the name with -quickgelu"):
        load_text_tower("ViT-B-16", weights=tmp_path / "openai.safetensors")
    with pytest.raises(ValueError, match="use the name ViT-B-16-quickgelu"):
        load_text_tower("ViT-B-16", tag="openai")


def test_the_documentation_lists_them_all():
    text = (Path(__file__).parents[3] / "docs/reference/backbones.md").read_text(encoding="utf-8")
    for short, named in NAMED_BACKBONES.items():
        sizes = f"{named.width} | {named.num_blocks} | {named.patch_size} / {named.image_size}"
        assert f"| `{short}` | {named.millions:,.1f} | {sizes} |" in text, short


LARGE = {short for short in IMAGE_TEXT_MODELS if IMAGE_TEXT_MODELS[short].millions > 200}  # seconds each to build


@pytest.mark.parametrize(
    "short", [pytest.param(short, marks=[pytest.mark.slow] * (short in LARGE)) for short in NAMED_BACKBONES]
)
def test_the_table_of_named_backbones_is_correct(short):
    named = NAMED_BACKBONES[short]
    with torch.device("meta"):
        backbone = load_backbone(short, weights="random")
    assert backbone.name == named.name
    assert round(sum(parameter.numel() for parameter in backbone.parameters()) / 1e6, 1) == named.millions
    sizes = (backbone.width, backbone.num_blocks, backbone.patch_size, backbone.image_size)
    assert sizes == (named.width, named.num_blocks, named.patch_size, named.image_size)
    if named.text is None or named.name != ".".join(named.text):
        settings = timm.get_pretrained_cfg(named.name)
        assert (backbone.mean, backbone.std) == (settings.mean, settings.std)
        assert named.licence == settings.license
    assert (named.languages == "") == (named.text is None)


@pytest.mark.parametrize("short", [short for short, named in NAMED_BACKBONES.items() if named.text is not None])
def test_the_two_towers_share_a_space(short):
    name, tag = NAMED_BACKBONES[short].text
    assert tag in open_clip.list_pretrained_tags_by_model(name)
    width = open_clip.get_model_config(name)["embed_dim"]
    with torch.device("meta"):
        backbone = load_backbone(short, weights="random", projection_width=width, model_args={"depth": 1})
    assert backbone.embed_dim == width
    assert (backbone.pooling is not None) == short.startswith(("pe-", "siglip", "clipa-"))


def test_open_clip_has_the_image_text_models():
    for short, named in IMAGE_TEXT_MODELS.items():
        name, tag = named.text
        assert named.name == f"{name}.{tag}", short
        assert tag in open_clip.list_pretrained_tags_by_model(name), short
        assert open_clip.get_model_config(name)["vision_cfg"]["image_size"] == named.image_size, short
        assert named.languages, short
