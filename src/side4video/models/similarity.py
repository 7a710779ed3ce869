"""How alike a caption and a video are: what is known of each, and the two similarities of the paper."""

from collections.abc import Callable
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
        return len(next(iter(self.tensors().values())))

    def tensors(self) -> dict[str, Tensor]:
        """All of them by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same with `change` applied to each tensor, such as `Tensor.cpu`."""
        return type(self)(**{name: change(tensor) for name, tensor in self.tensors().items()})

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
    """Pulls the correlation of each channel of matching words and frames to 1 (arXiv 2203.07111, section 3.4).

    Caption i belongs to video i. Each word is paired with its best frame, each frame with its best word; channels are
    standardised over all pairs, and pairs count as much as their word or frame does. As in the paper's code the best
    word may be one that is not there, where all others are unlike the frame: texts must hold embeddings for these too.

    Args:
        texts, videos: B of each.
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
    """Weighted correlation of each channel of x with each of y over M pairs."""
    x, y = ((z - z.mean(dim=0)) / z.std(dim=0) for z in (x, y))
    return torch.einsum("mc,md,m->cd", x, y, weights)
