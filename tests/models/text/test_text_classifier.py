"""Zero-shot logits against open_clip's own, and heads that start from class names."""

import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from safetensors.torch import save_file

from side4video.config import VIDEO_PROMPTS, ConfigError, RunConfig, TextConfig, load_config, parse_config
from side4video.models.backbones.loading import load_backbone
from side4video.models.text.class_names import embed_classes, readable_class_name
from side4video.models.text.text_classifier import TextClassifier, ZeroShotModel, embed_frames
from side4video.models.text.text_tower import load_configured_tower
from side4video.models.video_model import build_video_model

NAMES = ["brush_hair", "playing the piano", "BabyCrawling"]
SPOKEN = ["brush hair", "playing the piano", "Baby Crawling"]
CPU = torch.device("cpu")
TOWER = {"embed_dim": 16, "width": 32, "heads": 2, "layers": 2}
IMAGES = {"patch_size": 8, "embed_dim": 64, "depth": 2, "num_heads": 1}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A tiny CLIP made by open_clip, and the file of its weights."""
    torch.manual_seed(0)
    vision = {"image_size": 32, "patch_size": 8, "width": 64, "head_width": 64, "layers": 2}
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    model = CLIP(embed_dim=16, vision_cfg=vision, text_cfg=text, quick_gelu=True).eval()
    with torch.no_grad():  # fresh ones are too much alike to notice a wrong activation
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    path = tmp_path_factory.mktemp("clip") / "clip.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    return model, path


def settings(path, **groups) -> RunConfig:
    content = {
        "backbone": {
            "name": "vit_base_patch16_clip_quickgelu_224",
            "weights": str(path),
            "image_size": 32,
            "model_args": IMAGES,
        },
        "text": {"name": "ViT-B-16-quickgelu", "weights": str(path), "model_args": TOWER},
        "side": {"width": 64},
        "head": {"fused": True, "init": "text"},
        "data": {"num_frames": 3},
    }
    for name, changes in groups.items():
        content[name] = {**content.get(name, {}), **changes}
    return parse_config(content, source="test")


def zero_shot_model(path):
    config = settings(path)
    text = load_configured_tower(config)
    backbone = load_backbone(
        config.backbone.name, weights=path, image_size=32, model_args=IMAGES, projection_width=text.embed_dim
    )
    classifier = TextClassifier(num_classes=3, embed_dim=text.embed_dim)
    classifier.load_classes(embed_classes(text, NAMES, VIDEO_PROMPTS), text.logit_scale)
    return ZeroShotModel(backbone=backbone, classifier=classifier).eval()


def zero_shot_by_open_clip(clip, images):
    """open_clip's own classifier and its recipe for logits."""
    templates = [lambda name, prompt=prompt: prompt.format(name) for prompt in VIDEO_PROMPTS]
    tokenizer = open_clip.get_tokenizer("ViT-B-16-quickgelu")
    with torch.no_grad():
        classifier = open_clip.build_zero_shot_classifier(clip, tokenizer, SPOKEN, templates)
        return clip.logit_scale.exp() * F.normalize(clip.encode_image(images), dim=-1) @ classifier


def test_one_frame_gets_the_zero_shot_logits_of_open_clip(clip):
    model, path = clip
    images = torch.randn(5, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    expected = zero_shot_by_open_clip(model, images)
    with torch.no_grad():
        logits = zero_shot_model(path)(images.unsqueeze(1))
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-4)
    assert expected.std(dim=1).min() > 1e-3, "the classes differ"


