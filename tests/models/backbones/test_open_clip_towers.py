"""Image towers of open_clip: real models of each kind with few blocks, against our backbone from the same file."""

from functools import partial

import open_clip
import pytest
import timm
import torch
import torch.nn.functional as F
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg, CustomTextCLIP
from safetensors.torch import save_file

from side4video.models.backbones.loading import FrozenBackbone, load_backbone
from side4video.models.backbones.open_clip_towers import find_image_tower, is_open_clip, list_image_text_models
from side4video.models.retrieval_model import FrameHead

DEPTH = 2
NARROW = {"depth": DEPTH, "embed_dim": 64, "num_heads": 2}

# Of each kind one name, the size of the frames in pixels, and timm's arguments that make the tower small. None: the
# tower is a Vision Transformer of open_clip's own.
KINDS = {
    "class token, QuickGELU": ("ViT-B-16-quickgelu.metaclip_fullcc", 32, None),
    "class token, GELU, other heads and MLP": ("ViT-bigG-14-worldwide.metaclip2_worldwide", 28, None),
    "average of patches next to a class token": ("ViT-L-14-CLIPA.datacomp1b", 28, None),
    "layer scale, no weights published": ("ViT-M-16-alt", 32, None),
    "attention pooling": ("ViT-B-16-SigLIP2.webli", 32, NARROW),
    "attention pooling, other MLP": ("ViT-SO400M-14-SigLIP.webli", 28, NARROW),
    "attention pooling with class token, rotary": ("PE-Core-B-16.meta", 64, NARROW),
    "attention pooling without class token, rotary": ("PE-Core-bigG-14-448.meta", 28, NARROW),
    "EVA-02": ("EVA02-B-16.merged2b_s8b_b131k", 32, NARROW),
    "EVA, norms after the layers": ("EVA02-E-14.laion2b_s4b_b115k", 28, NARROW | {"mlp_ratio": 4.0}),
    "EVA without rotary positions": ("EVA01-g-14.laion400m_s11b_b41k", 28, NARROW | {"mlp_ratio": 4.0}),
    "convolutional stem, bias in the projection": ("MobileCLIP2-B.dfndr2b", 64, {"depth": DEPTH}),
    "CLIP of timm, bias in the projection": ("MobileCLIP2-L-14.dfndr2b", 28, NARROW),
    "average of patches, convolutional stem": ("ViTamin-S.datacomp1b", 64, {"depth": DEPTH}),
}


def small_model(name, size, args):
    """A real model of open_clip with two blocks, and the arguments that make our backbone as small."""
    config = open_clip.get_model_config(name.partition(".")[0])
    vision, quick_gelu, embed_dim = dict(config["vision_cfg"]), config.get("quick_gelu", False), config["embed_dim"]
    text = CLIPTextCfg(context_length=8, vocab_size=8, width=32, heads=2, layers=1)
    torch.manual_seed(3)
    if args is None:
        width = 2 * vision.get("head_width", 64)
        vision |= {"layers": DEPTH, "width": width, "image_size": size}
        model = CLIP(embed_dim=embed_dim, vision_cfg=CLIPVisionCfg(**vision), text_cfg=text, quick_gelu=quick_gelu)
        args = {"depth": DEPTH, "embed_dim": width, "num_heads": 2}
    else:
        with pytest.MonkeyPatch.context() as patch:  # open_clip passes no sizes on to timm
            patch.setattr(timm, "create_model", partial(timm.create_model, img_size=size, **args))
            model = CustomTextCLIP(embed_dim=embed_dim, vision_cfg=CLIPVisionCfg(**vision), text_cfg=text)
    with torch.no_grad():  # fresh weights hide mistakes: many are zero, and the activations hardly differ
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        for key, buffer in model.named_buffers():
            if key.endswith(("running_mean", "running_var")):
                buffer.add_(0.1 * torch.rand_like(buffer))
    return model.eval(), args


@pytest.fixture(scope="module", params=KINDS)
def pair(request, tmp_path_factory):
    """open_clip's model, and our backbone from a file of the whole model."""
    name, size, args = KINDS[request.param]
    model, args = small_model(name, size, args)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file({key: tensor.contiguous() for key, tensor in model.state_dict().items()}, path)
    width = find_image_tower(name).args["num_classes"] or args["embed_dim"]  # SigLIP has no projection
    backbone = load_backbone(
        name, weights=path, image_size=size, model_args=args, projection_width=width, chunk_frames=3
    )
    path.unlink()
    return model, backbone


