"""Frozen image models that hand over their tokens block by block.

Every Vision Transformer of timm that keeps one grid of tokens from its first block to its last will do: CLIP, EVA-02,
SigLIP, DINOv2 and DINOv3, MAE, DeiT, Perception Encoder and others, see `list_backbones`.
"""

import difflib
import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import timm
import torch
from timm.data import resolve_model_data_config
from timm.models import model_entrypoint
from timm.models.deit import VisionTransformerDistilled
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from side4video.models.autocast import without_autocast
from side4video.models.fingerprint import Sample, fingerprint, sample_weights
from side4video.models.quantisation import Precision, quantise_linear_layers
from side4video.models.weight_files import check_fit, read_weights
from side4video.shapes import Clips, FrameEmbeddings, SummaryTokens, Tokens

_CLASSES = (VisionTransformer, VisionTransformerDistilled, Eva)
# Tensors of a weight file that belong to a head or to a pre-training task, which no side network reads.
_IGNORED = ("head", "fc.", "attn_pool.", "pre_logits.", "lm_head.", "decoder_", "mask_token")
# What timm's own builders tell the converter of a weight file for some names; the first match counts.
_CONVERTER_OPTIONS: dict[str, dict[str, Any]] = {
    "deit3": {"adapt_layer_scale": True},
    "flexivit": {"interpolation": "bilinear", "antialias": False},
    "base_patch16_radio_v3": {"interpolation": "bilinear", "antialias": False, "align_corners": True},
    "huge_patch16_radio_v3": {"interpolation": "bilinear", "antialias": False, "align_corners": True},
    "radio": {"interpolation": "bilinear", "antialias": False, "align_corners": False},
}


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
        if type(model) not in _CLASSES:
            raise ValueError(_refusal(name, type(model).__name__))
        self.projection: nn.Linear | None = _projection(model) if keep_projection else None
        model.reset_classifier(0, "")
        self.model: Any = model.requires_grad_(False)
        self.name = name
        self.chunk_frames = chunk_frames
        self.width: int = model.embed_dim
        self.num_blocks = len(model.blocks)
        rows, columns = model.patch_embed.grid_size
        height, width = model.patch_embed.img_size
        if height != width or rows != columns or height % rows or height % model.patch_embed.patch_size[0]:
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
        return fingerprint(_architecture(self.name), self._samples or sample_weights(self.model))

    @property
    def final_norm(self) -> nn.Module:
        """The model's last norm, on D channels; models made for average pooling have it behind the pooling."""
        return self.model.fc_norm if isinstance(self.model.norm, nn.Identity) else self.model.norm

    def quantise(self, precision: Precision) -> Self:
        """Keep the weights of all linear layers inside the blocks in 8 or 4 bits; everything else stays in `dtype`.

        Tokens and computation stay in `dtype`: a layer's weight is unpacked while the layer runs, on its device, and
        freed. It cannot be undone.

        Args:
            precision: "int8" or "nf4", see `side4video.models.quantisation`.

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
        handed_over = False
        for block in range(blocks[-1] + 1):
            with _frozen(frames.device.type):
                x = self._advance(x, block, ropes, in_place=not handed_over)
            handed_over = block in blocks
            if handed_over:
                yield self._hand_over(x.unflatten(0, (B, T)), block)

    def _goes_at_once(self, frames: Tensor) -> bool:
        # An exported program takes any number of frames, so that no number may decide; and memory is its runtime's.
        return torch.compiler.is_exporting() or len(frames) <= self.chunk_frames

    def _embed(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Images (B*T, 3, H, W) to tokens (B*T, prefix + N, D) and rotary positions, if the model has any."""
        if self._goes_at_once(images):
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

    def _advance(self, x: Tensor, block: int, ropes: Tensor | None, *, in_place: bool) -> Tensor:
        """Tokens (B*T, prefix + N, D) behind a block; `in_place`: nobody else holds `x`, it may be written over."""
        if self._goes_at_once(x):
            return self._advance_chunk(x, block, ropes)
        out = x if in_place else torch.empty_like(x)
        for before, behind in zip(x.split(self.chunk_frames), out.split(self.chunk_frames), strict=True):
            behind.copy_(self._advance_chunk(before, block, ropes))
        return out

    def _advance_chunk(self, x: Tensor, block: int, ropes: Tensor | None) -> Tensor:
        if not isinstance(self.model, Eva):
            return self.model.blocks[block](x)
        if ropes is not None and self.model.rope_mixed:
            ropes = ropes[block]  # learned rotations: each block has its own
        return self.model.blocks[block](x, rope=ropes)

    def _hand_over(self, x: Tensor, block: int) -> BlockTokens:
        """Split (B, T, prefix + N, D); prefix tokens are the class token, then registers or a distillation token."""
        patches = x[:, :, self.model.num_prefix_tokens :]
        has_class_token = self.model.cls_token is not None
        return BlockTokens(block, patches, x[:, :, :1] if has_class_token else patches.mean(2, keepdim=True))


