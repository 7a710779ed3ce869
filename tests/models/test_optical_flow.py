"""Optical flow: known motions are measured, and histograms of it by brute force."""

import math

import pytest
import torch
import torch.nn.functional as F

from side4video.models.optical_flow import (
    FLOW_GRID,
    FLOW_SIDE,
    ORIENTATIONS,
    direction_histograms,
    mirror_flow,
    optical_flow,
    speed_histograms,
)

DIRECTIONS = slice(0, ORIENTATIONS)
BOUNDARIES = slice(ORIENTATIONS, 3 * ORIENTATIONS)


def texture(side, seed=0):
    """Blobs of a few pixels, uint8 (3, side, side)."""
    noise = torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(seed))
    return (F.interpolate(noise, (side, side), mode="bicubic")[0] * 50 + 128).clamp(0, 255).byte()


def moving(right, down, *, frames=3, side=FLOW_SIDE):
    """A picture of which a window moves so that what it shows moves by (right, down) pixels per frame."""
    picture = texture(2 * side)
    middle = side // 2
    rows, columns = ([middle - step * shift for step in range(frames)] for shift in (down, right))
    views = [picture[:, row : row + side, column : column + side] for row, column in zip(rows, columns, strict=True)]
    return torch.stack(views)[None]


def constant(x, y, frames=3):
    return torch.tensor([x, y]).expand(1, frames, FLOW_GRID**2, 2)


@pytest.mark.parametrize(("right", "down"), [(0, 0), (3, 0), (0, -2), (-4, 5)])
def test_known_motions_are_measured(right, down):
    flow = optical_flow(moving(right, down))
    assert not flow[:, 0].any()
    torch.testing.assert_close(
        flow[:, 1:].flatten(0, 2).median(dim=0).values, torch.tensor([right, down]).float(), rtol=0, atol=0.2
    )


def test_flow_is_measured_in_the_same_unit_whatever_the_size_of_frames():
    flow = optical_flow(moving(4, -6, side=2 * FLOW_SIDE))
    torch.testing.assert_close(
        flow[:, 1:].flatten(0, 2).median(dim=0).values, torch.tensor([2.0, -3.0]), rtol=0, atol=0.2
    )


def test_clips_of_a_batch_do_not_mix():
    clips = torch.cat([moving(3, 0), moving(0, 2)])
    torch.testing.assert_close(optical_flow(clips), torch.cat([optical_flow(clip[None]) for clip in clips]))


def test_the_mirrored_flow_is_the_flow_of_mirrored_frames():
    clip = moving(3, 2)
    difference = mirror_flow(optical_flow(clip)) - optical_flow(clip.flip(-1))
    assert difference.abs().median() < 0.05
    torch.testing.assert_close(mirror_flow(mirror_flow(optical_flow(clip))), optical_flow(clip))


@pytest.mark.parametrize("bin_", range(ORIENTATIONS))
def test_a_motion_counts_in_its_direction_with_its_length(bin_):
    angle = 2 * math.pi * bin_ / ORIENTATIONS
    found = direction_histograms(constant(3 * math.cos(angle), 3 * math.sin(angle)), 1)[0, 0, DIRECTIONS] ** 2
    expected = torch.zeros(ORIENTATIONS)
    expected[bin_] = 3
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)


def test_a_direction_between_two_bins_counts_in_both():
    angle = 2 * math.pi * (ORIENTATIONS - 0.25) / ORIENTATIONS
    found = direction_histograms(constant(math.cos(angle), math.sin(angle)), 1)[0, 0, DIRECTIONS] ** 2
    torch.testing.assert_close(found[[0, ORIENTATIONS - 1]], torch.tensor([0.75, 0.25]), rtol=0, atol=1e-3)


def test_a_moving_camera_has_no_motion_boundaries_and_a_moving_object_has():
    camera = direction_histograms(constant(2.0, 1.0), 1)[0, 0, BOUNDARIES]
    torch.testing.assert_close(camera, torch.full_like(camera, 0.01))
    thing = torch.zeros(1, 2, FLOW_GRID, FLOW_GRID, 2)
    thing[:, :, 10:20, 10:20, 0] = 2.0
    assert direction_histograms(thing.flatten(2, 3), 1)[0, 0, BOUNDARIES].max() > 0.1


def test_speeds_are_the_shares_of_places_that_move_faster():
    half = torch.zeros(1, 2, FLOW_GRID**2, 2)
    half[:, :, ::2, 1] = 1e3  # far more than all speeds
    shares = speed_histograms(half, 1)[0, 0].exp() - 0.02
    torch.testing.assert_close(shares, torch.full_like(shares, 0.5))
    slow, fast = (speed_histograms(constant(speed, 0.0), 1)[0, 0] for speed in (0.5, 1.0))
    torch.testing.assert_close(slow[2].exp(), torch.tensor(0.52))  # exactly as fast as the third
    assert (fast > slow).all()


def test_parts_of_the_picture_have_histograms_of_their_own():
    left = torch.zeros(1, 2, FLOW_GRID, FLOW_GRID, 2)
    left[:, :, :, : FLOW_GRID // 2, 0] = 2.0
    found = (
        direction_histograms(left.flatten(2, 3), 2)[0, 0, : 4 * ORIENTATIONS].unflatten(0, (ORIENTATIONS, 4))[0] ** 2
    )
    torch.testing.assert_close(found, torch.tensor([2.0, 0.0, 2.0, 0.0]), rtol=0, atol=1e-3)


def test_gradients_are_finite_where_nothing_moves():
    flow = torch.zeros(1, 3, FLOW_GRID**2, 2, requires_grad=True)
    (direction_histograms(flow, 3).sum() + speed_histograms(flow, 3).sum()).backward()
    assert flow.grad.isfinite().all()
