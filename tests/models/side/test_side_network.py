"""Side network: sizes, wiring and refusals. test_golden_recognition.py checks its numbers."""

import pytest
import torch
from torch import nn

from side4video.config import MODEL_PRESETS
from side4video.models.heads import ClassificationHead
from side4video.models.side.side_block import (
    FrameAttention,
    TemporalConvolution,
    TokenBatchNorm,
    shift_summary,
)
from side4video.models.side.side_network import SideNetwork, resolve_num_heads, resolve_taps

# width, patches, patch side, blocks of the backbones
B32, B16, L14, E14 = (768, 49, 32, 12), (768, 196, 16, 12), (1024, 256, 14, 24), (1792, 256, 14, 64)


def side_and_head(backbone, *, taps, width, num_classes=None, variant="pre-norm"):
    backbone_width, num_patches, patch_size, num_blocks = backbone
    with torch.device("meta"):
        side = SideNetwork(
            backbone_width=backbone_width,
            num_patches=num_patches,
            patch_size=patch_size,
            taps=resolve_taps(taps, num_blocks),
            width=width,
            variant=variant,
        )
        head = ClassificationHead(width=width, num_classes=num_classes or 1, variant=variant)
    if num_classes is None:
        head.linear = nn.Identity()
    return side, head


def count(*modules):
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


@pytest.mark.parametrize(
    ("preset", "backbone", "num_classes", "expected"),
    [
        ("b16", B16, None, 21_056_832),
        ("b16", B16, 400, 21_185_232),
        ("b16", B16, 174, 21_112_686),
        ("b16-light", B16, None, 4_496_832),
        ("b32", B32, None, 23_221_632),
        ("l14", L14, None, 102_019_584),
        ("l14", L14, 400, 102_224_784),
        ("l14", L14, 174, 102_108_846),
        ("l14-light", L14, None, 21_892_416),
    ],
)
def test_presets_have_the_papers_parameter_counts(preset, backbone, num_classes, expected):
    _, side = MODEL_PRESETS[preset]
    modules = side_and_head(backbone, taps=side.taps, width=side.width, num_classes=num_classes, variant=side.variant)
    assert count(*modules) == expected


@pytest.mark.parametrize(
    ("backbone", "width", "every_block", "every_second"),
    [
        (B16, 128, 4_305_024, 2_312_832),
        (B16, 192, 8_512_704, 4_496_832),
        (B16, 256, 14_096_640, 7_368_960),
        (B16, 320, 21_056_832, 10_929_216),
        (L14, 128, 9_026_688, 4_642_944),
        (L14, 192, 17_644_224, 9_016_512),
        (L14, 256, 29_014_272, 14_766_336),
        (L14, 320, 43_136_832, 21_892_416),
    ],
)
def test_other_widths_have_the_official_counts(backbone, width, every_block, every_second):
    assert count(*side_and_head(backbone, taps="all", width=width)) == every_block
    assert count(*side_and_head(backbone, taps="every-second", width=width)) == every_second


def test_vit_e_preset_has_32_blocks_of_width_576():
    _, settings = MODEL_PRESETS["e14"]
    side, _ = side_and_head(E14, taps=settings.taps, width=settings.width, variant=settings.variant)
    assert (len(side.blocks), side.width, settings.variant) == (32, 576, "post-norm")


def test_taps():
    assert resolve_taps("all", 3) == (0, 1, 2)
    assert resolve_taps("every-second", 5) == (1, 3)
    assert resolve_taps([3, 7, -1], 12) == (3, 7, 11)


@pytest.mark.parametrize("taps", ["every-third", [], [0, 12], [3, 1], [1, 1], [11, -1], [-13]])
def test_bad_taps_are_refused(taps):
    with pytest.raises(ValueError, match="taps"):
        resolve_taps(taps, 12)


def test_heads():
    assert resolve_num_heads(320, None) == 5
    assert resolve_num_heads(32, None) == 1
    assert resolve_num_heads(96, 3) == 3


@pytest.mark.parametrize(("width", "num_heads"), [(200, None), (64, 3), (63, 1), (0, None)])
def test_width_that_does_not_suit_the_heads_is_refused_with_the_remedy(width, num_heads):
    with pytest.raises(ValueError, match=r"divisible by its \d+ attention heads\. Use a multiple of"):
        resolve_num_heads(width, num_heads)


