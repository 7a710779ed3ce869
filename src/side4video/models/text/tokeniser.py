"""Tokenisers: token ids of captions for a text tower, and the words that belong to the tokens."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Bool, Int
from open_clip.tokenizer import get_clean_fn
from torch import Tensor

from side4video.models.text.encoders import ClipEncoder, Encoder
from side4video.models.text.pieces import group_words, unknown_share
from side4video.models.text.tokeniser_kinds import CLIP, TokeniserKind
from side4video.parameters import as_list


class Tokeniser:
    """Turns captions into rows of token ids, and finds the words of a caption in its row.

    Each row is the start tokens, the pieces of the caption, the end tokens, then padding. Longer captions are truncated
    and keep their end.

    Args:
        kind: the special tokens.
        encoder: the vocabulary.
        clean: prepares a caption for the vocabulary, such as lower case.
        file: the file of the vocabulary; None: it is part of open_clip.

    >>> tokeniser = clip_tokeniser()
    >>> ids, mask = tokeniser(["a dog runs", "a dog"], max_words=6)
    >>> ids.tolist()
    [[49406, 320, 1929, 5586, 49407, 0], [49406, 320, 1929, 49407, 0, 0]]
    >>> mask.sum(dim=1).tolist()
    [5, 4]
    """

    def __init__(
        self, kind: TokeniserKind, encoder: Encoder, *, clean: Callable[[str], str], file: Path | None = None
    ) -> None:
        self.kind, self.encoder, self.clean, self.file = kind, encoder, clean, file

    def __call__(
        self, captions: str | Sequence[str], *, max_words: int
    ) -> tuple[Int[Tensor, "C W"], Bool[Tensor, "C W"]]:
        """Token ids of captions, and a mask of start, pieces and end. W = `max_words`.

        Raises:
            ValueError: `max_words` leaves no room for a piece.
        """
        kind, room = self.kind, max_words - self.kind.num_special
        if room < 1:
            least = kind.num_special + 1
            raise ValueError(f"{max_words = } leaves no room between start and end of the text. Use {least} or more.")
        rows = [[*kind.prefix, *ids[:room], *kind.suffix] for ids in self._ids(as_list(captions))]
        ids = torch.full((len(rows), max_words), kind.pad)
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row)
        lengths = torch.tensor([len(row) for row in rows], dtype=torch.long).unsqueeze(1)
        return ids, torch.arange(max_words) < lengths

    def count(self, captions: Sequence[str]) -> list[int]:
        """The number of tokens of each whole caption, with start and end.

        >>> clip_tokeniser().count(["a dog runs", "a dog jumps, backflipping"])
        [5, 8]
        """
        return [len(ids) + self.kind.num_special for ids in self._ids(captions)]

    def read_part(self, caption: str, *, max_words: int) -> str:
        """The part of a caption that is not truncated, clean.

        >>> clip_tokeniser().read_part("A dog jumps, backflipping", max_words=5)
        'a dog jumps'
        """
        text = self.clean(caption)
        pieces = self.encoder.pieces(text)[: max_words - self.kind.num_special]
        return text[: max((piece.end for piece in pieces), default=0)].strip()

    def split_words(self, caption: str, *, max_words: int) -> list[tuple[str, range]]:
        """The words of a caption with the positions of their tokens in its row; see `pieces.group_words`.

        Words that are truncated are left out, and so is punctuation.

        >>> clip_tokeniser().split_words("A dog jumps, backflipping", max_words=9)
        [('a', range(1, 2)), ('dog', range(2, 3)), ('jumps', range(3, 4)), ('backflipping', range(5, 7))]
        """
        text, first = self.clean(caption), len(self.kind.prefix)
        pieces = self.encoder.pieces(text)[: max_words - self.kind.num_special]
        return [(word, range(own.start + first, own.stop + first)) for word, own in group_words(text, pieces)]

    def unknown_share(self, caption: str) -> float:
        """The share of a caption's letters that the vocabulary does not know, 0 to 1; see `pieces.unknown_share`.

        >>> clip_tokeniser().unknown_share("a red ball"), clip_tokeniser().unknown_share("红色的球")
        (0.0, 1.0)
        """
        text = self.clean(caption)
        return unknown_share(text, self.encoder.pieces(text), byte_level=self.kind.byte_level)

    def _ids(self, captions: Sequence[str]) -> list[list[int]]:
        return self.encoder.ids([self.clean(caption) for caption in captions])


@lru_cache(maxsize=1)
def clip_tokeniser() -> Tokeniser:
    """CLIP's tokeniser, whose vocabulary is part of the open_clip package."""
    return Tokeniser(CLIP, ClipEncoder(), clean=get_clean_fn("lower"))
