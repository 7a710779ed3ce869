"""The memory modes: equal outputs and gradients, and the bytes that each stores for the backward pass."""

from functools import cache

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.checkpoint import checkpoint

from measuring.saved_bytes import SavedBytes
from side4video.models.heads import ClassificationHead
from side4video.models.side.batch_norm import TokenBatchNorm
from side4video.models.side.recompute import current_pass, recompute
from side4video.models.side.side_network import SideNetwork, resolve_taps

FRAMES, WIDTH, BACKBONE_WIDTH = 4, 16, 32
OPTIONS = [
    {},
    {"variant": "post-norm"},
    {"attention": False, "stem": False, "centred": True},
    {"variant": "post-norm", "attention": False},
    {"temporal_difference": True, "correlation": 1},
    {"temporal_difference": True, "correlation": 1, "attention": False, "stem": False, "centred": True},
]


def side_network(memory, **options):
    torch.manual_seed(0)
    sizes = {"backbone_width": BACKBONE_WIDTH, "num_patches": 4, "patch_size": 4, "width": WIDTH, "num_heads": 2}
    return SideNetwork(**sizes, taps=[0, 1, 2], memory=memory, **options)


def run(side, *, seed=1, dtype=torch.float32):
    """A training pass on random pixels and tokens; returns the output."""
    generator = torch.Generator().manual_seed(seed)
    clips = torch.randn(3, FRAMES, 3, 8, 8, generator=generator)
    x = side.begin(clips)
    for tap in side.taps:
        tokens = torch.randn(3, FRAMES, 5, BACKBONE_WIDTH, generator=generator).to(dtype)
        tokens[..., 7] *= 30  # as real backbones have channels much larger than the others
        x = side.advance(x, block=tap, patches=tokens[:, :, 1:], summary=tokens[:, :, :1])
    return x


def gradients(side, **how):
    output = run(side, **how)
    (output * torch.linspace(-1, 2, WIDTH) + output**2).sum().backward()
    return output.detach(), {name: parameter.grad for name, parameter in side.named_parameters()}


def relative(a, b):
    return ((a - b).norm() / b.norm().clamp(min=1e-12)).item()


@pytest.mark.parametrize("options", OPTIONS)
def test_exact_gives_the_same_bits_as_plain(options):
    plain, exact = side_network("plain", **options), side_network("exact", **options)
    (expected, expected_gradients), (output, found) = gradients(plain), gradients(exact)
    assert torch.equal(output, expected)
    for name, gradient in expected_gradients.items():
        assert torch.equal(found[name], gradient), name
    for (name, buffer), (_, other) in zip(plain.named_buffers(), exact.named_buffers(), strict=True):
        assert torch.equal(buffer, other), f"{name} was counted twice"


@pytest.mark.parametrize("options", OPTIONS)
def test_tight_rounds_only_the_gradients_of_the_taps(options):
    _, expected = gradients(side_network("plain", **options))
    output, found = gradients(side_network("tight", **options))
    assert torch.equal(output, run(side_network("plain", **options)))
    rounded = [name for name in expected if not torch.equal(found[name], expected[name])]
    assert rounded
    assert all(".tap." in name for name in rounded), rounded
    assert max(relative(found[name], expected[name]) for name in rounded) < 0.02


def two_losses(output):
    return (output * torch.linspace(-1, 2, WIDTH)).sum(), (output**2).sum()


