"""Tokenisers of every kind: ids against open_clip and transformers, words of several scripts, refused files."""

import json
import os

import pytest
import torch
from open_clip.tokenizer import HFTokenizer

from side4video.config import BackboneConfig, TextConfig
from side4video.models.text.caption_warnings import describe_truncated, describe_unknown
from side4video.models.text.text_settings import check_pair, text_settings
from side4video.models.text.text_tower import load_configured_tokeniser
from side4video.models.text.tokeniser import clip_tokeniser
from side4video.models.text.tokeniser_files import load_tokeniser
from small_tokenisers import SENTENCES, make_tokeniser

MODELS = {
    "siglip": "ViT-B-16-SigLIP",
    "gemma": "ViT-B-16-SigLIP2",
    "xlm": "ViT-H-14-worldwide",
    "mt5": "ViT-L-14-worldwide",
    "bert": "ViT-L-14-CLIPA",
}
SIZES = {"siglip": 64, "gemma": 346, "xlm": 66, "mt5": 64, "bert": 130}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {kind: make_tokeniser(tmp_path_factory.mktemp("small") / kind, kind) for kind in MODELS}


def load(kind, file, **changes):
    settings = text_settings(MODELS[kind], {"vocab_size": SIZES[kind]} | changes)
    return load_tokeniser(settings, file=file)


@pytest.mark.parametrize("kind", MODELS)
def test_ids_equal_those_of_open_clip(kind, folders):
    folder = folders[kind]
    options = text_settings(MODELS[kind]).text["tokenizer_kwargs"] if kind != "xlm" else {}
    captions = [*SENTENCES, "", "A_Dog, ωx &amp; 1990!", "a red ball " * 9]
    expected = HFTokenizer(str(folder), context_length=14, **options)(captions)
    for file in (folder, folder / "tokenizer.json", *folder.glob("*.model")):
        ids, mask = load(kind, file)(captions, max_words=14)
        assert torch.equal(ids, expected), file
        assert mask.sum(dim=1)[-1] == 14, "the last one is cut"
        assert mask[-3].sum() == load(kind, file).kind.num_special, "an empty text has start and end alone"


WORDS = {
    "红色的球 在": ["红", "色", "的", "球", "在"],
    "كرة حمراء، تتحرك": ["كرة", "حمراء", "تتحرك"],
    "赤いボールが": ["赤", "い", "ボール", "が"],
    "a dog's ball": ["a", "dog's", "ball"],
    "빨간 공": ["빨간", "공"],
    "ωx 球": ["ωx", "球"],
}


@pytest.mark.parametrize("kind", ["xlm", "gemma"])
def test_words_of_scripts_with_and_without_spaces(kind, folders):
    for file in (folders[kind] / "tokenizer.json", *folders[kind].glob("*.model")):
        tokeniser = load(kind, file)
        for text, words in WORDS.items():
            found = tokeniser.split_words(text, max_words=60)
            expected = [word.replace("'", "") for word in words] if kind == "gemma" else words  # SigLIP has no marks
            assert [word for word, _ in found] == expected
            assert all(len(own) for _, own in found)
            ids = tokeniser([text], max_words=60)[0][0]
            pieces = tokeniser.encoder.ids([tokeniser.clean(text)])[0]
            first = len(tokeniser.kind.prefix)
            assert ids[first : first + len(pieces)].tolist() == pieces, "positions count from the start token"


def test_pieces_of_several_characters_are_one_word(tmp_path):
    folder = make_tokeniser(tmp_path / "xlm", "xlm", ["红色的球", "红色的狗", "红色 球", "狗"], vocab_size=11)
    tokeniser = load("xlm", folder, vocab_size=13)
    assert [word for word, _ in tokeniser.split_words("红色的球", max_words=20)] == ["红色", "的", "球"]


def test_all_bytes_of_a_character_belong_to_its_word(folders):
    for file in (folders["gemma"] / "tokenizer.json", folders["gemma"] / "tokenizer.model"):
        [(word, positions)] = load("gemma", file).split_words("ω", max_words=20)
        assert (word, len(positions)) == ("ω", 2), "two bytes of UTF-8"


def test_truncated_parts(folders):
    tokeniser = load("gemma", folders["gemma"])
    (count,) = tokeniser.count(["红色的球"])
    assert count == 5
    assert tokeniser.read_part("红色的球", max_words=4) == "红色的"
    (sentence,) = describe_truncated(["红色的球", "红"], max_words=4, tokeniser=tokeniser)
    assert sentence.startswith("1 of 2 captions are longer than --text.max-words 4 (SigLIP 2's (Gemma's) tokens")


