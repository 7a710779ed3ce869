"""Frozen image models that yield their tokens block by block.

Any timm Vision Transformer that keeps one token grid from the first block to the last is supported: CLIP, EVA-02,
SigLIP, DINOv2 and DINOv3, MAE, DeiT, Perception Encoder and others. `load_backbone` in `loading.py` loads them by name.
"""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from timm.data import resolve_model_data_config
from timm.models.eva import Eva
from torch import Tensor, nn

from side4video.models.backbones.autocast import frozen, without_autocast
from side4video.models.backbones.block_tokens import BlockTokens
from side4video.models.backbones.fingerprint import (
    Sample,
    earlier_fingerprints,
    same_weights,
    sample_weights,
    weights_fingerprint,
)
from side4video.models.backbones.frame_checks import check_frames
from side4video.models.backbones.pooling import FramePooling, projection_of
from side4video.models.backbones.preprocessing import Preprocessing
from side4video.models.backbones.quantisation import Precision, quantise_linear_layers
from side4video.models.backbones.supported_models import (
    MODEL_CLASSES,
    architecture_of,
    square_grid,
    unsupported_message,
)
from side4video.shapes import Clips, FrameEmbeddings

if TYPE_CHECKING:
    from side4video.models.backbones.sharding import ShardedBlocks


