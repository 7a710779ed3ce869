"""How alike a caption and a video are: what is known of each, and the two similarities of the paper."""

from dataclasses import dataclass, fields
from typing import Literal, Self

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

Similarity = Literal["wti", "mean-pool"]
"""`wti`: weighted token-wise interaction (arXiv 2203.07111, section 3); `mean-pool`: one vector for each side."""


class _Features:
    """Tensors whose first axis counts captions or videos."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))  # type: ignore[arg-type]

    def map(self, change) -> Self:  # type: ignore[no-untyped-def]
        """The same with `change` applied to each tensor, such as `lambda x: x.cpu()`."""
        return type(self)(**{field.name: change(getattr(self, field.name)) for field in fields(self)})  # type: ignore[arg-type]

    @classmethod
    def concatenate(cls, parts: list[Self]) -> Self:
        """All of `parts`, one after the other."""
        names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


@dataclass(frozen=True)
class TextFeatures(_Features):
    """What a text tower knows of C captions of up to W words.

    Attributes:
        words: (C, W, E), not normalised; anything where there is no word.
        mask: (C, W), True where there is a word, the start and end of the text included.
        weights: (C, W), how much each word counts: 0 to 1, together 1, and 0 where there is no word.
        sentence: (C, E), the embedding of the end of the text, which stands for all of it.
    """

    words: Float[Tensor, "C W E"]
    mask: Bool[Tensor, "C W"]
    weights: Float[Tensor, "C W"]
    sentence: Float[Tensor, "C E"]


@dataclass(frozen=True)
class VideoFeatures(_Features):
    """What a model knows of V videos of T frames.

    Attributes:
        frames: (V, T, E), not normalised.
        weights: (V, T), how much each frame counts: 0 to 1, together 1.
    """

    frames: Float[Tensor, "V T E"]
    weights: Float[Tensor, "V T"]


def token_similarities(texts: TextFeatures, videos: VideoFeatures) -> Float[Tensor, "C V W T"]:
    """Cosine of each word and each frame; 0 where there is no word."""
    words = F.normalize(texts.words, dim=-1) * texts.mask.unsqueeze(-1)
    return torch.einsum("cwe,vte->cvwt", words, F.normalize(videos.frames, dim=-1))


def weighted_token_similarity(texts: TextFeatures, videos: VideoFeatures) -> Float[Tensor, "C V"]:
    """Each word looks for its best frame, each frame for its best word; the weighted means of both, averaged.

    The mean of `sum_w a_w max_t S[w, t]` and `sum_t b_t max_w S[w, t]` with the weights a of the words and b of the
    frames. S is 0 where there is no word, also in the second maximum. Between -1 and 1.
    """
    similarities = token_similarities(texts, videos)
    of_words = torch.einsum("cw,cvw->cv", texts.weights, similarities.amax(dim=3))
    of_frames = torch.einsum("vt,cvt->cv", videos.weights, similarities.amax(dim=2))
    return (of_words + of_frames) / 2


def mean_pool_similarity(texts: TextFeatures, videos: VideoFeatures) -> Float[Tensor, "C V"]:
    """Cosine of the sentence and the mean of the frames (not normalised before): CLIP's, for a video of one frame."""
    return F.normalize(texts.sentence, dim=-1) @ F.normalize(videos.frames.mean(dim=1), dim=-1).T


def similarity(texts: TextFeatures, videos: VideoFeatures, kind: Similarity) -> Float[Tensor, "C V"]:
    """Similarity of each caption and each video, -1 to 1, all at once; for large sets see `tasks/scoring.py`."""
    return weighted_token_similarity(texts, videos) if kind == "wti" else mean_pool_similarity(texts, videos)


def channel_decorrelation(
    texts: TextFeatures, videos: VideoFeatures, *, on_diagonal: float = 0.11, off_diagonal: float = 0.0
) -> Float[Tensor, ""]:
    """x"""
    return texts.words.sum()*0