def test_token_batch_norm_is_batch_norm_3d():
    torch.manual_seed(0)
    ours, theirs = TokenBatchNorm(6), nn.BatchNorm3d(6)
    x = torch.randn(2, 3, 4, 6)  # (B, T, N, d)
    expected = theirs(x.permute(0, 3, 1, 2).unsqueeze(-1)).squeeze(-1).permute(0, 2, 3, 1)
    torch.testing.assert_close(ours(x), expected)
    torch.testing.assert_close(ours.running_var, theirs.running_var)


def test_a_single_row_is_normalised_with_the_running_statistics_and_does_not_change_them():
    norm, row = TokenBatchNorm(3), torch.tensor([[5.0, 1.0, -3.0]], requires_grad=True)
    norm.running_mean.fill_(1.0)
    norm.running_var.fill_(4.0)
    before = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    out = norm(row)
    torch.testing.assert_close(out, torch.tensor([[2.0, 0.0, -2.0]]))
    out.sum().backward()
    torch.testing.assert_close(row.grad, torch.full((1, 3), 0.5))
    assert all(torch.equal(buffer, before[name]) for name, buffer in norm.named_buffers())


@pytest.mark.parametrize("num_frames", [1, 2, 5])
def test_temporal_convolution_is_the_three_conv3d_layers(num_frames):
    torch.manual_seed(0)
    ours = TemporalConvolution(6)
    layers = nn.Sequential(
        nn.Conv3d(6, 6, 1), nn.Conv3d(6, 6, (3, 1, 1), padding=(1, 0, 0), groups=6), nn.Conv3d(6, 6, 1)
    )
    for layer, own in zip(layers, (ours.expand, ours.depthwise, ours.project), strict=True):
        layer.weight.data = own.weight.data.reshape(layer.weight.shape)
        layer.bias.data = own.bias.data
    x = torch.randn(2, num_frames, 4, 6)
    expected = layers(x.permute(0, 3, 1, 2).unsqueeze(-1)).squeeze(-1).permute(0, 2, 3, 1)
    torch.testing.assert_close(ours(x), expected)


def test_frame_attention_is_multi_head_attention_with_patches_as_queries():
    torch.manual_seed(0)
    ours, theirs = FrameAttention(8, 2), nn.MultiheadAttention(8, 2, batch_first=True)
    theirs.in_proj_weight.data = torch.cat([ours.query.weight.data, ours.key_value.weight.data])
    theirs.in_proj_bias.data = torch.cat([ours.query.bias.data, ours.key_value.bias.data])
    theirs.out_proj.load_state_dict(ours.project.state_dict())
    y = torch.randn(3, 2, 5, 8)
    frames = y.flatten(0, 1)
    expected = theirs(frames[:, 1:], frames, frames, need_weights=False)[0].unflatten(0, (3, 2))
    torch.testing.assert_close(ours(y), expected)


def test_shift_summary_moves_half_from_the_next_and_half_from_the_last_frame():
    c = torch.randn(2, 4, 1, 6)
    shifted = shift_summary(c)
    for t in range(4):
        from_next = c[:, t + 1, :, :3] if t < 3 else torch.zeros(2, 1, 3)
        from_last = c[:, t - 1, :, 3:] if t > 0 else torch.zeros(2, 1, 3)
        torch.testing.assert_close(shifted[:, t], torch.cat([from_next, from_last], dim=-1))


def test_a_frame_is_seen_by_its_neighbours_only():
    """One block reaches one frame to either side; the stem one more."""
    torch.manual_seed(0)
    side = SideNetwork(backbone_width=8, num_patches=4, patch_size=4, taps=[0], width=8, num_heads=1).eval()
    clips = torch.randn(1, 7, 3, 8, 8)
    changed = clips.clone()
    changed[:, 3] += 1
    tokens = {"block": 0, "patches": torch.randn(1, 7, 4, 8), "summary": torch.randn(1, 7, 1, 8)}
    before, after = (side.advance(side.begin(x), **tokens) for x in (clips, changed))
    moved = (before - after).abs().amax(dim=(0, 2, 3)) > 1e-6
    assert moved.tolist() == [False, True, True, True, True, True, False]
    assert side.advance(before, block=1, patches=tokens["patches"], summary=tokens["summary"]) is before
