"""Base class of all trained models: the backbone is frozen, everything else is trained and saved."""

from typing import Self

import torch
from torch import Tensor, nn

from side4video.models.backbones.loading import FrozenBackbone
from side4video.models.side.batch_norm import TokenBatchNorm
from side4video.models.side.side_network import SideNetwork


class SideTunedModel(nn.Module):
    """A model with a frozen `backbone` and a `side` network; everything except the backbone is trained.

    The subclasses are `VideoModel` for recognition and `RetrievalModel` for retrieval.

    >>> from side4video.models.backbones.loading import load_backbone
    >>> model = SideTunedModel()
    >>> model.backbone = load_backbone("vit_tiny_patch16_224", weights="random", image_size=32, model_args={"depth": 2})
    >>> model.side = SideNetwork(backbone_width=192, num_patches=4, patch_size=16, taps=[0, 1], width=64)
    >>> {name.split(".")[0] for name in model.trained_state()}
    {'side'}
    """

    backbone: FrozenBackbone
    side: SideNetwork

    def sync_batch_norm(self) -> None:
        """Compute BatchNorm statistics over the clips of all processes from now on."""
        for module in self.modules():
            if isinstance(module, TokenBatchNorm):
                module.synced = True

    def check_clips(self, clips: Tensor) -> None:
        """Check shape, number type and device of clips, before the first layer.

        Raises:
            TypeError: they are not a tensor.
            ValueError: they are not float (B, T, 3, H, W) of the backbone's size, in the number type of the trained
                weights or of autocast, on the device of the model.
        """
        self.backbone.check_frames(clips)
        own = next((weight.dtype for weight in self.side.parameters()), clips.dtype)
        casts = torch.is_autocast_enabled(clips.device.type) and torch.float64 not in {clips.dtype, own}
        if clips.dtype != own and not casts:
            raise ValueError(
                f"Clips (B, T, 3, H, W) are {clips.dtype}, the trained weights {own}. Convert them: clips.to({own})."
            )

    def finetuned_parameters(self) -> list[nn.Parameter]:
        """Trained parameters that start from pre-trained weights and have their own learning rate; none by default."""
        return []

    def text_files(self) -> dict[str, bytes]:
        """Files that the text tower reads, by name; none without one, or if its tokeniser is part of open_clip."""
        return {}

    def trained_state(self) -> dict[str, Tensor]:
        """Every tensor that training changes, by name: weights and BatchNorm statistics, without the backbone."""
        return {name: tensor for name, tensor in self.state_dict().items() if not name.startswith("backbone.")}

    def check_trained_state(self, state: dict[str, Tensor]) -> None:
        """Check that a trained state matches this model.

        Raises:
            ValueError: names are missing or unknown, or shapes differ.
        """
        own = self.trained_state()
        mismatched = sorted(own.keys() ^ state.keys()) + sorted(
            name for name in own.keys() & state.keys() if own[name].shape != state[name].shape
        )
        if mismatched:
            listed = ", ".join(mismatched[:10])[:1000]
            raise ValueError(
                f"{len(mismatched)} tensors are missing, unknown or of another shape: {listed}. Check that they "
                "belong to this model."
            )

    def load_trained_state(self, state: dict[str, Tensor]) -> Self:
        """Load a result of `trained_state`; all names and shapes must match.

        Raises:
            ValueError: names are missing or unknown, or shapes differ.
        """
        self.check_trained_state(state)
        self.load_state_dict(state, strict=False)
        return self
