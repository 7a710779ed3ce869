"""Probes: their features by brute force, and what each can and cannot detect."""

import pytest
import torch

from side4video.config import PROBES, ProbeConfig
from side4video.config.probe import FLOW_BLOCK
from side4video.models.backbones.loading import load_backbone
from side4video.models.optical_flow import clip_flow
from side4video.models.probe_model import ProbeModel, build_probe_model
from side4video.models.probes import (
    AttentiveProbe,
    CorrelationProbe,
    MotionProbe,
    SpaceTimeProbe,
    average_to_grid,
    build_probe,
)

T, SIDE, D, C = 4, 7, 8, 3


PARTS = (
    {"name": "linear", "block": -1, "grid": 1, "weight": 1.0},
    {"name": "motion", "block": 0, "grid": 1, "weight": 2.0},
)


def probe_of(name, **options):
    if name == "combined":
        options = {"parts": PARTS} | options
    return build_probe(ProbeConfig(name=name, **options), width=D, num_frames=T, num_classes=C).eval()


def tokens(seed=0, clips=2):
    return torch.randn(clips, T, SIDE**2, D, generator=torch.Generator().manual_seed(seed))


def test_patches_are_averaged_by_place():
    x = torch.arange(16.0).reshape(1, 1, 16, 1)
    assert average_to_grid(x, 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert average_to_grid(x, 4) is x


def test_motion_is_the_mean_absolute_difference():
    x = tokens()
    expected = torch.zeros(2, D)
    for frame in range(T - 1):
        expected += (x[:, frame + 1] - x[:, frame]).abs().mean(dim=1) / (T - 1)
    torch.testing.assert_close(MotionProbe(width=D, num_classes=C).features(x), expected)


def test_the_motion_probe_does_not_see_order_and_space_time_does():
    x = tokens()
    motion, space_time = MotionProbe(width=D, num_classes=C, grid=7), probe_of("space-time")
    torch.testing.assert_close(motion.features(x), motion.features(x.flip(1)))
    assert not torch.allclose(space_time.features(x), space_time.features(x.flip(1)))


def test_space_time_sees_only_changes():
    x, probe = tokens(), SpaceTimeProbe(width=D, num_classes=C, num_frames=T, grid=7, channels=5)
    torch.testing.assert_close(probe.features(x), probe.features(x + tokens(1)[:, :1]), rtol=0, atol=1e-5)
    moved = (x - x.mean(dim=1, keepdim=True)) @ probe.projection
    torch.testing.assert_close(probe.features(x), moved.flatten(1), rtol=0, atol=1e-6)


def test_still_clips_have_no_motion_made_of_rounding_errors():
    still = tokens()[:, :1].expand(-1, 7, -1, -1)
    assert still.mean(dim=1).ne(still[:, 0]).any()  # the mean of equal numbers is rounded
    options = {"num_frames": 7, "num_classes": C}
    assert not SpaceTimeProbe(width=D, **options).features(still).any()
    assert not CorrelationProbe(**options).features(still).chunk(2, dim=1)[1].any()


def test_the_correlation_probe_sees_where_a_pattern_moves():
    still = tokens(clips=1)[:, :1].unflatten(2, (SIDE, SIDE))
    right = torch.cat([still.roll(step, dims=3) for step in range(T)], dim=1).flatten(2, 3)
    probe = CorrelationProbe(num_classes=C, num_frames=T, grid=1)
    by_shift = probe.features(right).reshape(2, T - 1, 25)[0].mean(dim=0)
    assert by_shift.argmax() == 13  # no row down, one column to the right
    assert probe.features(right.flip(1)).reshape(2, T - 1, 25)[0].mean(dim=0).argmax() == 11


def test_attention_sums_to_one_and_positions_in_time_make_it_see_order():
    x, probe = tokens(), AttentiveProbe(width=D, num_classes=C, num_frames=T, grid=7).eval()
    attention = probe.attention(x)
    assert attention.shape == (2, T, SIDE**2)
    torch.testing.assert_close(attention.sum(dim=(1, 2)), torch.ones(2))
    assert not torch.allclose(probe(x), probe(x.flip(1)))
    with torch.no_grad():
        probe.times.zero_()
    torch.testing.assert_close(probe(x), probe(x.flip(1)))


@pytest.mark.parametrize("name", [name for name in PROBES if name not in ("combined", "flow", "speed")])
def test_finer_patches_are_averaged_first(name):
    fine = torch.randn(1, T, 14**2, D)
    read, coarse = (fine[:, :, 0], fine[:, :, 0]) if name == "linear" else (fine, average_to_grid(fine, 7))
    probe = probe_of(name, grid=1)
    torch.testing.assert_close(probe(read), probe(coarse), rtol=1e-4, atol=1e-4)


def test_a_combined_probe_is_the_weighted_sum_of_its_parts():
    x = {-1: tokens()[:, :, 0], 0: tokens(1)}
    probe = probe_of("combined")
    for part in probe.parts:
        torch.nn.init.normal_(part.linear.weight)
    linear, motion = probe.parts
    torch.testing.assert_close(probe(x), 1.0 * linear(x[-1]) + 2.0 * motion(x[0]))


@pytest.mark.parametrize("name", ["flow", "speed"])
def test_a_model_computes_the_flow_that_its_probe_reads(name):
    backbone = load_backbone("vit_tiny_patch16_224", weights="random", image_size=32, model_args={"depth": 1})
    probe = probe_of(name, grid=2)
    torch.nn.init.normal_(probe.linear.weight)
    clips = torch.randn(2, T, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    model = ProbeModel(backbone=backbone, probe=probe, block=FLOW_BLOCK)
    assert model.read_blocks == ()
    with torch.no_grad():
        torch.testing.assert_close(model(clips), probe(clip_flow(clips, backbone)))
        assert not torch.allclose(model(clips), model(clips.flip(1)))


@pytest.mark.parametrize("options", [{"name": "combined"}, {"name": "motion", "parts": PARTS}])
def test_only_the_combined_probe_has_parts(options):
    with pytest.raises(ValueError, match="give both, or neither"):
        ProbeConfig(**options)


@pytest.mark.parametrize("name", [name for name in PROBES if name != "linear"])
def test_a_single_frame_is_refused(name):
    options = {"parts": PARTS} if name == "combined" else {}
    with pytest.raises(ValueError, match=r"num_frames = 1.*Use 2 or more"):
        build_probe(ProbeConfig(name=name, **options), width=D, num_frames=1, num_classes=C)


def test_the_name_none_is_refused():
    with pytest.raises(ValueError, match="names no probe"):
        build_probe(ProbeConfig(), width=D, num_frames=T, num_classes=C)


@pytest.mark.parametrize("name", ["motion", "space-time", "correlation", "flow", "speed", "attentive"])
@pytest.mark.parametrize("num_frames", [1, 3, 8])
def test_clips_of_another_number_of_frames_are_refused(small_run, name, num_frames):
    model = build_probe_model(
        small_run(probe={"name": name, "grid": 1, "block": 1}), num_classes=2, device=torch.device("cpu")
    )
    assert model(torch.rand(1, 4, 3, 32, 32)).shape == (1, 2)
    with pytest.raises(ValueError, match=rf"fitted on clips of 4; these have {num_frames}\. Use data.num_frames 4"):
        model(torch.rand(1, num_frames, 3, 32, 32))


def test_a_linear_probe_takes_any_number_of_frames(small_run):
    model = build_probe_model(small_run(probe={"name": "linear"}), num_classes=2, device=torch.device("cpu"))
    assert model(torch.rand(1, 1, 3, 32, 32)).shape == model(torch.rand(1, 8, 3, 32, 32)).shape == (1, 2)
