"""The contrastive losses of text-video retrieval, over the batch of all processes, whole or in micro-batches."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from side4video.models.side.batch_norm import keep_running_statistics
from side4video.models.similarity import TextFeatures, VideoFeatures

MAX_LOGIT_SCALE = math.log(100)
"""CLIP's bound on the natural logarithm of the factor on similarities (arXiv 2103.00020, section 2.5)."""

Features = TypeVar("Features", TextFeatures, VideoFeatures)
Loss = Callable[[TextFeatures, VideoFeatures], Tensor]
Embed = Callable[[], tuple[TextFeatures, VideoFeatures]]


def contrastive_loss(similarity: Float[Tensor, "B B"], logit_scale: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Mean of the text-to-video and video-to-text cross-entropy; caption i belongs to video i and to no other."""
    logits = logit_scale.exp() * similarity
    own = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def sigmoid_loss(
    similarity: Float[Tensor, "B B"], logit_scale: Float[Tensor, ""], logit_bias: Float[Tensor, ""]
) -> Float[Tensor, ""]:
    """SigLIP's loss: each pair of a caption and a video is right or wrong, whatever the others are.

    The sum of -log sigmoid(z (t s + b)) over all pairs, divided by B, with the similarity s of the pair, t the exponent
    of `logit_scale`, b = `logit_bias`, and z = 1 if they belong together, otherwise -1 (arXiv 2303.15343, section 3.2).
    """
    logits = logit_scale.exp() * similarity + logit_bias
    signs = 2 * torch.eye(len(logits), device=logits.device, dtype=logits.dtype) - 1
    return -F.logsigmoid(signs * logits).sum() / len(logits)


def gather(features: Features) -> Features:
    """Gather the features of all processes in the order of their ranks; the numbers of rows may differ.

    Every process then computes the same loss on all features. Its gradient reaches only the rows of this process, times
    the number of processes. Averaged over processes, as DistributedDataParallel does, the gradients equal those of one
    process with the joint batch.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return features
    sizes: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(sizes, len(features))
    return features.map(lambda tensor: _Gather.apply(tensor, sizes))


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, sizes: list[int]) -> Tensor:
        ctx.sizes = sizes
        padded = x.new_zeros(max(sizes), *x.shape[1:])
        padded[: len(x)] = x
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        rank = dist.get_rank()
        start = sum(ctx.sizes[:rank])
        return grad[start : start + ctx.sizes[rank]] * len(ctx.sizes), None


def backward_with_gradient_cache(
    model: nn.Module, parts: Sequence[Embed], loss_of: Loss, backward: Callable[[Tensor], None]
) -> tuple[TextFeatures, VideoFeatures, Tensor]:
    """Back-propagate the loss of a whole batch with the autograd memory of one part of it (arXiv 2101.06983).

    First, all parts are embedded without gradient, and the loss of all features gives the gradient of each feature.
    Then each part is embedded again, and the gradients of its features are back-propagated into the model. So every
    caption is compared with every video, for any size of the parts. BatchNorm uses the statistics of each part and
    updates its running statistics once per part.

    Args:
        model: in training mode, without dropout.
        parts: functions that embed some captions and their videos; called once, or twice if there are several.
        loss_of: the loss of all features.
        backward: back-propagates a loss.

    Returns:
        The features of the batch, detached, and its loss.
    """
    if len(parts) == 1:
        texts, videos = parts[0]()
        loss = loss_of(texts, videos)
        backward(loss)
        return texts.map(Tensor.detach), videos.map(Tensor.detach), loss.detach()
    with torch.no_grad(), keep_running_statistics(model):
        embedded = [part() for part in parts]
    texts = TextFeatures.concatenate([text for text, _ in embedded]).map(_leaf)
    videos = VideoFeatures.concatenate([video for _, video in embedded]).map(_leaf)
    loss = loss_of(texts, videos)
    backward(loss)
    start = 0
    for part in parts:
        own_texts, own_videos = part()
        rows = slice(start, start + len(own_texts))
        start = rows.stop
        pairs = [*_with_gradients(own_texts, texts, rows), *_with_gradients(own_videos, videos, rows)]
        torch.autograd.backward([tensor for tensor, _ in pairs], [gradient for _, gradient in pairs])
    return texts.map(Tensor.detach), videos.map(Tensor.detach), loss.detach()


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_(tensor.is_floating_point())


def _with_gradients(own: Features, whole: Features, rows: slice) -> list[tuple[Tensor, Tensor]]:
    """Pairs of a part's tensors and their gradients, without tensors that the similarity does not use."""
    return [
        (tensor, gradient[rows])
        for tensor, gradient in zip(own.tensors().values(), (x.grad for x in whole.tensors().values()), strict=True)
        if gradient is not None and tensor.requires_grad
    ]
