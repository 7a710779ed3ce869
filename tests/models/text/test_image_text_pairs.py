"""Whole image-text models without training: zero-shot logits and index embeddings against open_clip's own."""

from functools import partial

import open_clip
import pytest
import timm
import torch
import torch.nn.functional as F
from open_clip.model import CLIP, CustomTextCLIP
from safetensors.torch import save_file

from side4video.config import ConfigError, dump_config, parse_config
from side4video.models.retrieval_model import build_retrieval_model
from side4video.search.index_model import load_index_model, plain_clip_config
from side4video.tasks.recognition.zero_shot import build_zero_shot_model
from small_tokenisers import make_tokeniser

NARROW = {"depth": 1, "embed_dim": 64, "num_heads": 2}
KINDS = {
    "PE-Core-B-16.meta": (None, 49408, 64),
    "ViT-B-16-SigLIP2.webli": ("gemma", 346, 32),
    "ViT-bigG-14-worldwide.metaclip2_worldwide": ("xlm", 66, 28),
}
NAMES = ("red ball", "blue square", "dog")


@pytest.fixture(scope="module", params=KINDS)
def made(request, tmp_path_factory):
    """open_clip's small model, and the settings of ours from its file."""
    name, folder = request.param, tmp_path_factory.mktemp("pair")
    kind, vocab_size, size = KINDS[name]
    tokenizer = None if kind is None else str(make_tokeniser(folder / kind, kind))
    model_name, _, tag = name.partition(".")
    config = open_clip.get_model_config(model_name)
    text = {"width": 32, "heads": 2, "layers": 1, "vocab_size": vocab_size}
    embed_dim, vision, args = config["embed_dim"], dict(config["vision_cfg"]), NARROW
    torch.manual_seed(4)
    with pytest.MonkeyPatch.context() as patch:  # open_clip passes no sizes on to timm
        patch.setattr(timm, "create_model", partial(timm.create_model, img_size=size, **NARROW))
        if "timm_model_name" in vision:
            embed_dim = 64 if "SigLIP" in name else embed_dim  # it has no projection
        else:
            width = 2 * vision["head_width"]
            vision |= {"layers": 1, "width": width, "image_size": size}
            args = {"depth": 1, "embed_dim": width, "num_heads": 2}
        parts = {"vision_cfg": vision, "text_cfg": config["text_cfg"] | text}
        kind_of_model = CustomTextCLIP if config.get("custom_text") else CLIP
        model = kind_of_model(embed_dim=embed_dim, **parts, init_logit_bias=config.get("init_logit_bias")).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    path = str(folder / "model.safetensors")
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
    settings = {
        "task": "retrieval",
        "backbone": {"name": name, "weights": path, "image_size": size, "model_args": args},
        "text": {
            "name": model_name,
            "tag": tag,
            "weights": path,
            "tokenizer": tokenizer,
            "model_args": text | {"embed_dim": embed_dim},
            "prompts": ["a video of {}."],
            "similarity": "mean-pool",
        },
        "data": {"num_frames": 2},
    }
    return model, parse_config(settings, source="test"), folder, size


@torch.no_grad()
def test_zero_shot_logits_have_the_models_own_scale_and_bias(made):
    model, config, _, size = made
    zero_shot = build_zero_shot_model(
        config.model_copy(update={"task": "recognition"}), NAMES, device=torch.device("cpu")
    )
    images = torch.randn(4, 3, size, size, generator=torch.Generator().manual_seed(2))
    tokens = load_index_model_of(made).tokeniser([f"a video of {name}." for name in NAMES], max_words=32)[0]
    context = model.context_length
    tokens = F.pad(tokens, (0, context - 32), value=load_index_model_of(made).model.text.kind.pad)
    expected, _ = model.get_logits(images, tokens)
    torch.testing.assert_close(zero_shot(images.unsqueeze(1)), expected, rtol=1e-4, atol=1e-4)
    assert (model.logit_bias is None) == ("SigLIP" not in config.text.name)
    assert expected.std(dim=1).min() > 1e-4, "the classes differ"


