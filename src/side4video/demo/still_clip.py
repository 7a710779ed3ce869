"""Configuration of the demonstration's small CLIP, and its weights as a full CLIP file.

It is an open_clip model with OpenAI's tensor names. The package stores only the embeddings of the words that occur in
its captions: a table of all 49,408 words would be seven times as large as the rest.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from safetensors.torch import load_file
from torch import Tensor

from side4video.atomic_files import write_tensors
from side4video.models.text.tokeniser import clip_tokeniser

BACKBONE_NAME = "vit_base_patch16_clip_quickgelu_224"
"""The timm model whose class and preprocessing the image tower uses."""

BACKBONE_ARGS: dict[str, Any] = {"img_size": 64, "patch_size": 16, "embed_dim": 96, "depth": 3, "num_heads": 3}
"""Arguments that differ from it: 64 x 64 pictures, 4 x 4 patches, three blocks of width 96."""

TEXT_NAME = "ViT-B-16-quickgelu"
"""open_clip's name of the model whose text tower is used."""

TEXT_ARGS: dict[str, Any] = {
    "embed_dim": 64,
    "context_length": 16,
    "vocab_size": 49408,
    "width": 64,
    "heads": 2,
    "layers": 1,
}
"""Arguments that differ from it; `embed_dim` is E, the width of the embedding space of both towers."""

WEIGHTS_PATH = Path(__file__).with_name("still_clip.safetensors")
"""The weights in the package, float16."""

_TABLE, _IDS = "token_embedding.weight", "token_embedding.ids"


def create_clip(*, vocab_size: int) -> CLIP:
    """Return the small CLIP for a vocabulary of that size, with random weights from torch's global generator."""
    image, text = BACKBONE_ARGS, TEXT_ARGS | {"vocab_size": vocab_size}
    vision = CLIPVisionCfg(
        layers=image["depth"],
        width=image["embed_dim"],
        head_width=image["embed_dim"] // image["num_heads"],
        patch_size=image["patch_size"],
        image_size=image["img_size"],
    )
    return CLIP(embed_dim=text.pop("embed_dim"), vision_cfg=vision, text_cfg=CLIPTextCfg(**text), quick_gelu=True)


class Vocabulary:
    """A reduced vocabulary: the tokens of some captions, renumbered from 0 in the order of CLIP's vocabulary.

    The end-of-text token keeps the highest number, as CLIP's text tower requires.

    Args:
        captions: every text that will be encoded.

    Attributes:
        ids: (words,) int64, ascending, numbers of the tokens in CLIP's vocabulary; number 0 is padding.

    >>> vocabulary = Vocabulary(["a ring", "a disc"])
    >>> len(vocabulary), vocabulary.encode(["a disc"])[0, :4].tolist()
    (6, [4, 1, 3, 5])
    """

    def __init__(self, captions: Iterable[str]) -> None:
        self.ids = _tokens(list(captions)).unique()

    def __len__(self) -> int:
        return len(self.ids)

    def encode(self, captions: list[str]) -> Tensor:
        """Tokens of captions, (B, context length) int64, by their new numbers.

        Raises:
            ValueError: a caption has a word that is not in the list.
        """
        tokens = _tokens(captions)
        known = torch.isin(tokens, self.ids).all(dim=1).tolist()
        if not all(known):
            unknown = [caption for caption, every_word in zip(captions, known, strict=True) if not every_word]
            raise ValueError(
                f"{unknown[:10]} contain words that are not in the vocabulary. Build it with these captions."
            )
        return torch.searchsorted(self.ids, tokens)


def _tokens(captions: list[str]) -> Tensor:
    """CLIP's numbers of the tokens of captions, (B, context length) int64, padded with 0."""
    return clip_tokeniser()(captions, max_words=TEXT_ARGS["context_length"])[0]


def pack_weights(clip: CLIP, words: Vocabulary) -> dict[str, Tensor]:
    """Return the float16 weights of a CLIP whose vocabulary is `words`, together with the words' numbers."""
    weights = {name: tensor.detach().half().contiguous() for name, tensor in clip.state_dict().items()}
    return weights | {_IDS: words.ids.to(torch.int32)}


def unpack_weights(packed: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights as a CLIP of 49,408 tokens has them, float32; unknown tokens are zero."""
    weights = {name: tensor.float() for name, tensor in packed.items() if name != _IDS}
    rows = weights[_TABLE]
    weights[_TABLE] = rows.new_zeros(TEXT_ARGS["vocab_size"], rows.shape[1])
    weights[_TABLE][packed[_IDS].long()] = rows
    return weights


def write_clip_file(path: Path, packed: Path = WEIGHTS_PATH) -> None:
    """Write the small CLIP as an ordinary weight file with both towers, 15 MB, atomically.

    Args:
        path: a `.safetensors` file; its folder is created.
        packed: result of `pretrain_captions`.
    """
    write_tensors(path, unpack_weights(load_file(packed)))