class FrozenBackbone(nn.Module):
    """A frozen image model whose tokens a side network reads.

    No parameter requires a gradient. The model stays in eval mode even after `train()`, and computes in its own dtype
    even inside an autocast. Its head and its pooling are removed unless they are kept explicitly.

    Args:
        model: a timm `VisionTransformer`, `VisionTransformerDistilled` or `Eva` for square RGB images. It is modified.
        name: timm's name of the model, with or without the tag of its weights.
        chunk_frames: frames that go through a block at once. This bounds the temporary memory of a block (four times
            the tokens and more inside its MLP) for any batch size.
        keep_projection: keep the model's last linear layer, which maps to the space shared with texts.
        projection_bias: keep the bias of that layer; by default only EVA's.
        keep_pooling: `pool` pools as the model does, such as with attention; default: it takes the summary token.
        samples: values of the weights before they were cast, for the fingerprint; default: those of `model`.

    Attributes:
        name, chunk_frames: as given.
        projection: the last linear layer, D -> E, or the identity (SigLIP); None without `keep_projection`.
        pooling: the model's own pooling; None: `pool` takes the summary token.
        width: D, channels of a token.
        num_blocks: L.
        image_size: height and width of a frame, pixels.
        patch_size: height and width of a patch, pixels.
        num_patches: N, tokens per frame without the summary token.
        mean, std: mean and standard deviation per channel (red, green, blue) for normalising frames between 0 and 1.
        interpolation: "bicubic", "bilinear" ...: how images were resized when the model was trained.
        quantised: "none", or the precision that `quantise` gave the weights inside the blocks.

    Raises:
        ValueError: unsupported class, images that are not square, or chunk_frames below 1.

    >>> from side4video import load_backbone
    >>> backbone = load_backbone("vit_tiny_patch16_224", weights="random", image_size=64, model_args={"depth": 2})
    >>> frames = torch.zeros(1, 4, 3, 64, 64)  # (B, T, 3, H, W)
    >>> [(tokens.block, tuple(tokens.patches.shape)) for tokens in backbone.iterate(frames, taps=[0, 1])]
    [(0, (1, 4, 16, 192)), (1, (1, 4, 16, 192))]
    """

    def __init__(
        self,
        model: Any,
        *,
        name: str,
        chunk_frames: int = 64,
        keep_projection: bool = False,
        projection_bias: bool | None = None,
        keep_pooling: bool = False,
        samples: list[Sample] | None = None,
    ) -> None:
        super().__init__()
        if chunk_frames < 1:
            raise ValueError(f"{chunk_frames = } must be at least 1: the frames that go through a block at once.")
        if type(model) not in MODEL_CLASSES:
            raise ValueError(unsupported_message(name, type(model).__name__))
        self.projection = projection_of(model, with_bias=projection_bias) if keep_projection else None
        pooled = keep_pooling and model.global_pool != "token"
        self.pooling = FramePooling(model, name=name).requires_grad_(False) if pooled else None
        model.reset_classifier(0, "")
        self.model: Any = model.requires_grad_(False)
        self.name = name
        self.chunk_frames = chunk_frames
        self.width: int = model.embed_dim
        self.num_blocks = len(model.blocks)
        self.image_size, rows = square_grid(model, name)
        self.patch_size = self.image_size // rows  # patch_embed.patch_size is 1 after a convolutional stem
        self.num_patches = rows**2
        data = resolve_model_data_config(model)
        self.mean: tuple[float, ...] = tuple(data["mean"])
        self.std: tuple[float, ...] = tuple(data["std"])
        self.interpolation: str = data["interpolation"]
        self.quantised: Literal["none", "int8", "nf4"] = "none"
        self._shards: ShardedBlocks | None = None
        self._samples = samples  # of the weights before a cast and before quantisation
        self.train(False)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the computation, the tokens, and the weights that are not quantised."""
        return next(self.model.patch_embed.parameters()).dtype

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that identify the weights.

        Two halves, each the SHA-256 of the architecture's name and of each tensor's name, shape and about 256 values:
        rounded to bfloat16, and rounded to float16 first. So a 16-bit copy of the weights shares a half. The result is
        the same on any device, in any dtype, for any image size, and before and after `quantise`. It distinguishes
        models but does not prove that every value is intact. The first call takes well below a second.
        """
        return weights_fingerprint(architecture_of(self.name), self._weight_samples())

    def has_fingerprint(self, given: str) -> bool:
        """Whether a fingerprint is of these weights, or of a 16-bit copy of them.

        Args:
            given: a result of `fingerprint`, or the 16 digits that earlier versions of this package stored.
        """
        if len(given) == 16:
            return given in earlier_fingerprints(architecture_of(self.name), self._weight_samples())
        return same_weights(given, self.fingerprint)

    @property
    def preprocessing(self) -> Preprocessing:
        """How pictures are prepared for the model."""
        return Preprocessing(self.mean, self.std, self.interpolation)

    def set_preprocessing(self, preprocessing: Preprocessing) -> None:
        """Replace the preprocessing of timm's table, by that of training or of the weights' own config."""
        self.mean, self.std = preprocessing.mean, preprocessing.std
        self.interpolation = preprocessing.interpolation

    def _weight_samples(self) -> list[Sample]:
        return self._samples or sample_weights(self.model)

    @property
    def embed_dim(self) -> int | None:
        """E, width of the space shared with texts; None without a projection."""
        if self.projection is None:
            return None
        return self.projection.out_features if isinstance(self.projection, nn.Linear) else self.width

    @property
    def final_norm(self) -> nn.Module:
        """The model's last norm, on D channels, if it follows the pooling; else the identity."""
        norm_first = self.pooling is not None and self.pooling.norm_first
        return self.model.fc_norm if norm_first or isinstance(self.model.norm, nn.Identity) else self.model.norm

    def quantise(self, precision: Precision) -> Self:
        """Store the weights of all linear layers inside the blocks in 8 or 4 bits; everything else stays in `dtype`.

        Tokens and computation stay in `dtype`: each layer unpacks its weight on its device while it runs, then frees
        it. This cannot be undone.

        Args:
            precision: "int8" or "nf4", see `side4video.models.backbones.quantisation`.

        Raises:
            ValueError: unknown precision, or the backbone is quantised already.
            ModuleNotFoundError: bitsandbytes is not installed.
        """
        if self.quantised != "none":
            raise ValueError(f"{self.name} is quantised already. Load it again to change the precision.")
        samples = self._weight_samples()
        quantise_linear_layers(self.model.blocks, precision)
        self._samples, self.quantised = samples, precision
        return self

    def shard(self) -> None:
        """Distribute the weights of the blocks over all processes (FSDP); a block is whole only while it runs.

        All processes then run the same blocks, in passes of any number of frames. Each calls `finish_passes` after its
        last pass of a step or an evaluation.
        """
        from side4video.models.backbones.sharding import ShardedBlocks  # others need no FSDP

        assert self.fingerprint  # computed now, from whole weights: later only one process reads it
        self._shards = ShardedBlocks(self.model.blocks)

    def finish_passes(self) -> None:
        """Take part in the further passes of other processes if the weights are sharded; otherwise do nothing."""
        if self._shards is not None:
            self._shards.finish()

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002
        """Ignore `mode` and stay in eval mode."""
        return super().train(False)

    def iterate(self, frames: Clips, taps: Iterable[int]) -> Iterator[BlockTokens]:
        """Run the model on every frame and yield the tokens after each tapped block.

        It keeps nothing: a block's tokens are freed when the caller drops them, autograd stores nothing, and
        blocks after the last tap are not computed.

        Args:
            frames: (B, T, 3, H, W), normalised with `mean` and `std`, H = W = `image_size`; cast to `dtype`, one chunk
                at a time.
            taps: block indices, 0 to `num_blocks` - 1, in any order; duplicates are ignored.

        Yields:
            One `BlockTokens` per tap, in ascending order, in `dtype`.

        Raises:
            ValueError: wrong shape or dtype of frames, or no such block. Raised by this call, not by the first `next`.
        """
        blocks = sorted(set(taps))
        if blocks and not 0 <= blocks[0] <= blocks[-1] < self.num_blocks:
            raise ValueError(f"taps = {blocks}: {self.name} has blocks 0 to {self.num_blocks - 1}. Tap only these.")
        self.check_frames(frames)
        return self._iterate(frames, blocks)

    def pool(self, tokens: BlockTokens) -> FrameEmbeddings:
        """One vector per frame, (B, T, D), of the last block's tokens, after `final_norm`. Gradients pass through."""
        with without_autocast(tokens.summary.device.type):
            return self.final_norm(self.pool_tokens(tokens))

    def pool_tokens(self, tokens: BlockTokens) -> FrameEmbeddings:
        """One vector per frame before the final norm, (B, T, D): the summary token, or the result of `pooling`."""
        if self.pooling is None:
            return tokens.summary.to(self.dtype).squeeze(2)
        with without_autocast(tokens.summary.device.type):
            pooled = self._pool(tokens.patches.flatten(0, 1), tokens.summary.flatten(0, 1))
        return pooled.unflatten(0, tokens.patches.shape[:2])

    def check_frames(self, frames: Clips) -> None:
        """Check clips before a model computes anything; see `frame_checks.py`."""
        device = next(self.model.patch_embed.parameters()).device
        check_frames(frames, name=self.name, side=self.image_size, device=device, mean=self.mean, std=self.std)

    def _iterate(self, frames: Clips, blocks: list[int]) -> Iterator[BlockTokens]:
        B, T = frames.shape[:2]  # noqa: N806
        if not blocks:
            return
        if self._shards is not None:
            self._shards.start_pass(blocks[-1] + 1)
        # The context is entered again for every block: if it spanned a yield, it would leak to the caller.
        with frozen(frames.device.type):
            x, ropes = self._embed(frames.flatten(0, 1))  # (B*T, prefix + N, D)
        yielded = False
        for block in range(blocks[-1] + 1):
            whole = nullcontext() if self._shards is None else self._shards.whole(block)
            with frozen(frames.device.type), whole:
                x = self._run_block(x, block, ropes, in_place=not yielded)
            yielded = block in blocks
            if yielded:
                yield self._split_tokens(x.unflatten(0, (B, T)), block)

    def _fits_one_chunk(self, frames: Tensor) -> bool:
        # An exported program takes any number of frames, so the number must not decide; its runtime manages memory.
        return torch.compiler.is_exporting() or len(frames) <= self.chunk_frames

    def _embed(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Images (B*T, 3, H, W) to tokens (B*T, prefix + N, D), and rotary positions if the model has them."""
        if self._fits_one_chunk(images):
            return self._embed_chunk(images)
        x, ropes = None, None
        for start in range(0, len(images), self.chunk_frames):
            chunk, ropes = self._embed_chunk(images[start : start + self.chunk_frames])  # ropes: the same for all
            if x is None:
                x = chunk.new_empty(len(images), *chunk.shape[1:])
            x[start : start + self.chunk_frames] = chunk
        assert x is not None
        return x, ropes

    def _embed_chunk(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        model, images = self.model, images.to(self.dtype)
        if isinstance(model, Eva):
            x, ropes = model._pos_embed(model.patch_embed(images))
            return model.norm_pre(x), ropes
        return model.norm_pre(model.patch_drop(model._pos_embed(model.patch_embed(images)))), None

    def _run_block(self, x: Tensor, block: int, ropes: Tensor | None, *, in_place: bool) -> Tensor:
        """Tokens (B*T, prefix + N, D) after a block; `in_place`: the caller does not hold `x`, overwrite it."""
        if self._fits_one_chunk(x):
            return self._run_block_chunk(x, block, ropes)
        out = x if in_place else torch.empty_like(x)
        for source, target in zip(x.split(self.chunk_frames), out.split(self.chunk_frames), strict=True):
            target.copy_(self._run_block_chunk(source, block, ropes))
        return out

    def _run_block_chunk(self, x: Tensor, block: int, ropes: Tensor | None) -> Tensor:
        if not isinstance(self.model, Eva):
            return self.model.blocks[block](x)
        if ropes is not None and self.model.rope_mixed:
            ropes = ropes[block]  # learned rotations differ from block to block
        return self.model.blocks[block](x, rope=ropes)

    def _pool(self, patches: Tensor, summary: Tensor) -> Tensor:
        """Own pooling of patches (B*T, N, D) and summary tokens (B*T, 1, D): (B*T, D)."""
        if self._fits_one_chunk(patches):
            return self._pool_chunk(patches, summary)
        chunks = zip(patches.split(self.chunk_frames), summary.split(self.chunk_frames), strict=True)
        return torch.cat([self._pool_chunk(*chunk) for chunk in chunks])

    def _pool_chunk(self, patches: Tensor, summary: Tensor) -> Tensor:
        assert self.pooling is not None
        return self.pooling(patches.to(self.dtype), summary.to(self.dtype), self.model.norm)

    def _split_tokens(self, x: Tensor, block: int) -> BlockTokens:
        """Split (B, T, prefix + N, D); the prefix is the class token, then registers or a distillation token."""
        patches = x[:, :, self.model.num_prefix_tokens :]
        has_class_token = self.model.cls_token is not None
        return BlockTokens(block, patches, x[:, :, :1] if has_class_token else patches.mean(2, keepdim=True))
