"""The contrastive losses: their formulas, open_clip; parts and processes compared with the whole batch."""

import math

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from open_clip.loss import SigLipLoss
from torch import nn

from separate_processes import free_port
from side4video.models.side.batch_norm import TokenBatchNorm
from side4video.models.similarity import TextFeatures, VideoFeatures, weighted_token_similarity
from side4video.tasks.retrieval.contrastive import backward_with_gradient_cache, contrastive_loss, gather, sigmoid_loss

W, T, E = 5, 3, 6


class TwoTowers(nn.Module):
    """A small stand-in for a retrieval model: trained parameters before, in and after the features."""

    def __init__(self, kind="softmax"):
        super().__init__()
        torch.manual_seed(0)
        self.kind = kind
        self.words, self.frames = nn.Linear(E, E), nn.Linear(E, E)
        self.weights = nn.Linear(E, 1)
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        if kind == "sigmoid":
            self.bias = nn.Parameter(torch.tensor(-3.0))

    def embed(self, words, mask, frames):
        words, frames = self.words(words), self.frames(frames)
        weights = self.weights(words).squeeze(-1).masked_fill(~mask, -torch.inf).softmax(dim=1)
        texts = TextFeatures(words=words, mask=mask, weights=weights, sentence=words[:, 0])
        return texts, VideoFeatures(frames=frames, weights=self.weights(frames).squeeze(-1).softmax(dim=1))

    def loss(self, texts, videos):
        texts, videos = gather(texts), gather(videos)
        similarity = weighted_token_similarity(texts, videos)
        if self.kind == "sigmoid":
            return sigmoid_loss(similarity, self.scale, self.bias)
        return contrastive_loss(similarity, self.scale)


def batch(size):
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(2, W + 1, (size, 1), generator=generator)
    return (
        torch.randn(size, W, E, generator=generator),
        torch.arange(W).expand(size, W) < lengths,
        torch.randn(size, T, E, generator=generator),
    )


def gradients(model):
    return {name: parameter.grad for name, parameter in model.named_parameters()}


def whole_batch(size, kind="softmax"):
    model = TwoTowers(kind)
    loss = model.loss(*model.embed(*batch(size)))
    loss.backward()
    return loss.item(), gradients(model)


def test_the_loss_is_the_mean_of_both_cross_entropies():
    similarity, scale = torch.randn(4, 4, dtype=torch.float64), torch.tensor(1.5, dtype=torch.float64)
    rows = [[math.exp(math.exp(1.5) * x) for x in row] for row in similarity.tolist()]
    columns = list(zip(*rows, strict=True))
    expected = -sum(math.log(rows[i][i] / sum(rows[i])) + math.log(columns[i][i] / sum(columns[i])) for i in range(4))
    assert contrastive_loss(similarity, scale).item() == pytest.approx(expected / 8)


def test_the_sigmoid_loss_is_that_of_open_clip():
    torch.manual_seed(2)
    texts, videos = (F.normalize(torch.randn(5, 8, dtype=torch.float64), dim=-1).requires_grad_() for _ in range(2))
    scale, bias = (torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (2.0, -10.0))
    inputs = (texts, videos, scale, bias)
    loss = sigmoid_loss(texts @ videos.T, scale, bias)
    expected = SigLipLoss()(videos, texts, scale.exp(), bias)
    torch.testing.assert_close(loss, expected)
    for one, other in zip(torch.autograd.grad(loss, inputs), torch.autograd.grad(expected, inputs), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("sizes", [[7], [4, 3], [1, 1, 5]])
def test_parts_give_the_gradient_of_the_whole_batch(sizes):
    expected_loss, expected = whole_batch(7)
    model = TwoTowers()
    parts = zip(*(tensor.split(sizes) for tensor in batch(7)), strict=True)
    embeds = [lambda part=part: model.embed(*part) for part in parts]
    texts, videos, loss = backward_with_gradient_cache(model, embeds, model.loss, torch.Tensor.backward)
    assert loss.item() == pytest.approx(expected_loss, rel=1e-6)
    assert (len(texts), len(videos)) == (7, 7)
    assert not texts.words.requires_grad
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, expected[name], msg=name)


