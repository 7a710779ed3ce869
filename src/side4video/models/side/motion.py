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
        return self.linear(correlate(patches, self.radius).to(compute_dtype(self.linear.weight)))


def correlate(patches: Float[Tensor, "B T N D"], radius: int) -> Float[Tensor, "B T N K"]:
    """Cosines of each token with the tokens around its place in the next frame; zeros for the last frame."""
    side = math.isqrt(patches.shape[2])
    with without_autocast(patches.device.type):
        x = patches.float()
        x = F.normalize(x - x.mean(dim=2, keepdim=True), dim=-1).unflatten(2, (side, side))
        following = F.pad(x[:, 1:], (0, 0, radius, radius, radius, radius, 0, 1))
        around = range(2 * radius + 1)
        cosines = [
            (x * following[:, :, row : row + side, column : column + side]).sum(-1)
            for row in around
            for column in around
        ]
        return torch.stack(cosines, dim=-1).flatten(2, 3)
