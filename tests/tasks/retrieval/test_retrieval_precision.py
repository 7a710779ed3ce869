"""Similarity, logits and loss of retrieval are computed in 32 bits, even inside autocast."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from side4video.models.retrieval_model import TokenWeights
from side4video.models.similarity import TextFeatures, VideoFeatures, similarity
from side4video.tasks.clips import autocast
from side4video.tasks.retrieval.task import RetrievalTask

CPU = torch.device("cpu")
B, W, T, E = 6, 5, 4, 16


@pytest.fixture(scope="module")
def task(small_retrieval_run):
    task = RetrievalTask(small_retrieval_run(train={"precision": "bf16"}), CPU)
    with torch.no_grad():
        task.model.logit_scale.fill_(math.log(100))
    return task


def features():
    generator = torch.Generator().manual_seed(0)
    words, frames = torch.randn(B, W, E, generator=generator), torch.randn(B, T, E, generator=generator)
    mask = torch.arange(W).expand(B, W) < torch.randint(2, W + 1, (B, 1), generator=generator)
    weights = torch.rand(B, W, generator=generator) * mask
    texts = TextFeatures(
        words=words.requires_grad_(),
        mask=mask,
        weights=weights / weights.sum(dim=1, keepdim=True),
        sentence=torch.randn(B, E, generator=generator),
    )
    return texts, VideoFeatures(frames=frames, weights=torch.full((B, T), 1 / T))


def expected_loss(texts, videos):
    """Brute force in 64 bits: weighted token-wise interaction, then both cross-entropies."""
    words, frames = texts.words.detach().double().numpy(), videos.frames.double().numpy()
    logits = np.zeros((B, B))
    for caption in range(B):
        for video in range(B):
            cosines = np.zeros((W, T))
            for word in range(W):
                for frame in range(T):
                    a, b = words[caption, word], frames[video, frame]
                    cosines[word, frame] = texts.mask[caption, word] * (a @ b) / np.linalg.norm(a) / np.linalg.norm(b)
            of_words = texts.weights[caption].double().numpy() @ cosines.max(axis=1)
            of_frames = videos.weights[video].double().numpy() @ cosines.max(axis=0)
            logits[caption, video] = 100 * (of_words + of_frames) / 2
    shares = [np.exp(logits) / np.exp(logits).sum(axis=axis, keepdims=True) for axis in (0, 1)]
    return -sum(np.log(share.diagonal()).mean() for share in shares) / 2


def test_the_loss_inside_autocast_has_32_bits(task):
    texts, videos = features()
    with autocast(CPU, "bf16"):
        loss = task._loss(texts, videos)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected_loss(texts, videos), rel=1e-5)
    loss.backward()
    assert torch.isfinite(texts.words.grad).all()


def test_autocast_itself_would_change_the_loss():
    """The test above can fail."""
    texts, videos = features()
    with autocast(CPU, "bf16"):
        logits = 100 * similarity(texts, videos, "wti")
        loss = (
            functional.cross_entropy(logits, torch.arange(B)) + functional.cross_entropy(logits.T, torch.arange(B))
        ) / 2
    assert abs(loss.item() - expected_loss(texts, videos)) > 1e-3


def test_decorrelation_inside_autocast_has_32_bits(small_retrieval_run):
    task = RetrievalTask(small_retrieval_run(text={"decorrelation": 1.0}), CPU)
    texts, videos = features()
    with autocast(CPU, "bf16"):
        loss = task._loss(texts, videos)
    assert loss.item() == task._loss(texts, videos).item()


def test_weights_of_words_and_frames_are_computed_in_32_bits():
    torch.manual_seed(0)
    layers, tokens = TokenWeights(E), 10 * torch.randn(B, W, E)
    with autocast(CPU, "bf16"):
        weights = layers(tokens)
        rounded = layers.layers(tokens).squeeze(-1).float().softmax(dim=-1)
    assert torch.equal(weights, layers(tokens))
    assert (weights - rounded).abs().max() > 1e-4