def test_independent_parts_would_give_another_gradient():
    """The test above can fail: fewer negatives give another loss."""
    _, expected = whole_batch(7)
    model = TwoTowers()
    for part in zip(*(tensor.split([4, 3]) for tensor in batch(7)), strict=True):
        (model.loss(*model.embed(*part)) * len(part[0]) / 7).backward()
    assert (gradients(model)["words.weight"] - expected["words.weight"]).abs().max() > 1e-3


def test_batch_norm_counts_each_part_once():
    class Normed(TwoTowers):
        def __init__(self):
            super().__init__()
            self.norm = TokenBatchNorm(E)

        def embed(self, words, mask, frames):
            return super().embed(words, mask, self.norm(frames))

    def trained(steps):
        model = Normed().train()
        steps(model)
        return model.norm

    parts = list(zip(*(tensor.split([4, 3]) for tensor in batch(7)), strict=True))
    once = trained(lambda model: [model.embed(*part) for part in parts])
    embedding_twice = trained(
        lambda model: backward_with_gradient_cache(
            model, [lambda part=part: model.embed(*part) for part in parts], model.loss, torch.Tensor.backward
        )
    )
    assert embedding_twice.num_batches_tracked == once.num_batches_tracked == 2
    torch.testing.assert_close(embedding_twice.running_mean, once.running_mean)
    torch.testing.assert_close(embedding_twice.running_var, once.running_var)


SHARES = [
    ([4, 4], 1, "softmax"),
    ([4, 4], 2, "softmax"),
    ([5, 3], 1, "softmax"),
    ([5, 3], 2, "softmax"),
    ([4, 4], 1, "sigmoid"),
    ([5, 3], 2, "sigmoid"),
]
"""Clips of both processes, the parts in which each computes its own, and the loss."""


def share_of_a_process(rank, port, folder):
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    try:
        for case, (sizes, parts, kind) in enumerate(SHARES):
            model = TwoTowers(kind)
            own = [tensor.split(sizes)[rank] for tensor in batch(sum(sizes))]
            shares = list(zip(*(tensor.tensor_split(parts) for tensor in own), strict=True))
            embeds = [lambda share=share, model=model: model.embed(*share) for share in shares]
            _, _, loss = backward_with_gradient_cache(model, embeds, model.loss, torch.Tensor.backward)
            found = gradients(model)
            for gradient in found.values():  # what DistributedDataParallel does
                dist.all_reduce(gradient)
                gradient /= 2
            torch.save({"loss": loss, "gradients": found}, folder / f"{case}-{rank}.pt")
    finally:
        dist.destroy_process_group()


SCRIPT = """
import sys
from pathlib import Path
from tasks.retrieval.test_contrastive import share_of_a_process
share_of_a_process(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
"""


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory, warm):
    """The folder of their results."""
    folder, port = tmp_path_factory.mktemp("two"), free_port()
    (folder / "script.py").write_text(SCRIPT)
    runs = [warm.start(rank, port, folder, script=folder / "script.py") for rank in range(2)]
    for code, printed in [run.finish() for run in runs]:
        assert code == 0, printed
    return folder


@pytest.mark.parametrize("case", range(len(SHARES)), ids=lambda case: str(SHARES[case]))
def test_two_processes_equal_one_with_the_joint_batch(case, two_processes):
    expected_loss, expected = whole_batch(sum(SHARES[case][0]), SHARES[case][2])
    for rank in range(2):
        found = torch.load(two_processes / f"{case}-{rank}.pt", weights_only=True)
        assert found["loss"].item() == pytest.approx(expected_loss, rel=1e-6)
        for name, gradient in found["gradients"].items():
            torch.testing.assert_close(gradient, expected[name], msg=name)