def random_frames(backbone: FrozenBackbone) -> torch.Tensor:
    shape = (2, 2, 3, backbone.image_size, backbone.image_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


@torch.no_grad()
def test_tokens_of_each_block_and_embeddings_are_those_of_open_clip(pair):
    model, backbone = pair
    frames = random_frames(backbone)
    own = model.visual.forward_intermediates(frames.flatten(0, 1), output_fmt="NLC")
    seen = list(backbone.iterate(frames, range(DEPTH)))
    for tokens, patches in zip(seen, own["image_intermediates"], strict=True):
        torch.testing.assert_close(tokens.patches.flatten(0, 1), patches, rtol=1e-4, atol=5e-5)
    embeddings = backbone.projection(backbone.pool(seen[-1])).flatten(0, 1)
    expected = model.encode_image(frames.flatten(0, 1))
    torch.testing.assert_close(F.normalize(embeddings, dim=1), F.normalize(expected, dim=1), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(embeddings, expected, rtol=1e-5, atol=1e-5)
    assert (expected[0] - expected[1]).norm() > 1e-3 * expected.norm(), "frames are told apart"
    assert backbone.embed_dim == expected.shape[1]


def test_what_a_side_network_adds_to_the_embedding_starts_at_zero(pair):
    model, backbone = pair
    frames = random_frames(backbone)
    head = FrameHead(
        width=8, pooled_width=backbone.width, final_norm=backbone.final_norm, projection=backbone.projection
    )
    (tokens,) = backbone.iterate(frames, [DEPTH - 1])
    seen = head(torch.randn(2, 2, backbone.num_patches, 8), backbone.pool_tokens(tokens))
    with torch.no_grad():
        expected = model.encode_image(frames.flatten(0, 1))
    torch.testing.assert_close(seen.flatten(0, 1), expected, rtol=1e-5, atol=1e-5)
    seen.sum().backward()
    assert head.side_projection.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in backbone.parameters())


def test_preprocessing_is_what_open_clip_states():
    for name in (
        "PE-Core-B-16.meta",
        "ViT-L-14.laion2b_s32b_b82k",
        "ViT-L-14-CLIPA.datacomp1b",
        "MobileCLIP2-B.dfndr2b",
    ):
        with torch.device("meta"):
            backbone = load_backbone(name, weights="random", model_args={"depth": 1})
        stated = open_clip.get_pretrained_cfg(*name.split("."))
        assert (backbone.mean, backbone.std) == (stated["mean"], stated["std"])
        assert backbone.interpolation == stated["interpolation"]


def test_names():
    assert is_open_clip("ViT-H-14")
    assert not is_open_clip("vit_medium_patch16_gap_256"), "timm has it too"
    assert not is_open_clip("ViT-H-15")
    names = list_image_text_models()
    assert {"ViT-gopt-16-SigLIP2-384.webli", "ViT-H-14-worldwide-378.metaclip2_worldwide", "ViT-L-14.dfn2b_s39b"} <= {
        *names
    }
    assert not [name for name in names if name.startswith(("RN", "convnext", "coca", "swin", "MobileCLIP2-S"))]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("RN50.openai", "a ResNet, which is not supported"),
        ("convnext_base_w.laion2b_s13b_b82k", "timm's class ConvNeXt"),
        ("MobileCLIP2-S0.dfndr2b", "timm's class fastvit"),
        ("coca_ViT-B-32.laion2b_s13b_b90k", "attentional_pool"),
        ("PE-Core-B-16.meat", "Tags in open_clip: meta"),
        ("PE-Core-B-17", r"Did you mean .*PE-Core-B-16\.meta"),
        ("ViT-B-16.dfn2b", r"QuickGELU.* use the name ViT-B-16-quickgelu\.dfn2b"),
        ("ViT-L-14", r"differ in preprocessing\. Name them"),
    ],
)
def test_what_is_refused_and_why(name, message):
    with pytest.raises(ValueError, match=message):
        load_backbone(name, weights="random")


def test_a_text_tower_of_another_width_is_refused():
    for name, weights in (("pe-t16", "hub"), ("siglip2-b32", "random")):
        with torch.device("meta"), pytest.raises(ValueError, match=r"embeds images in \d+ dimensions, not 640"):
            load_backbone(name, weights=weights, model_args={"depth": 1}, projection_width=640)
