"""The tensors that flow, named once.

B clips, T frames of each, C classes, H and W pixels, N = (H/p)(W/p) patches of side p, D the backbone's width, d the
side network's width. Patches run row by row from the top left. The frames of a clip are always the time axis.
"""

from jaxtyping import Float, UInt8
from torch import Tensor

Frames = UInt8[Tensor, "T 3 H W"]
"""Decoded frames of one video, RGB, 0 to 255."""

Clips = Float[Tensor, "B T 3 H W"]
"""A batch of clips, normalised with the backbone's mean and standard deviation."""

Tokens = Float[Tensor, "B T N D"]
"""Patch tokens of a frozen backbone after one of its blocks."""

SummaryTokens = Float[Tensor, "B T 1 D"]
"""One token for each whole frame: the class token, or the mean of the patches."""

SideTokens = Float[Tensor, "B T N d"]
"""The state of the side network."""

FrameEmbeddings = Float[Tensor, "B T D"]
"""One vector for each frame."""

Logits = Float[Tensor, "B C"]
"""Class scores before the softmax."""