@pytest.mark.parametrize("text", ["красный мяч движется", "كرة حمراء", "红色的球在移动", "ลูกบอลสีแดง", "κόκκινη μπάλα"])
def test_other_scripts_are_unknown_to_clip(text):
    (warning,) = describe_unknown(["a red ball", "un niño corre", text, "naïve café"])
    assert warning.startswith("1 of 4 captions are mostly unknown to CLIP's tokeniser: it has no token for ")
    assert "siglip2-b16" in warning


@pytest.mark.parametrize("text", ["", "!?", "it's 2024", "quả bóng đỏ", "ein großer Hund läuft", "TV ☺"])
def test_latin_scripts_are_known_to_clip(text):
    assert describe_unknown([text]) == []


def test_unknown_tokens_and_bytes_are_counted(folders):
    unigram, bytes_ = load("siglip", folders["siglip"]), load("gemma", folders["gemma"])
    for tokeniser in (unigram, bytes_):
        assert describe_unknown(SENTENCES, tokeniser=tokeniser) == []
        assert tokeniser.unknown_share("ωψ") == 1
        (warning,) = describe_unknown(["a ball", "ωψ a", "Ωψ"], tokeniser=tokeniser)
        assert "2 of 3" in warning
        assert "no token for 83% of their letters, such as 'ωψ a'" in warning, "two of three letters, and all"


def test_a_tokeniser_of_another_tower_is_refused(folders):
    with pytest.raises(
        ValueError, match=r"has 346 tokens, but the text tower of ViT-B-16-SigLIP has 64\. Give SigLIP's"
    ):
        load("siglip", folders["gemma"])
    with pytest.raises(ValueError, match=r"<s> is None, not 0, .* Give XLM-R's tokeniser"):
        load("xlm", folders["mt5"] / "tokenizer.json", vocab_size=64)
    with pytest.raises(ValueError, match="has 64 tokens, but the text tower of ViT-B-16-SigLIP has 32,000"):
        load_configured_tokeniser(TextConfig(name="ViT-B-16-SigLIP", tokenizer=str(folders["siglip"])))
    with pytest.raises(ValueError, match="has 64 tokens, but the text tower of ViT-B-16 has 49,408"):
        load_configured_tokeniser(TextConfig(name="ViT-B-16", tokenizer=str(folders["siglip"])))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", b"", "is empty"),
        ("tokenizer.json", b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
        ("tokenizer.json", b"<!doctype html>", "is a web page"),
        ("tokenizer.json", json.dumps({"tokenizer_class": "T5Tokenizer"}).encode(), "is not a tokenizer.json"),
        ("tokenizer.json", b'{"model": ', "is not a tokenizer.json"),
        ("spiece.model", os.urandom(0) + b"PK\x03\x04" + bytes(50), "is not a SentencePiece model"),
    ],
)
def test_other_files_are_refused(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load("siglip", tmp_path)


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"does not exist\. .*tokenizer.json or spiece.model, or a folder"):
        load("siglip", tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="is a folder without a tokeniser file"):
        load("siglip", tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        OSError, match=r"tokenizer.json or tokenizer.model of https://huggingface.co/timm/ViT-B-16-SigLIP2 .*"
    ):
        load("gemma", None)


def test_clip_needs_no_file():
    assert load_configured_tokeniser(TextConfig(name="PE-Core-B-16")) is clip_tokeniser()
    assert load_configured_tokeniser(TextConfig()).file is None


@pytest.mark.parametrize(
    ("backbone", "text"),
    [
        ({"name": "PE-Core-B-16.meta", "weights": "random"}, {"name": "ViT-B-16-SigLIP2"}),
        ({"name": "PE-Core-B-16.meta"}, {"name": "PE-Core-B-16", "tag": "openai"}),
        ({"name": "vit_base_patch16_siglip_224.v2_webli"}, {"name": "ViT-B-16-SigLIP", "tag": "webli"}),
    ],
)
def test_a_text_tower_without_its_image_tower_is_refused(backbone, text):
    with pytest.raises(ValueError, match=r"was not trained with .* Use text.name (PE-Core-B-16|ViT-B-16-SigLIP2) and"):
        check_pair(BackboneConfig(**backbone), TextConfig(**text))


def test_towers_of_one_model_are_accepted():
    check_pair(BackboneConfig(name="PE-Core-B-16.meta"), TextConfig(name="PE-Core-B-16", tag="meta"))
    check_pair(BackboneConfig(name="vit_base_patch16_siglip_224.v2_webli", weights="w.pt"), TextConfig())
    check_pair(BackboneConfig(name="vit_tiny_patch16_224"), TextConfig())
