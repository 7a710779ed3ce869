"""The kinds of tokenisers in open_clip's models: their special tokens, and the files that have their vocabulary."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TokeniserKind:
    """A kind of tokeniser.

    Attributes:
        title: what errors and warnings call it, in the genitive.
        special: numbers of its special tokens, by name; a file with other numbers does not belong to the tower.
        prefix, suffix: numbers before and after the text.
        pad: number of the padding.
        files: files with the vocabulary in the model's repository, best first; empty: it is part of open_clip.
        fairseq: its SentencePiece file is numbered as XLM-R's.
        byte_level: its pieces are pairs of bytes, so that it has no unknown characters.

    >>> tokeniser_kind({"hf_tokenizer_name": "xlm-roberta-base"}).prefix
    (0,)
    """

    title: str
    special: dict[str, int]
    suffix: tuple[int, ...]
    prefix: tuple[int, ...] = ()
    pad: int = 0
    files: tuple[str, ...] = ("tokenizer.json",)
    fairseq: bool = False
    byte_level: bool = False

    @property
    def num_special(self) -> int:
        """Number of start and end tokens of a row."""
        return len(self.prefix) + len(self.suffix)


CLIP = TokeniserKind(
    "CLIP's",
    {"<|startoftext|>": 49406, "<|endoftext|>": 49407},
    prefix=(49406,),
    suffix=(49407,),
    files=(),
    byte_level=True,
)
SIGLIP = TokeniserKind("SigLIP's", {"</s>": 1}, suffix=(1,), pad=1, files=("tokenizer.json", "spiece.model"))
GEMMA = TokeniserKind(
    "SigLIP 2's (Gemma's)",
    {"<pad>": 0, "<eos>": 1, "<bos>": 2},
    suffix=(1,),
    files=("tokenizer.json", "tokenizer.model"),
)
XLM = TokeniserKind(
    "XLM-R's",
    {"<s>": 0, "<pad>": 1, "</s>": 2},
    prefix=(0,),
    suffix=(2,),
    pad=1,
    files=("tokenizer.json", "sentencepiece.bpe.model"),
    fairseq=True,
)
ROBERTA = TokeniserKind("RoBERTa's", XLM.special, prefix=(0,), suffix=(2,), pad=1, byte_level=True)
MT5 = TokeniserKind("mT5's", {"<pad>": 0, "</s>": 1}, suffix=(1,), files=("tokenizer.json", "spiece.model"))
BERT = TokeniserKind("BERT's", {"[PAD]": 0, "[CLS]": 101, "[SEP]": 102}, prefix=(101,), suffix=(102,))
CLIPA = TokeniserKind("CLIPA's (BERT's)", BERT.special, prefix=(101,), suffix=(0,))
"""CLIPA's models read padding in the place of the end token."""

_KINDS = (
    ("SigLIP2", GEMMA),
    ("SigLIP", SIGLIP),
    ("xlm-", XLM),
    ("roberta", ROBERTA),
    ("mt5", MT5),
    ("bert-base", BERT),
)
"""Parts of the names of repositories on the hub, with their kind; the first match counts."""


def tokeniser_kind(text: dict[str, Any]) -> TokeniserKind:
    """The kind of the tokeniser of a text tower, from the `text_cfg` of open_clip's table.

    Raises:
        ValueError: the tokeniser is not supported.
    """
    name = text.get("hf_tokenizer_name")
    if name is None:
        return CLIP
    if text.get("tokenizer_kwargs", {}).get("strip_sep_token"):
        return CLIPA
    for part, kind in _KINDS:
        if part in name:
            return kind
    raise ValueError(
        f"The tokeniser {name!r} is not supported. Supported kinds: CLIP, SigLIP, Gemma, XLM-R, mT5, BERT."
    )
