"""Text towers of every kind: sentences, scale and bias against open_clip's own model, from its weights file."""

import copy

import open_clip
import pytest
import torch
from open_clip.model import CLIP, CustomTextCLIP
from safetensors.torch import save_file
from transformers import MT5Config, XLMRobertaConfig

from side4video.models.text.text_tower import load_text_tower
from side4video.models.text.tokeniser import clip_tokeniser
from small_tokenisers import SENTENCES, make_tokeniser

VISION = {"image_size": 16, "patch_size": 16, "width": 16, "head_width": 16, "layers": 1}
SMALL = {"width": 32, "heads": 2, "layers": 2, "embed_dim": 16}
KINDS = {
    "PE-Core-B-16": None,  # causal, end token
    "MobileCLIP2-L-14": None,  # not causal, end token
    "coca_ViT-B-32": None,  # class token at the end
    "ViT-L-14-CLIPA": "bert",  # last position
    "ViT-B-16-SigLIP": "siglip",
    "ViT-B-16-SigLIP2": "gemma",
    "ViT-SO400M-16-SigLIP-i18n-256": "siglip",  # no projection
    "ViT-H-14-worldwide-quickgelu": "xlm",  # end token by its number
    "ViT-L-14-worldwide": "mt5",
    "xlm-roberta-base-ViT-B-32": "xlm",  # transformers
    "mt5-base-ViT-B-32": "mt5",
}
CAUSAL = {"PE-Core-B-16", "coca_ViT-B-32", "ViT-H-14-worldwide-quickgelu", "ViT-L-14-worldwide"}
TRANSFORMERS = {
    "xlm-roberta-base-ViT-B-32": XLMRobertaConfig(
        vocab_size=66, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    ),
    "mt5-base-ViT-B-32": MT5Config(vocab_size=64, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2),
}


@pytest.fixture(scope="module", params=KINDS)
def made(request, tmp_path_factory):
    """A small model of open_clip, our tower from its weights file, and its name."""
    name, folder = request.param, tmp_path_factory.mktemp("tower")
    tokenizer, args = None, dict(SMALL)
    if (kind := KINDS[name]) is not None:
        tokenizer = make_tokeniser(folder / kind, kind)
        args["vocab_size"] = {"bert": 130, "siglip": 64, "gemma": 346, "xlm": 66, "mt5": 64}[kind]
    if name.startswith("ViT-SO400M-16-SigLIP-i18n"):
        args["embed_dim"] = args["width"]
    config = copy.deepcopy(open_clip.get_model_config(name))
    text = config["text_cfg"] | {key: value for key, value in args.items() if key != "embed_dim"}
    if name in TRANSFORMERS:
        settings = TRANSFORMERS[name]
        settings.save_pretrained(tokenizer)
        text = config["text_cfg"] | {"hf_model_name": str(tokenizer), "hf_model_pretrained": False}
        args = {"embed_dim": 16}
    torch.manual_seed(1)
    parts = {"vision_cfg": dict(VISION), "text_cfg": text | {"output_tokens": False}}
    extra = {key: config[key] for key in ("quick_gelu", "init_logit_bias") if key in config}
    is_custom = config.get("custom_text") or name in TRANSFORMERS
    model = (CustomTextCLIP if is_custom else CLIP)(embed_dim=args["embed_dim"], **parts, **extra).eval()
    with torch.no_grad():  # fresh ones are too much alike to notice a wrong position
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    path = folder / "model.safetensors"
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
    tower = load_text_tower(name, weights=path, model_args=args, tokenizer=tokenizer).eval()
    return name, model, tower


@torch.no_grad()
def test_sentences_scale_and_bias_equal_open_clip(made):
    name, model, tower = made
    captions = [*SENTENCES[:2], "!", "a red ball moves up " * 30]
    full, _ = tower.tokeniser(captions, max_words=tower.context_length)
    expected = model.encode_text(full)
    assert (expected[0] - expected[1]).abs().max() > 1e-2, "the sentences differ"
    torch.testing.assert_close(tower(full)[1], expected, atol=1e-5, rtol=1e-5)
    short, mask = tower.tokeniser(captions[:3], max_words=30)
    words, sentences = tower(short)
    torch.testing.assert_close(sentences, expected[:3], atol=1e-5, rtol=1e-5)
    assert words.shape == (3, 30, tower.embed_dim)
    assert words[mask].isfinite().all()
    assert tower.logit_scale == model.logit_scale
    with pytest.raises(ValueError, match="the context length of the text tower"):
        tower(torch.zeros(1, tower.context_length + 1, dtype=torch.long))
    bias = getattr(model, "logit_bias", None)
    assert (tower.logit_bias is None) == (bias is None)
    assert bias is None or tower.logit_bias == bias
    assert tower.causal == (name in CAUSAL)


@torch.no_grad()
def test_common_beginnings_are_equal_only_in_causal_towers(made):
    _, _, tower = made
    (ids, _) = tower.tokeniser(["a red ball", "a red dog"], max_words=12)
    words = tower(ids)[0]
    same = [torch.equal(words[0, place], words[1, place]) for place in range(2)]
    assert all(same) == tower.causal


@torch.no_grad()
def test_the_word_at_the_pooled_position_is_the_sentence(made):
    """The words are in the space of the sentence: a tower pooled at the end token has it as a word."""
    name, _, tower = made
    if name not in CAUSAL - {"coca_ViT-B-32"} | {"MobileCLIP2-L-14"}:
        pytest.skip("pooled elsewhere")
    ids, mask = tower.tokeniser(["a red ball"], max_words=12)
    words, sentences = tower(ids)
    torch.testing.assert_close(words[0, int(mask.sum()) - 1], sentences[0])


def test_recomputing_gives_the_same_gradients(made):
    _, _, tower = made
    ids, _ = tower.tokeniser(["a red ball"], max_words=12)
    found = []
    for on in (False, True):
        tower.train().set_recompute(on)
        tower.zero_grad()
        tower(ids)[1].square().sum().backward()
        found.append([weight.grad.clone() for weight in tower.parameters() if weight.grad is not None])
    assert len(found[0]) > 5
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


def test_reduced_towers_need_no_tokeniser_until_they_read_text():
    tower = load_text_tower("ViT-B-16-SigLIP2", weights="random", model_args=SMALL | {"vocab_size": 50})
    assert tower(torch.zeros(1, 5, dtype=torch.long))[1].shape == (1, 16)
    assert tower.logit_bias == -10
    assert not tower.logit_bias.requires_grad
    tower.train_logit_bias()
    assert tower.logit_bias.requires_grad
    clip = load_text_tower("PE-Core-B-16", weights="random", model_args=SMALL)
    assert clip.tokeniser is clip_tokeniser()
    assert clip.logit_bias is None