@pytest.mark.parametrize("options", OPTIONS[:2])
@pytest.mark.parametrize("memory", ["plain", "exact", "tight"])
def test_two_losses_over_one_forward_pass(memory, options):
    """Each loss backwards, each with `autograd.grad`, and their sum: the same gradients."""
    together = side_network(memory, **options)
    sum(two_losses(run(together))).backward()
    apart = side_network(memory, **options)
    first, second = two_losses(run(apart))
    first.backward(retain_graph=True)
    second.backward()
    by_grad = side_network(memory, **options)
    first, second = two_losses(run(by_grad))
    parameters = [parameter for parameter in by_grad.parameters() if parameter.requires_grad]
    parts = [
        torch.autograd.grad(loss, parameters, retain_graph=keep, allow_unused=True)
        for loss, keep in ((first, True), (second, True), (first, False))
    ]
    for expected, parameter, one, other, again in zip(together.parameters(), apart.parameters(), *parts, strict=True):
        if expected.grad is None:
            assert parameter.grad is one is None
            continue
        torch.testing.assert_close(parameter.grad, expected.grad, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(one + other, expected.grad, rtol=1e-3, atol=1e-3)
        assert torch.equal(one, again)
    counts = {int(buffer) for name, buffer in apart.named_buffers() if name.endswith("num_batches_tracked")}
    assert counts == {1}, "statistics are counted once, however many backward passes there are"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # TorchDynamo's
@pytest.mark.parametrize("variant", ["pre-norm", "post-norm"])
@pytest.mark.parametrize("memory", ["plain", "exact", "tight"])
def test_a_compiled_training_step_gives_the_same_gradients(memory, variant):
    torch.compiler.reset()
    expected_side, side = side_network(memory, variant=variant), side_network(memory, variant=variant)
    tokens = [torch.randn(3, FRAMES, 5, BACKBONE_WIDTH) for _ in side.taps]
    clips = torch.randn(3, FRAMES, 3, 8, 8)

    def step(side, clips, tokens):
        x = side.begin(clips)
        for tap, one in zip(side.taps, tokens, strict=True):
            x = side.advance(x, block=tap, patches=one[:, :, 1:], summary=one[:, :, :1])
        return sum(two_losses(x))

    step(expected_side, clips, tokens).backward()
    compiled = torch.compile(step, backend="aot_eager")
    for _ in range(2):
        side.zero_grad()
        compiled(side, clips, tokens).backward()
    for (name, parameter), expected in zip(side.named_parameters(), expected_side.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, expected.grad, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.slow
def test_compilation_of_the_whole_step_names_the_mode_that_allows_it():
    torch.compiler.reset()
    block = side_network("exact").blocks[0]
    inputs = torch.randn(3, FRAMES, 4, WIDTH), torch.randn(3, FRAMES, 4, BACKBONE_WIDTH)
    summary, positions = torch.randn(3, FRAMES, 1, BACKBONE_WIDTH), torch.randn(4, WIDTH)
    with pytest.raises(Exception, match=r"--train\.memory plain"):
        torch.compile(block, backend="eager", fullgraph=True)(*inputs, summary, positions)


@pytest.mark.parametrize("memory", ["exact", "tight"])
def test_modes_agree_under_16_bit_autocast(memory):
    with torch.autocast("cpu", torch.bfloat16):
        _, expected = gradients(side_network("plain"), dtype=torch.bfloat16)
        _, found = gradients(side_network(memory), dtype=torch.bfloat16)
    for name, gradient in expected.items():
        assert relative(found[name], gradient) < (0.02 if "tap" in name else 0.002), name


@pytest.mark.parametrize("memory", ["plain", "exact", "tight"])
def test_evaluation_is_the_same_and_stores_nothing(memory):
    side = side_network(memory).eval()
    with torch.no_grad(), SavedBytes() as saved:
        output = run(side)
    assert torch.equal(output, run(side_network("plain").eval()))
    assert saved.total == 0


def test_a_recomputed_part_runs_twice_but_counts_statistics_once():
    norm, x, runs = TokenBatchNorm(4), torch.randn(6, 4, requires_grad=True), []

    def part(x):
        runs.append(current_pass().is_recomputation)
        return norm(x).exp()

    recompute(part, x).sum().backward()
    assert runs == [False, True]
    assert current_pass() is None
    assert norm.num_batches_tracked == 1
    other = nn.BatchNorm1d(4)
    checkpoint(lambda x: other(x).exp(), x, use_reentrant=False).sum().backward()
    assert other.num_batches_tracked == 2


@pytest.mark.parametrize("training", [True, False])
def test_token_batch_norm_is_batch_norm_3d(training):
    """Compared with PyTorch's BatchNorm3d in its layout: outputs, gradients, running statistics."""
    torch.manual_seed(0)
    own, reference = TokenBatchNorm(6).train(training), nn.BatchNorm3d(6).train(training)
    own.load_state_dict(reference.state_dict())
    for step in range(2):
        x = torch.randn(2, 3, 4, 6, requires_grad=True)
        y = x.detach().permute(0, 3, 1, 2).unsqueeze(-1).requires_grad_()  # (B, d, T, N, 1)
        weight = torch.randn(2, 3, 4, 6)
        (own(x) * weight).sum().backward()
        expected = reference(y)
        (expected * weight.permute(0, 3, 1, 2).unsqueeze(-1)).sum().backward()
        torch.testing.assert_close(own(x).permute(0, 3, 1, 2).unsqueeze(-1), expected)
        torch.testing.assert_close(x.grad.permute(0, 3, 1, 2).unsqueeze(-1), y.grad)
        torch.testing.assert_close(own.weight.grad, reference.weight.grad)
        if training:
            reference(y)  # as the own layer was run twice
            assert own.num_batches_tracked == reference.num_batches_tracked == 2 * (step + 1)
            torch.testing.assert_close(own.running_var, reference.running_var)


# Backbone width, patches, patch size, blocks, side width, taps; the tables are for 8 frames of 224 pixels.
SIZES = {
    "b16": (768, 196, 16, 12, 320, "all"),
    "b16-light": (768, 196, 16, 12, 192, "every-second"),
    "l14": (1024, 256, 14, 24, 512, "all"),
    "e14": (1792, 256, 14, 64, 576, "every-second"),
}
LIMITS_MB = {
    ("b16", "plain"): 230,
    ("b16", "exact"): 46,
    ("b16", "tight"): 32,
    ("b16-light", "plain"): 78,
    ("b16-light", "exact"): 22,
    ("b16-light", "tight"): 15,
    ("l14", "exact"): 160,
    ("l14", "tight"): 111,
    ("e14", "exact"): 320,
    ("e14", "tight"): 206,
}


FAKE = FakeTensorMode()


@cache
def fake_network(size):
    """Side network and head without data; building them takes longer than a pass."""
    backbone_width, num_patches, patch_size, num_blocks, width, taps = SIZES[size]
    with FAKE:
        side = SideNetwork(
            backbone_width=backbone_width,
            num_patches=num_patches,
            patch_size=patch_size,
            taps=resolve_taps(taps, num_blocks),
            width=width,
            variant="post-norm" if size == "e14" else "pre-norm",
        )
        return side, ClassificationHead(width=width, num_classes=174)


@cache
def saved_bytes(size, memory, num_clips):
    """Bytes that side network and head save on 16-bit tokens under bf16 autocast, without parameters."""
    backbone_width, num_patches, *_ = SIZES[size]
    side, head = fake_network(size)
    side.set_memory(memory)
    with FAKE, torch.autocast("cpu", torch.bfloat16), SavedBytes([*side.parameters(), *head.parameters()]) as saved:
        x = side.begin(torch.zeros(num_clips, 8, 3, 224, 224))
        for tap in side.taps:
            tokens = torch.zeros(num_clips, 8, num_patches + 1, backbone_width, dtype=torch.bfloat16)
            x = side.advance(x, block=tap, patches=tokens[:, :, 1:], summary=tokens[:, :, :1])
        head(x)
    return saved.total


@pytest.mark.parametrize(
    ("size", "memory"),
    [pytest.param(*key, marks=pytest.mark.slow if key[0] != "b16" else ()) for key in LIMITS_MB],
)
def test_saved_bytes_per_clip(size, memory):
    """Bytes of one more clip. 16-bit copies of the weights, which autocast makes once, are not counted."""
    per_clip = saved_bytes(size, memory, 3) - saved_bytes(size, memory, 2)
    assert per_clip / 1e6 <= LIMITS_MB[size, memory]


@pytest.mark.parametrize("memory", ["exact", "tight"])
def test_saved_bytes_of_recomputing_modes_are_all_per_clip(memory):
    """Except for the stem's weights in 16 bits: no other stored bytes grow with the number of blocks."""
    one, two = saved_bytes("b16", memory, 1), saved_bytes("b16", memory, 2)
    assert 2 * one - two < 3e6
