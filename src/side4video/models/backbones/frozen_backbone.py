"""Frozen image models that hand over their tokens block by block.

Every Vision Transformer of timm that keeps one grid of tokens from its first block to its last will do: CLIP, EVA-02,
SigLIP, DINOv2 and DINOv3, MAE, DeiT, Perception Encoder and others. `load_backbone` in `loading.py` loads them by name.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Self

import torch
from timm.data import resolve_model_data_config
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from side4video.models.backbones.autocast import without_autocast
from side4video.models.backbones.fingerprint import Sample, fingerprint, sample_weights
from side4video.models.backbones.quantisation import Precision, quantise_linear_layers
from side4video.shapes import Clips, FrameEmbeddings, SummaryTokens, Tokens

MODEL_CLASSES = (VisionTransformer, VisionTransformerDistilled, Eva)
"""Of timm, whose blocks can be run one by one on the same grid of tokens."""


def architecture_of(name: str) -> str:
    """timm's name of a model without the tag of its weights."""
    return name.partition(".")[0]


def unsupported_message(name: str, class_name: str) -> str:
    """Why a model of another class of timm's is no backbone."""
    known = ", ".join(known.__name__ for known in MODEL_CLASSES)
    return (
        f"{name} is of timm's class {class_name}. A side network needs the same grid of tokens behind every block, so "
        f"a backbone is one of {known}. list_backbones() names them, such as vit_base_patch16_clip_quickgelu_224."
    )


def _projection(model: Any) -> nn.Linear:
    """timm's head as the projection of a CLIP model: only EVA's has a bias, for the others timm makes zeros up."""
    head = model.head.requires_grad_(False)
    if not isinstance(model, Eva):
        head.bias = None
    return head


@contextmanager
def _frozen(device_type: str) -> Iterator[None]:
    with torch.no_grad(), without_autocast(device_type):
        yield


@dataclass(frozen=True)
class BlockTokens:
    """What a backbone knows of a batch of clips after one of its blocks.

    Attributes:
        block: number of the block, from 0.
        patches: (B, T, N, D), one token for each patch, row by row from the top left.
        summary: (B, T, 1, D), one token for each whole frame: the class token; the mean of the patches where the model
            has no class token (SigLIP). Register and distillation tokens are dropped.
    """

    block: int
    patches: Tokens
    summary: SummaryTokens


