"""Names and shapes of the tensors that modules exchange.

B clips, T frames per clip, H and W pixels, N = (H/p)(W/p) patches with sides of p pixels, D the backbone's
width. Patches are ordered row by row from the top left. The time axis is always the frames of a clip.
"""

from jaxtyping import Float
from torch import Tensor

Clips = Float[Tensor, "B T 3 H W"]
"""A batch of clips, normalised with the backbone's mean and standard deviation."""

Tokens = Float[Tensor, "B T N D"]
"""Patch tokens of a frozen backbone after one of its blocks."""

SummaryTokens = Float[Tensor, "B T 1 D"]
"""One token per frame: the class token, or the mean of the patch tokens."""

FrameEmbeddings = Float[Tensor, "B T D"]
"""One vector per frame."""
