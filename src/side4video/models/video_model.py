"""A frozen backbone, a side network and a head put together."""

from typing import Self

from jaxtyping import Float
from torch import Tensor, nn

from side4video.models.backbones import FrozenBackbone
from side4video.models.heads import ClassificationHead
from side4video.models.side_network import SideNetwork


class VideoModel(nn.Module):
    """Clips in, logits out. Only the side network and the head are trained.

    Args:
        backbone: the frozen image model; stays in eval mode whatever `train()` says.
        side: the side network.
        head: the classifier.
    """

    def __init__(self, *, backbone: FrozenBackbone, side: SideNetwork, head: ClassificationHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.side = side
        self.head = head
        last = (backbone.num_blocks - 1,) if head.probe is not None else ()
        self.read_blocks = tuple(sorted({*side.taps, *last}))

    def forward(self, clips: Float[Tensor, "B T 3 H W"]) -> Float[Tensor, "B C"]:
        """Logits of normalised clips; frames of one clip are the time axis."""
        x = self.side.begin(clips)
        pooled = None
        for tokens in self.backbone.iterate(clips, self.read_blocks):
            x = self.side.advance(x, block=tokens.block, patches=tokens.patches, summary=tokens.summary)
            if self.head.probe is not None and tokens.block == self.backbone.num_blocks - 1:
                pooled = self.backbone.pool(tokens)
        return self.head(x, pooled)

    def trained_state(self) -> dict[str, Tensor]:
        """Every tensor that training changes, BatchNorm statistics included, by name; nothing of the backbone."""
        return {name: tensor for name, tensor in self.state_dict().items() if not name.startswith("backbone.")}

    def load_trained_state(self, state: dict[str, Tensor]) -> Self:
        """Load what `trained_state` gave; every name must be there and fit.

        Raises:
            ValueError: names are missing or unknown, or shapes differ.
        """
        own = self.trained_state()
        odd = sorted(own.keys() ^ state.keys()) + sorted(
            name for name in own.keys() & state.keys() if own[name].shape != state[name].shape
        )
        if odd:
            listed = ", ".join(odd[:10])
            raise ValueError(f"{len(odd)} tensors are missing, unknown or of another shape: {listed}. Is it this model's?")
        self.load_state_dict(state, strict=False)
        return self