def _projection(model: Any) -> nn.Linear:
    """timm's head as the projection of a CLIP model: only EVA's has a bias, for the others timm makes zeros up."""
    head = model.head.requires_grad_(False)
    if not isinstance(model, Eva):
        head.bias = None
    return head


def list_backbones() -> list[str]:
    """Names of all models that `load_backbone` takes, sorted; timm's, without tags."""
    return [name for name in timm.list_models() if _class_name(name) in {known.__name__ for known in _CLASSES}]


@dataclass(frozen=True)
class WeightsSource:
    """Where the hub's weights of a backbone come from.

    Attributes:
        repo_id: the repository on the Hugging Face hub; None: they are elsewhere, or there are none.
        license: as timm knows it, such as "apache-2.0"; None: unknown.
    """

    repo_id: str | None
    license: str | None


def weights_source(name: str) -> WeightsSource:
    """What timm knows of the weights that `load_backbone` takes from the hub; nothing is downloaded."""
    settings = timm.get_pretrained_cfg(name)
    return WeightsSource(settings.hf_hub_id, settings.license) if settings else WeightsSource(None, None)


def load_backbone(
    name: str,
    *,
    weights: str | Path = "hub",
    image_size: int | None = None,
    dtype: torch.dtype = torch.float32,
    quantise: Literal["none", "int8", "nf4"] = "none",
    chunk_frames: int = 64,
    model_args: dict[str, Any] | None = None,
    projection_width: int | None = None,
    seed: int = 0,
) -> FrozenBackbone:
    """Build a backbone by its name in timm and fill it.

    Args:
        name: one of `list_backbones`, such as "vit_base_patch16_clip_quickgelu_224". A tag of weights may follow, such
            as ".openai"; without one, timm's default weights and normalisation are meant.
        weights: "hub" (downloaded from the Hugging Face hub once and kept there), "random", or the path of a file:
            `.safetensors`, or one of `torch.save` with tensors only (`.pt`, `.pth`), with timm's names or those of
            the model's authors. Nothing in a file is executed. Heads in it are ignored.
        image_size: height and width of the frames, pixels; default: the model's own. Position tables are resampled.
        dtype: of weights and tokens.
        quantise: keep the weights inside the blocks in 8 bits ("int8") or 4 ("nf4"), see `FrozenBackbone.quantise`.
        chunk_frames: frames that go through a block at once, see `FrozenBackbone`.
        model_args: further arguments of timm's model, e.g. `{"depth": 4, "embed_dim": 128}`.
        projection_width: E, keep the projection into the space of that width which a CLIP model shares with its texts;
            default: leave it out.
        seed: of random weights; the global random state is left as it was.

    The model is built on the current default device: `with torch.device("cuda"):` spares a large one the way through
    the processor, and `with torch.device("meta"):` gives random weights that take no memory, for counting.

    Raises:
        ValueError: an unknown name or tag, a kind of model that cannot be used, a file that does not fit the model.
        FileNotFoundError: there is no such file.
        OSError: the hub's weights cannot be had.
        ModuleNotFoundError: it is to be quantised and bitsandbytes is not installed.
    """
    _check_name(name)
    _check_model_args(model_args or {})
    args = dict(model_args or {}) | ({} if image_size is None else {"img_size": image_size})
    if projection_width is not None:
        args |= {"num_classes": projection_width, "global_pool": "token"}
    if weights == "hub":
        model = _build_from_hub(name, args)
    elif weights == "random":
        model = _build_random(name, args, seed)
    else:
        model = _build_from_file(name, args, Path(weights))
    keep = projection_width is not None
    backbone = FrozenBackbone(model.to(dtype), name=name, chunk_frames=chunk_frames, keep_projection=keep)
    return backbone if quantise == "none" else backbone.quantise(quantise)


