"""Options of the side block that detect motion: a gate on temporal differences, and correlations between frames."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from side4video.models.backbones.autocast import without_autocast
from side4video.models.side.taps import compute_dtype


class TemporalDifference(nn.Module):
    """Gate each token by its difference to the largest value over the clip, channel by channel (arXiv 2408.10688).

    x becomes 2 x sigmoid(W (x - max_t x) + b). W and b start at zero, so the gate is open at the start.

    Args:
        width: d.

    >>> x = torch.ones(2, 8, 4, 16)
    >>> torch.equal(TemporalDifference(16)(x), x)
    True
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Float[Tensor, "B T N d"]) -> Float[Tensor, "B T N d"]:
        """Weight tokens by their difference to the maximum over the clip."""
        return 2 * x * torch.sigmoid(self.linear(x - x.amax(dim=1, keepdim=True)))


class TokenCorrelation(nn.Module):
    """Direction of motion: cosines of each token with its neighbours in the next frame (arXiv 2007.09933).

    The mean over the frame, which all places share, is subtracted from the frozen tokens. A linear layer maps each
    token's cosines with the (2 r + 1)^2 tokens around its place in the next frame to d channels. Places outside the
    frame, and the frame after the last one, count as zero. In training the frozen tokens need no gradient, so only the
    cosines are stored.

    Args:
        width: d.
        radius: r, rows and columns.

    >>> TokenCorrelation(16, radius=1)(torch.zeros(2, 8, 49, 192)).shape
    torch.Size([2, 8, 49, 16])
    """

    def __init__(self, width: int, radius: int) -> None:
        super().__init__()
        self.radius = radius
        self.linear = nn.Linear((2 * radius + 1) ** 2, width)

    def forward(self, patches: Float[Tensor, "B T N D"]) -> Float[Tensor, "B T N d"]:
        """Map frozen patches, a square grid row by row, to the term that is added to the side tokens."""
        with without_autocast(patches.device.type):
            x = patches.float()
            cosines = F.pad(correlate(x - x.mean(dim=2, keepdim=True), self.radius), (0, 0, 0, 0, 0, 1))
        return self.linear(cosines.to(compute_dtype(self.linear.weight)))


def correlate(x: Float[Tensor, "B T N D"], radius: int) -> Float[Tensor, "B S N K"]:
    """Cosines of each token with the tokens around its place in the next frame, S = T - 1, K = (2 radius + 1)^2.

    N is a square grid, row by row. Places outside the frame count as zero (correlation volumes: Teed and Deng, RAFT,
    arXiv 2003.12039).
    """
    side, x = math.isqrt(x.shape[2]), F.normalize(x, dim=-1)
    steps = torch.arange(-radius, radius + 1)
    places = torch.cartesian_prod(torch.arange(side), torch.arange(side))[:, None] + torch.cartesian_prod(steps, steps)
    inside = ((places >= 0) & (places < side)).all(-1).to(x.device)  # (N, K)
    rows, columns = places.clamp(0, side - 1).unbind(-1)
    cosines = x[:, :-1] @ x[:, 1:].transpose(-1, -2)  # of all pairs: one matrix product is faster than K shifted ones
    neighbours = (rows * side + columns).to(x.device).expand(*cosines.shape[:2], -1, -1)
    return cosines.gather(-1, neighbours) * inside
