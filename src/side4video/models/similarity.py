"""Features of captions and videos, and the paper's two similarities between them."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal, Self

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

Similarity = Literal["wti", "mean-pool"]
"""`wti`: weighted token-wise interaction (arXiv 2203.07111, section 3); `mean-pool`: one vector each."""


class _Features:
    """Tensors whose first axis is the caption or the video."""

    def __len__(self) -> int:
        return len(next(iter(self.tensors().values())))

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """A copy with `change`, such as `Tensor.cpu`, applied to each tensor."""
        return type(self)(**{name: change(tensor) for name, tensor in self.tensors().items()})

    @classmethod
    def concatenate(cls, parts: list[Self]) -> Self:
        """Concatenate `parts` along the first axis."""
        names = [field.name for field in fields(cls)]  # type: ignore[arg-type]
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


@dataclass(frozen=True)
class TextFeatures(_Features):
    """Text features of C captions of up to W words.

    Attributes:
        words: (C, W, E), word embeddings, not normalised; arbitrary values in the padding.
        mask: (C, W), True for words, including the start and end of the text.
        weights: (C, W), weight of each word: 0 to 1, sum 1 per caption, 0 in the padding.
        sentence: (C, E), the embedding of the end token, which represents the whole text.

    >>> mask, weights = torch.ones(1, 4, dtype=torch.bool), torch.full((1, 4), 0.25)
    >>> one = TextFeatures(torch.zeros(1, 4, 8), mask, weights, sentence=torch.zeros(1, 8))
    >>> len(TextFeatures.concatenate([one, one]))
    2
    """

    words: Float[Tensor, "C W E"]
    mask: Bool[Tensor, "C W"]
    weights: Float[Tensor, "C W"]
    sentence: Float[Tensor, "C E"]


@dataclass(frozen=True)
class VideoFeatures(_Features):
    """Video features of V videos of T frames.

    Attributes:
        frames: (V, T, E), frame embeddings, not normalised.
        weights: (V, T), weight of each frame: 0 to 1, sum 1 per video.

    >>> videos = VideoFeatures(frames=torch.zeros(3, 8, 512), weights=torch.full((3, 8), 1 / 8))
    >>> len(videos), videos.map(torch.Tensor.half).frames.dtype
    (3, torch.float16)
    """

    frames: Float[Tensor, "V T E"]
    weights: Float[Tensor, "V T"]


def token_similarities(texts: TextFeatures, videos: VideoFeatures) -> Float[Tensor, "C V W T"]:
    """Cosine similarity of each word and each frame; 0 in the padding."""
    words = F.normalize(texts.words, dim=-1) * texts.mask.unsqueeze(-1)
    return torch.einsum("cwe,vte->cvwt", words, F.normalize(videos.frames, dim=-1))


def weighted_token_similarity(texts: TextFeatures, videos: VideoFeatures) -> Float[Tensor, "C V"]:
    """Weighted token-wise interaction: each word's best frame and each frame's best word, averaged. -1 to 1.

    It is the mean of `sum_w a_w max_t S[w, t]` and `sum_t b_t max_w S[w, t]`, with weights a of the words and b of the
    frames. S is 0 in the padding, also in the second maximum.
    """
    similarities = token_similarities(texts, videos)
    of_words = torch.einsum("cw,cvw->cv", texts.weights, similarities.amax(dim=3))
    of_frames = torch.einsum("vt,cvt->cv", videos.weights, similarities.amax(dim=2))
    return (of_words + of_frames) / 2


def mean_pool_similarity(texts: TextFeatures, videos: VideoFeatures) -> Float[Tensor, "C V"]:
    """Cosine similarity of the sentence and the mean of the unnormalised frames; for one frame, CLIP's similarity."""
    return F.normalize(texts.sentence, dim=-1) @ F.normalize(videos.frames.mean(dim=1), dim=-1).T


def similarity(texts: TextFeatures, videos: VideoFeatures, kind: Similarity) -> Float[Tensor, "C V"]:
    """Similarity of each caption and each video, -1 to 1, in one step; for large sets use `score_matrix`.

    Args:
        texts, videos: features of C captions and V videos.
        kind: "wti" or "mean-pool", see `Similarity`.
    """
    return weighted_token_similarity(texts, videos) if kind == "wti" else mean_pool_similarity(texts, videos)


def channel_decorrelation(
    texts: TextFeatures, videos: VideoFeatures, *, on_diagonal: float = 0.11, off_diagonal: float = 0.0
) -> Float[Tensor, ""]:
    """Pull the correlation of each channel of matching words and frames to 1 (arXiv 2203.07111, section 3.4).

    Caption i belongs to video i. Each word is paired with its best frame, and each frame with its best word. Channels
    are standardised over all pairs; a pair has the weight of its word or frame. As in the paper's code, the best word
    may be padding if all words are dissimilar to the frame, so texts must have embeddings in the padding too.

    Args:
        texts, videos: features of B captions and B videos.
        on_diagonal: weight of the squared distance of each channel's correlation from 1.
        off_diagonal: weight of the squared correlations of different channels.
    """
    B, own = len(texts), torch.arange(len(texts), device=texts.words.device)  # noqa: N806
    words, frames = F.normalize(texts.words, dim=-1), F.normalize(videos.frames, dim=-1)
    similarities = torch.einsum("bwe,bte->bwt", words * texts.mask.unsqueeze(-1), frames)
    best_frames = frames[own.unsqueeze(1), similarities.argmax(dim=2)]  # (B, W, E)
    best_words = words[own.unsqueeze(1), similarities.argmax(dim=1)]  # (B, T, E)
    of_words = _correlation(words[texts.mask], best_frames[texts.mask], texts.weights[texts.mask] / B)
    of_frames = _correlation(frames.flatten(0, 1), best_words.flatten(0, 1), videos.weights.flatten() / B)
    correlation = (of_words + of_frames) / 2
    diagonal = correlation.diagonal()
    others = correlation - diagonal.diag()
    return on_diagonal * (diagonal - 1).pow(2).sum() + off_diagonal * others.pow(2).sum()


def _correlation(
    x: Float[Tensor, "M E"], y: Float[Tensor, "M E"], weights: Float[Tensor, " M"]
) -> Float[Tensor, "E E"]:
    """Weighted correlation of each channel of x with each channel of y over M pairs."""
    x, y = ((z - z.mean(dim=0)) / z.std(dim=0) for z in (x, y))
    return torch.einsum("mc,md,m->cd", x, y, weights)
