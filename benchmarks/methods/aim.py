"""AIM (Yang et al. 2023, arXiv 2302.03024): the frozen ViT's attention is used twice, over time and inside frames.

Bottleneck adapters follow both attentions and run parallel to the MLP; gradients cross the whole image model.
"""

from functools import partial

import torch
from torch import Tensor, nn

from methods.trunk import ClassTokenHead, run_blocks
from side4video.models.backbones.loading import FrozenBackbone

DROPOUT = 0.5
LARGEST_DROP_PATH = 0.2


class Adapter(nn.Module):
    """Linear D -> D/4, GELU, linear D/4 -> D, which starts at zero; `skip` adds the input."""

    def __init__(self, width: int, *, skip: bool) -> None:
        super().__init__()
        self.skip = skip
        self.down, self.activation, self.up = nn.Linear(width, width // 4), nn.GELU(), nn.Linear(width // 4, width)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        y = self.up(self.activation(self.down(x)))
        return x + y if self.skip else y


class AIMBlock(nn.Module):
    """A frozen block of the ViT, with attention over time before its own and adapters around.

    Args:
        block: of timm's VisionTransformer.
        width: D.
        num_frames: T.
        temporal_adapters: 1: after the attention over time, 2: before it too.
        scale: of the adapter parallel to the MLP.
        drop_path: probability of dropping the two trained branches for a clip.
    """

    def __init__(
        self,
        block: nn.Module,
        width: int,
        *,
        num_frames: int,
        temporal_adapters: int,
        scale: float,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.block, self.num_frames, self.scale, self.drop_path = block, num_frames, scale, drop_path
        self.temporal_in = Adapter(width, skip=True) if temporal_adapters == 2 else nn.Identity()
        self.temporal = Adapter(width, skip=False)
        self.spatial = Adapter(width, skip=True)
        self.parallel_to_mlp = Adapter(width, skip=False)

    def draw_kept(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """For each trained branch 0 or 1 / (1 - p), for each clip of (B*T, 1 + N, D); None where nothing is dropped.

        Drawn outside of `forward`, so that a checkpointed block sees the same when it is run again.
        """
        if not self.training or self.drop_path == 0:
            return None
        kept = 1 - self.drop_path
        drawn = torch.bernoulli(x.new_full((2, len(x) // self.num_frames, 1, 1), kept)) / kept
        return tuple(drawn.repeat_interleave(self.num_frames, 1))

    def forward(self, x: Tensor, kept: tuple[Tensor, Tensor] | None) -> Tensor:
        in_time, parallel = (1, 1) if kept is None else kept
        block = self.block
        y = self.temporal(block.attn(self.temporal_in(block.norm1(self._to_time(x)))))
        x = x + in_time * self._to_frames(y, x.shape[1])
        x = x + self.spatial(block.attn(block.norm1(x)))
        z = block.norm2(x)
        return x + block.mlp(z) + parallel * (self.scale * self.parallel_to_mlp(z))

    def _to_time(self, x: Tensor) -> Tensor:
        return x.unflatten(0, (-1, self.num_frames)).transpose(1, 2).flatten(0, 1)  # (B * (1 + N), T, D)

    def _to_frames(self, y: Tensor, num_tokens: int) -> Tensor:
        return y.unflatten(0, (-1, num_tokens)).transpose(1, 2).flatten(0, 1)  # (B * T, 1 + N, D)


class AIM(nn.Module):
    """Frozen ViT with adapters and attention over time, trained final norm and classifier.

    Args:
        backbone: the shared trunk; its final norm is copied, since it is trained here.
        num_classes: C.
        num_frames: T.
        temporal_adapters: 1 (Kinetics) or 2 (Something-Something) in each block.
        scale: of the adapter parallel to the MLP, 0.5 (Kinetics) or 1 (Something-Something).
        checkpointed: keep only what each block reads and run it again in the backward pass.
    """

    def __init__(
        self,
        backbone: FrozenBackbone,
        *,
        num_classes: int,
        num_frames: int,
        temporal_adapters: int = 2,
        scale: float = 1.0,
        checkpointed: bool = False,
    ) -> None:
        super().__init__()
        self.vit, self.num_frames, self.checkpointed = backbone.model, num_frames, checkpointed
        self.positions_in_time = nn.Parameter(torch.zeros(1, num_frames, backbone.width))
        last = max(1, backbone.num_blocks - 1)
        self.blocks = nn.ModuleList(
            AIMBlock(
                block,
                backbone.width,
                num_frames=num_frames,
                temporal_adapters=temporal_adapters,
                scale=scale,
                drop_path=LARGEST_DROP_PATH * number / last,
            )
            for number, block in enumerate(self.vit.blocks)
        )
        norm = nn.LayerNorm(backbone.width, eps=self.vit.norm.eps)
        norm.load_state_dict(self.vit.norm.state_dict())
        self.head = ClassTokenHead(norm, backbone.width, num_classes, dropout=DROPOUT)

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (B, T, 3, H, W) to logits (B, C)."""
        vit = self.vit
        x = vit._pos_embed(vit.patch_embed(clips.flatten(0, 1)))
        in_time = self.positions_in_time.to(x.dtype).repeat(len(clips), 1, 1).flatten(0, 1).unsqueeze(1)
        x = vit.norm_pre(x + in_time)
        steps = [partial(block, kept=block.draw_kept(x)) for block in self.blocks]
        return self.head(run_blocks(steps, x, checkpointed=self.checkpointed), self.num_frames)


build = AIM