def _architecture(name: str) -> str:
    return name.partition(".")[0]


def _class_name(name: str) -> str:
    """The class that a timm model will be of, read from its builder's annotation: nothing is built or downloaded."""
    builder = model_entrypoint(name)
    return getattr(builder.__annotations__.get("return"), "__name__", builder.__module__.rpartition(".")[2])


def _refusal(name: str, class_name: str) -> str:
    known = ", ".join(known.__name__ for known in _CLASSES)
    return (
        f"{name} is of timm's class {class_name}. A side network needs the same grid of tokens behind every block, so "
        f"a backbone is one of {known}. list_backbones() names them, such as vit_base_patch16_clip_quickgelu_224."
    )


def _check_name(name: str) -> None:
    """Refuse what cannot work before anything is built or downloaded."""
    if not timm.is_model(name):
        close = difflib.get_close_matches(_architecture(name), list_backbones(), n=5)
        hint = f"Did you mean {', '.join(close)}?" if close else "See list_backbones()."
        raise ValueError(f"timm has no model {name!r}. {hint}")
    if _class_name(name) not in {known.__name__ for known in _CLASSES}:
        raise ValueError(_refusal(name, _class_name(name)))
    tags = timm.list_pretrained(f"{_architecture(name)}.*")
    if "." in name and name not in tags:
        known = ", ".join(tags) or "no tags at all"
        raise ValueError(f"{name!r} has a tag that timm does not know. There are: {known}.")


def _check_model_args(model_args: Mapping[str, Any]) -> None:
    """Let arguments of timm's model classes alone through: its `create_model` has others, which read files."""
    known = {name for kind in _CLASSES for name in inspect.signature(kind.__init__).parameters} - {
        "self",
        "args",
        "kwargs",
    }
    if unknown := sorted(model_args.keys() - known):
        close = difflib.get_close_matches(unknown[0], known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"model_args: timm's models have no {', '.join(unknown)}.{hint}")


@contextmanager
def _frozen(device_type: str) -> Iterator[None]:
    with torch.no_grad(), without_autocast(device_type):
        yield


def _build_random(name: str, args: dict[str, Any], seed: int) -> Any:
    device = torch.get_default_device()
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(cuda):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would also reseed devices that are not restored
        if cuda:
            torch.cuda.manual_seed(seed)
        return timm.create_model(name, **args)


def _build_from_hub(name: str, args: dict[str, Any]) -> Any:
    # With its own head timm loads strictly; with num_classes=0 it would pass over missing tensors, and with a number
    # that is not the weights' own it would leave the head random.
    settings = timm.get_pretrained_cfg(name)
    own = settings.num_classes if settings else None
    if args.get("num_classes", own) != own:
        raise ValueError(
            f"The weights of {name} project into {own} dimensions, not {args['num_classes']}. Use a text tower of the "
            "same model."
        )
    try:
        return timm.create_model(name, pretrained=True, **args)
    except (OSError, RuntimeError, ValueError) as error:
        raise OSError(
            f"The hub's weights of {name} cannot be loaded ({type(error).__name__}: {error}). Without a connection, "
            "download the file elsewhere and give its path as weights; model_args must fit the weights."
        ) from error


def _build_from_file(name: str, args: dict[str, Any], path: Path) -> Any:
    state = read_weights(path)
    device = torch.get_default_device()
    with torch.device("meta"):  # no time spent on random values that the file replaces
        model: Any = timm.create_model(name, **args)
        if "num_classes" not in args:
            model.reset_classifier(0, "")
    model.to_empty(device=device)
    for module in model.modules():
        if restore := getattr(module, "init_non_persistent_buffers", None):  # rotary tables are in no file
            restore()
    # The converter of the builder's own module knows the names that the model's authors used.
    convert = sys.modules[model_entrypoint(name).__module__].checkpoint_filter_fn
    options = next((options for part, options in _CONVERTER_OPTIONS.items() if part in name), {})
    state = convert(state, model, **options)
    check_fit(state, model.state_dict(), ignored=_IGNORED, what=f"{path} as weights of {name}")
    model.load_state_dict(state, strict=False)
    return model
