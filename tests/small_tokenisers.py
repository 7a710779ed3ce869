"""Small tokeniser files of every kind, made by the libraries that made the real ones."""

import io
import json
from pathlib import Path

import sentencepiece
from transformers import AutoTokenizer

SENTENCES = [
    "a red ball moves up",
    "a dog runs over a hill",
    "the blue square turns clockwise",
    "a cat jumps, backflipping twice",
    "红色的球在移动",
    "狗在山上跑",
    "كرة حمراء تتحرك",
    "赤いボールが転がる",
]
_GEMMA_NAMES = {"pad_piece": "<pad>", "eos_piece": "<eos>", "bos_piece": "<bos>"}
_T5 = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, "eos_token": "</s>", "unk_token": "<unk>", "legacy": False}
_KINDS = {
    "siglip": (
        "spiece.model",
        {"vocab_size": 64, "pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
        {**_T5, "pad_token": "</s>"},
    ),
    "gemma": (
        "tokenizer.model",
        {
            "vocab_size": 345,
            "model_type": "bpe",
            "byte_fallback": True,
            "add_dummy_prefix": False,
            "normalization_rule_name": "identity",
            "remove_extra_whitespaces": False,
            "pad_id": 0,
            "eos_id": 1,
            "bos_id": 2,
            "unk_id": 3,
            **_GEMMA_NAMES,
        },
        {"tokenizer_class": "GemmaTokenizer", "add_bos_token": False, "add_eos_token": True, "padding_side": "right"},
    ),
    "xlm": ("sentencepiece.bpe.model", {"vocab_size": 64}, {"tokenizer_class": "XLMRobertaTokenizer"}),
    "mt5": (
        "spiece.model",
        {"vocab_size": 64, "pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1},
        {**_T5, "pad_token": "<pad>"},
    ),
}
"""File, options of SentencePiece's trainer, and tokenizer_config.json."""


def make_tokeniser(folder: Path, kind: str, sentences: list[str] = SENTENCES, **options: object) -> Path:
    """Make the files of a tokeniser, tokenizer.json and a SentencePiece model (not for bert); returns the folder."""
    folder.mkdir(parents=True)
    if kind == "bert":
        words = sorted({word for sentence in sentences for word in sentence.replace(",", " , ").split()})
        special = ["[PAD]", *(f"[unused{number}]" for number in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        (folder / "vocab.txt").write_text("\n".join([*special, *words, "##ing"]) + "\n")
        settings: dict = {"tokenizer_class": "BertTokenizer"}
    else:
        name, trainer, settings = _KINDS[kind]
        model = io.BytesIO()
        trained = {"sentence_iterator": iter(sentences * 40), "model_writer": model, "minloglevel": 2}
        sentencepiece.SentencePieceTrainer.train(**trained, **{**trainer, **options})
        (folder / name).write_bytes(model.getvalue())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    return folder
