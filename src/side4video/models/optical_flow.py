"""Optical flow between neighbouring frames, and histograms of it: motion that the tokens of an image model blur.

A patch of 16 x 16 pixels has one token, so a motion of a few pixels hardly changes it. Flow is computed by OpenCV's DIS
(Kroeger et al. 2016, arXiv 1603.03590), histograms as by Laptev et al. 2008 (flow) and Dalal et al. 2006 (motion
boundaries).
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from side4video.models.backbones.frozen_backbone import FrozenBackbone
from side4video.models.stored_clips import denormalise_pixels

FLOW_SIDE = 112
"""Frames are resized to this many pixels per side before flow is computed; it is the unit of all flow."""
FLOW_GRID = 28
"""Rows and columns of the flow that is kept: averages over 4 x 4 pixels."""
ORIENTATIONS = 8
"""Bins of direction in a histogram."""
SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Speeds that are told apart, in pixels of a frame of `FLOW_SIDE` per frame of the clip."""


def optical_flow(pixels: UInt8[Tensor, "B T 3 H W"]) -> Float[Tensor, "B T G 2"]:
    """Motion of each place from the frame before, in x (to the right) and y (downwards), of `FLOW_SIDE` pixels.

    The first frame's flow is 0. G = `FLOW_GRID`^2, row by row. The result is on the CPU.

    >>> frames = torch.zeros(1, 2, 3, 112, 112, dtype=torch.uint8)
    >>> optical_flow(frames).shape
    torch.Size([1, 2, 784, 2])
    """
    import cv2  # takes 0.2 s, and few runs need it

    estimator = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = pixels.float().mean(dim=2)
    frames = F.interpolate(grey, (FLOW_SIDE, FLOW_SIDE), mode="bilinear", antialias=True).round().byte().cpu().numpy()
    flow = np.zeros((*frames.shape, 2), np.float32)
    for clip, own in zip(frames, flow, strict=True):
        for frame in range(1, len(clip)):
            estimator.calc(clip[frame - 1], clip[frame], own[frame])
    part = FLOW_SIDE // FLOW_GRID
    averaged = torch.from_numpy(flow).unflatten(3, (FLOW_GRID, part)).unflatten(2, (FLOW_GRID, part)).mean(dim=(3, 5))
    return averaged.flatten(2, 3)


def clip_flow(clips: Float[Tensor, "B T 3 H W"], backbone: FrozenBackbone) -> Float[Tensor, "B T G 2"]:
    """The optical flow of clips that are normalised for a frozen model, on the clips' device."""
    return optical_flow(denormalise_pixels(clips, backbone.mean, backbone.std)).to(clips.device)


def mirror_flow(flow: Float[Tensor, "B T G 2"]) -> Float[Tensor, "B T G 2"]:
    """The flow of mirrored frames.

    >>> flow = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]])
    >>> mirror_flow(flow.reshape(1, 1, 4, 2)).tolist()
    [[[[-3.0, 4.0], [-1.0, 2.0], [-7.0, 8.0], [-5.0, 6.0]]]]
    """
    side = math.isqrt(flow.shape[2])
    return flow.unflatten(2, (side, side)).flip(3).flatten(2, 3) * torch.tensor([-1.0, 1.0]).to(flow)


def direction_histograms(flow: Float[Tensor, "B T G 2"], grid: int) -> Float[Tensor, "B S F"]:
    """How much moves in which direction between neighbouring frames, S = T - 1, in `grid` x `grid` parts of a frame.

    The other two thirds of the numbers are the same for the change of each component of the flow from place to place:
    motion boundaries, which a moving camera does not have. Roots make slow motion count.
    """
    field = _as_picture(flow)
    boundaries = [torch.stack(torch.gradient(field[..., axis], dim=(3, 2)), dim=-1) for axis in (0, 1)]
    means = [_mean_by_part(_by_direction(one), grid) for one in (field, *boundaries)]
    return (torch.cat(means, dim=-1) + 1e-4).sqrt()


def speed_histograms(flow: Float[Tensor, "B T G 2"], grid: int) -> Float[Tensor, "B S F"]:
    """Logarithm of the share of places that move faster than each of `SPEEDS`, in `grid` x `grid` parts of a frame.

    The share is smooth: a place that moves exactly as fast counts half.
    """
    fourth = _as_picture(flow).square().sum(dim=-1, keepdim=True).square()
    faster = fourth / (fourth + torch.tensor(SPEEDS).to(fourth) ** 4)
    return (_mean_by_part(faster, grid) + 0.02).log()


def _as_picture(flow: Float[Tensor, "B T G 2"]) -> Float[Tensor, "B S rows columns 2"]:
    side = math.isqrt(flow.shape[2])
    return flow[:, 1:].float().unflatten(2, (side, side))


def _by_direction(vectors: Float[Tensor, "*places 2"]) -> Float[Tensor, "*places bins"]:
    """The length of each vector, divided between the two nearest of `ORIENTATIONS` directions."""
    length = vectors.norm(dim=-1)
    angle = torch.atan2(vectors[..., 1], vectors[..., 0]) * (ORIENTATIONS / (2 * math.pi))
    below = angle.floor()
    places = (torch.stack([below, below + 1], dim=-1) % ORIENTATIONS).long()
    shares = torch.stack([1 - (angle - below), angle - below], dim=-1) * length[..., None]
    return shares.new_zeros(*length.shape, ORIENTATIONS).scatter_(-1, places, shares)


def _mean_by_part(x: Float[Tensor, "B S R C K"], grid: int) -> Float[Tensor, "B S F"]:
    frames = x.flatten(0, 1).movedim(-1, 1)
    return F.adaptive_avg_pool2d(frames, grid).flatten(1).unflatten(0, x.shape[:2])
