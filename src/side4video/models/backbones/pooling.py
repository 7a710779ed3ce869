"""The last steps of an image-text model: pooling of the tokens of a frame, and the projection to the shared space."""

from typing import Any

import torch
from jaxtyping import Float
from timm.models.eva import Eva
from torch import Tensor, nn


class FramePooling(nn.Module):
    """The average of the patches, or attention from a learned query: the frozen model's own pooling.

    Args:
        model: a timm model whose `global_pool` is "avg" or "map". Its attention pooling is shared, not copied.
        name: of the model, for errors.

    Attributes:
        attention: timm's attention pooling; None: the patches are averaged.
        reads_class_token: whether the attention also reads the class token (Perception Encoder).
        norm_first: whether the model's last norm is applied to every token before the pooling.

    Raises:
        ValueError: the model pools in another way.

    >>> import timm
    >>> model = timm.create_model("vit_base_patch16_siglip_224", depth=1, embed_dim=64, num_heads=2, img_size=32)
    >>> pooling = FramePooling(model, name="siglip")
    >>> pooling(torch.zeros(3, 4, 64), torch.zeros(3, 1, 64), model.norm).shape  # 3 frames of 4 patches
    torch.Size([3, 64])
    """

    def __init__(self, model: Any, *, name: str) -> None:
        super().__init__()
        self.attention: nn.Module | None = model.attn_pool
        # timm's Eva pools all tokens with attention, its VisionTransformer only if it is told to.
        with_prefix = self.attention is not None if isinstance(model, Eva) else model.pool_include_prefix
        has_class_token = model.cls_token is not None
        if model.global_pool not in {"avg", "map"} or (with_prefix and model.num_prefix_tokens > has_class_token):
            raise ValueError(
                f"{name} pools {model.num_prefix_tokens} tokens and the patches by {model.global_pool!r}, which is not "
                "supported. Use a model with a class token, average pooling or attention pooling."
            )
        self.reads_class_token = with_prefix and has_class_token
        self.norm_first = not isinstance(model.norm, nn.Identity)

    def forward(
        self, patches: Float[Tensor, "F N D"], summary: Float[Tensor, "F 1 D"], norm: nn.Module
    ) -> Float[Tensor, "F D"]:
        """One vector for each of F frames.

        Args:
            patches: patch tokens of the last block.
            summary: class token of the last block; read if `reads_class_token`.
            norm: the model's norm before the pooling; the identity if it has none there.
        """
        tokens = norm(torch.cat([summary, patches], dim=1) if self.reads_class_token else patches)
        return tokens.mean(dim=1) if self.attention is None else self.attention(tokens)


def projection_of(model: Any, *, with_bias: bool | None) -> nn.Linear | nn.Identity:
    """timm's head as CLIP's projection. By default only EVA's has a bias; for other models timm adds one of zeros."""
    head = model.head.requires_grad_(False)
    if isinstance(head, nn.Linear) and not (isinstance(model, Eva) if with_bias is None else with_bias):
        head.register_parameter("bias", None)
    return head