class FrozenBackbone(nn.Module):
    """An image model that is read but never trained.

    Its parameters need no gradient, it stays in eval mode whatever `train()` says, and it computes in its own dtype,
    untouched by an autocast around it. Its head and its attention pooling, if any, are removed.

    Args:
        model: a timm `VisionTransformer`, `VisionTransformerDistilled` or `Eva` for square RGB images. It is changed.
        name: timm's name of it, with or without the tag of the weights.
        chunk_frames: frames that go through a block at once. What a block needs while it computes, four times the
            tokens and more inside its MLP, is bounded by these frames, however large the batch.
        keep_projection: keep the model's last linear layer, from its width to the space that it shares with texts.

    Attributes:
        name, chunk_frames: as given.
        projection: the last linear layer, D -> E, that `keep_projection` kept, as it was loaded; else None.
        width: D, channels of a token.
        num_blocks: L.
        image_size: height and width of a frame, pixels.
        patch_size: height and width of a patch, pixels.
        num_patches: N, tokens of a frame apart from the summary.
        mean, std: of each channel, red, green, blue, of frames between 0 and 1; what frames are normalised with.
        interpolation: "bicubic", "bilinear" ...: how images were resized when the model was trained.
        quantised: "none", or the precision that `quantise` gave the weights inside the blocks.

    Raises:
        ValueError: the model is of another class, its images are not square, or chunk_frames is no positive number.
    """

    def __init__(self, model: Any, *, name: str, chunk_frames: int = 64, keep_projection: bool = False) -> None:
        super().__init__()
        if chunk_frames < 1:
            raise ValueError(f"{chunk_frames = }: at least one frame must go through a block at once. Use 1 or more.")
        if type(model) not in MODEL_CLASSES:
            raise ValueError(unsupported_message(name, type(model).__name__))
        self.projection: nn.Linear | None = _projection(model) if keep_projection else None
        model.reset_classifier(0, "")
        self.model: Any = model.requires_grad_(False)
        self.name = name
        self.chunk_frames = chunk_frames
        self.width: int = model.embed_dim
        self.num_blocks = len(model.blocks)
        rows, columns = model.patch_embed.grid_size
        height, width = model.patch_embed.img_size
        if height != width or rows != columns or not rows or height % rows or height % model.patch_embed.patch_size[0]:
            raise ValueError(
                f"{name} reads frames of {height}x{width} pixels as {rows}x{columns} patches. Frames must be square "
                "and hold whole patches: give an image_size that is a multiple of the patch side."
            )
        self.image_size: int = height
        self.patch_size: int = height // rows  # patch_embed.patch_size is 1 behind a convolutional stem
        self.num_patches: int = rows * columns
        data = resolve_model_data_config(model)
        self.mean: tuple[float, ...] = tuple(data["mean"])
        self.std: tuple[float, ...] = tuple(data["std"])
        self.interpolation: str = data["interpolation"]
        self.quantised: Literal["none", "int8", "nf4"] = "none"
        self._samples: list[Sample] | None = None  # of the weights as they were before they were quantised
        self.train(False)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the computation, the tokens and, but for quantised ones, the weights."""
        return next(self.model.patch_embed.parameters()).dtype

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that tell one set of weights from another.

        The SHA-256 of the architecture's name and of each tensor's name, shape and about 256 of its values, rounded to
        bfloat16: the same on any device, in float32 and bfloat16, and before and after `quantise`. It tells models
        apart; it is no proof that every value is intact. Computed at the first call, in much less than a second.
        """
        return fingerprint(architecture_of(self.name), self._samples or sample_weights(self.model))

    @property
    def final_norm(self) -> nn.Module:
        """The model's last norm, on D channels; models made for average pooling have it behind the pooling."""
        return self.model.fc_norm if isinstance(self.model.norm, nn.Identity) else self.model.norm

    def quantise(self, precision: Precision) -> Self:
        """Keep the weights of all linear layers inside the blocks in 8 or 4 bits; everything else stays in `dtype`.

        Tokens and computation stay in `dtype`: a layer's weight is unpacked while the layer runs, on its device, and
        freed. It cannot be undone.

        Args:
            precision: "int8" or "nf4", see `side4video.models.backbones.quantisation`.

        Raises:
            ValueError: there is no such precision, or the backbone is quantised already.
            ModuleNotFoundError: bitsandbytes is not installed.
        """
        if self.quantised != "none":
            raise ValueError(f"{self.name} is quantised already. Load it again to quantise it in another way.")
        samples = sample_weights(self.model)
        quantise_linear_layers(self.model.blocks, precision)
        self._samples, self.quantised = samples, precision
        return self

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002
        """Stay in eval mode."""
        return super().train(False)

    def iterate(self, frames: Clips, taps: Iterable[int]) -> Iterator[BlockTokens]:
        """Run the model on every frame and yield the tokens behind each tapped block.

        Nothing is kept: a block's tokens are freed as soon as the caller lets go of them, autograd stores nothing, and
        the blocks behind the last tapped one are not computed.

        Args:
            frames: (B, T, 3, H, W), normalised with `mean` and `std`, H = W = `image_size`; cast to `dtype`, one chunk
                at a time.
            taps: numbers of the blocks, 0 to `num_blocks` - 1, in any order; repeated ones count once.

        Yields:
            One `BlockTokens` for each tap, in ascending order, in `dtype`.

        Raises:
            ValueError: the frames do not fit, or there is no such block. Raised at once, not at the first step.
        """
        blocks = sorted(set(taps))
        if blocks and not 0 <= blocks[0] <= blocks[-1] < self.num_blocks:
            raise ValueError(f"taps = {blocks}: {self.name} has blocks 0 to {self.num_blocks - 1}. Tap only those.")
        self._check_frames(frames)
        return self._iterate(frames, blocks)

    def pool(self, tokens: BlockTokens) -> FrameEmbeddings:
        """One vector for each frame, (B, T, D): the model's own final norm on the summary token.

        Meant for the last block's tokens. Models made for average pooling have their norm behind the pooling: that one
        is taken, on the summary token all the same. Attention pooling (SigLIP) is not used. Gradients pass.
        """
        with without_autocast(tokens.summary.device.type):
            summary = tokens.summary.to(self.dtype)
            return self.model.fc_norm(self.model.norm(summary)).squeeze(2)  # one of the two norms is the identity

    def _check_frames(self, frames: Clips) -> None:
        side = self.image_size
        if frames.ndim != 5 or frames.shape[2:] != (3, side, side):
            raise ValueError(
                f"Frames have the shape {tuple(frames.shape)}; {self.name} reads (B, T, 3, {side}, {side}). Resize or "
                f"crop them to {side} pixels, or load the backbone with another image_size."
            )
        if not frames.is_floating_point():
            raise ValueError(
                f"Frames are {frames.dtype}; they must be floating point. Divide by 255 and normalise with mean "
                f"{self.mean} and std {self.std}."
            )

    def _iterate(self, frames: Clips, blocks: list[int]) -> Iterator[BlockTokens]:
        B, T = frames.shape[:2]  # noqa: N806
        if not blocks:
            return
        # The context is entered anew for every block: one that spans a yield would leak to the caller.
        with _frozen(frames.device.type):
            x, ropes = self._embed(frames.flatten(0, 1))  # (B*T, prefix + N, D)
        yielded = False
        for block in range(blocks[-1] + 1):
            with _frozen(frames.device.type):
                x = self._run_block(x, block, ropes, in_place=not yielded)
            yielded = block in blocks
            if yielded:
                yield self._split_tokens(x.unflatten(0, (B, T)), block)

    def _fits_one_chunk(self, frames: Tensor) -> bool:
        # An exported program takes any number of frames, so that no number may decide; and memory is its runtime's.
        return torch.compiler.is_exporting() or len(frames) <= self.chunk_frames

    def _embed(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Images (B*T, 3, H, W) to tokens (B*T, prefix + N, D) and rotary positions, if the model has any."""
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
        """Tokens (B*T, prefix + N, D) behind a block; `in_place`: nobody else holds `x`, it may be written over."""
        if self._fits_one_chunk(x):
            return self._run_block_chunk(x, block, ropes)
        out = x if in_place else torch.empty_like(x)
        for before, behind in zip(x.split(self.chunk_frames), out.split(self.chunk_frames), strict=True):
            behind.copy_(self._run_block_chunk(before, block, ropes))
        return out

    def _run_block_chunk(self, x: Tensor, block: int, ropes: Tensor | None) -> Tensor:
        if not isinstance(self.model, Eva):
            return self.model.blocks[block](x)
        if ropes is not None and self.model.rope_mixed:
            ropes = ropes[block]  # learned rotations: each block has its own
        return self.model.blocks[block](x, rope=ropes)

    def _split_tokens(self, x: Tensor, block: int) -> BlockTokens:
        """Split (B, T, prefix + N, D); prefix tokens are the class token, then registers or a distillation token."""
        patches = x[:, :, self.model.num_prefix_tokens :]
        has_class_token = self.model.cls_token is not None
        return BlockTokens(block, patches, x[:, :, :1] if has_class_token else patches.mean(2, keepdim=True))