def test_a_video_is_the_mean_of_its_normalised_frames(clip):
    model, path = clip
    frames = torch.randn(2, 3, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        units = F.normalize(model.encode_image(frames.flatten(0, 1)), dim=-1).unflatten(0, (2, 3))
        classes = zero_shot_by_open_clip(model, frames[:, 0])  # for its shape alone
        zero_shot = zero_shot_model(path)
        logits = zero_shot(frames)
        expected = model.logit_scale.exp() * F.cosine_similarity(
            units.mean(dim=1).unsqueeze(1), zero_shot.classifier.classes.unsqueeze(0), dim=-1
        )
    assert logits.shape == classes.shape
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_head_from_class_names_starts_as_zero_shot(clip, frozen):
    _, path = clip
    config = settings(path, head={"frozen_probe": frozen})
    model = build_video_model(config, num_classes=3, device=CPU).eval()
    text = load_configured_tower(config)
    model.head.load_classes(embed_classes(text, NAMES, VIDEO_PROMPTS), text.logit_scale)
    clips = torch.randn(2, 3, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = zero_shot_model(path)(clips)
    logits = model(clips)
    torch.testing.assert_close(logits.detach(), expected)
    F.cross_entropy(logits, torch.tensor([0, 1])).backward()
    assert model.head.linear.weight.grad.abs().sum() > 0
    assert (model.head.probe.classes.grad is None) == frozen
    assert model.finetuned_parameters() == [model.head.probe.classes, model.head.probe.logit_scale]
    assert {"head.probe.classes", "head.probe.logit_scale"} <= model.trained_state().keys(), "needed to predict"
    assert not [name for name in model.trained_state() if "projection" in name]


def test_a_backbone_without_projection_is_refused():
    backbone = load_backbone("vit_tiny_patch16_224", weights="random", image_size=32, model_args={"depth": 1})
    with pytest.raises(ValueError, match="without its projection"):
        embed_frames(backbone, torch.zeros(1, 1, backbone.width))


def test_heads_of_the_other_kind_are_refused(clip):
    head = build_video_model(settings(clip[1]), num_classes=3, device=CPU).head
    with pytest.raises(ValueError, match="has no probe"):
        head.load_probe(torch.zeros(3, 64), torch.zeros(3))
    head = build_video_model(settings(clip[1], head={"init": "probe"}), num_classes=3, device=CPU).head
    with pytest.raises(ValueError, match="no text classifier"):
        head.load_classes(torch.zeros(3, 16), torch.tensor(1.0))


def test_class_names_become_readable():
    assert [readable_class_name(name) for name in NAMES] == SPOKEN


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"head": {"init": "text"}}, "set head.fused too"),
        ({"head": {"init": "text", "fused": True}, "data": {"arrow_of_time": True}}, "leave out data.arrow_of_time"),
        ({"text": {"prompts": ["a video"]}}, "for the class name"),
        ({"text": {"prompts": []}}, "one sentence or more"),
        (
            {"preset": "b32", "head": {"init": "text", "fused": True}, "text": {"name": "ViT-B-16-quickgelu"}},
            "Use text.name ViT-B-32-quickgelu and text.tag openai",
        ),
        ({"preset": "l14", "task": "retrieval", "text": {"tag": "dfn2b"}}, "was not trained with vit_large"),
    ],
)
def test_invalid_settings_are_refused(groups, message):
    with pytest.raises(ConfigError, match=message):
        parse_config(groups, source="test")


def test_a_preset_selects_its_text_tower():
    text = parse_config({"preset": "e14", "head": {"init": "text", "fused": True}}, source="test").text
    assert (text.name, text.tag) == ("EVA02-E-14", "laion2b_s4b_b115k")
    assert load_config("own-clips").text == TextConfig(), "without a preset nothing is assumed"


def test_the_bias_of_a_model_of_the_sigmoid_loss_is_added():
    images, classes = torch.randn(2, 1, 4), torch.randn(3, 4)
    logits = []
    for bias in (None, torch.tensor(-10.0)):
        classifier = TextClassifier(num_classes=3, embed_dim=4)
        classifier.load_classes(classes, torch.tensor(2.0), bias)
        logits.append(classifier(images).detach())
    torch.testing.assert_close(logits[1], logits[0] - 10)
    assert "logit_bias" not in TextClassifier(num_classes=3, embed_dim=4).state_dict(), "adapters of before still load"