@torch.no_grad()
def test_an_untrained_index_model_embeds_like_open_clip(made):
    model, _, _, size = made
    ours = load_index_model_of(made)
    clips = torch.randn(2, 2, 3, size, size, generator=torch.Generator().manual_seed(3))
    frames = model.encode_image(clips.flatten(0, 1)).unflatten(0, (2, 2))
    torch.testing.assert_close(ours.embed_clips(clips).frames, frames, rtol=1e-4, atol=1e-5)
    texts = ["a red ball moves up", "a dog runs"]
    full, _ = ours.tokeniser(texts, max_words=model.context_length)
    torch.testing.assert_close(ours.embed_texts(texts).sentence, model.encode_text(full), rtol=1e-4, atol=1e-5)


def load_index_model_of(made):
    _, config, folder, _ = made
    path = folder / "model.yaml"
    if not path.exists():
        path.write_text(dump_config(config))
    return load_index_model(path, device="cpu")


@pytest.mark.parametrize("key", ["auto", "ema", "raw"])
def test_both_towers_come_from_the_same_weights_of_a_file(made, key, capsys):
    model, config, folder, _ = made
    path, raw = folder / f"{key}.pt", model.state_dict()
    averaged = {name: tensor + 0.5 for name, tensor in raw.items()}
    torch.save({"model": raw, "model_ema": averaged}, path)
    parts = {
        "backbone": config.backbone.model_copy(update={"weights": str(path), "weights_key": key}),
        "text": config.text.model_copy(update={"weights": str(path)}),
        "side": config.side.model_copy(update={"taps": (-1,), "width": 64}),
    }
    built = build_retrieval_model(config.model_copy(update=parts), device=torch.device("cpu"))
    expected = raw if key == "raw" else averaged
    text = {name.removeprefix("text."): tensor for name, tensor in expected.items()}
    own = built.text.model.state_dict()
    assert all(torch.equal(tensor, text[name]) for name, tensor in own.items())
    norm = built.backbone.model.norm.weight
    image = [tensor for name, tensor in expected.items() if name.startswith("visual.") and tensor.shape == norm.shape]
    assert any(torch.equal(tensor, norm) for tensor in image)
    kind = "raw" if key == "raw" else "averaged (EMA)"
    assert capsys.readouterr().out.count(f"{kind} weights under model") == 2


def test_towers_of_two_models_are_refused_with_the_settings():
    backbone = {"name": "PE-Core-B-16.meta", "weights": "mine.pt"}
    for text in ({}, {"name": "ViT-B-16-SigLIP2", "tag": "webli", "weights": "mine.pt"}):
        with pytest.raises(ConfigError, match=r"was not trained with PE-Core-B-16.meta. Use text.name PE-Core-B-16"):
            parse_config({"task": "retrieval", "backbone": backbone, "text": text}, source="test")
    own = {"name": "PE-Core-B-16", "tag": "another", "weights": "mine.pt"}
    assert parse_config({"task": "retrieval", "backbone": backbone, "text": own}, source="test").text.tag == "another"


def test_short_names_choose_both_towers_and_the_context_length():
    for name, text, tag, words in (
        ("pe-b16", "PE-Core-B-16", "meta", 32),
        ("siglip2-b16", "ViT-B-16-SigLIP2", "webli", 64),
        ("siglip-so400m", "ViT-SO400M-14-SigLIP", "webli", 16),
        ("metaclip2-h14", "ViT-H-14-worldwide-quickgelu", "metaclip2_worldwide", 77),
        ("clip-b16", "ViT-B-16-quickgelu", "openai", 77),
    ):
        config = plain_clip_config(name, weights="model.safetensors").text
        assert (config.name, config.tag, config.max_words) == (text, tag, words)
