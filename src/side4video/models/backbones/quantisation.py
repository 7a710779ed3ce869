"""Frozen linear layers whose weights are kept in 8 or 4 bits and unpacked, one layer at a time, while they compute."""

import logging
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

BLOCK_SIZE = 64
"""Neighbouring weights that share one scale, a 32-bit number: half a bit more for each weight."""

Precision = Literal["int8", "nf4"]
"""int8: 255 evenly spaced levels. nf4: 16 levels at the quantiles of a normal distribution (arXiv 2305.14314)."""


def import_bitsandbytes(wanted_for: str) -> Any:
    """The library bitsandbytes, which only some settings need.

    Args:
        wanted_for: the setting that needs it, named in the error.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    # On some CPUs it complains, at import, of a kernel that nothing here uses.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    try:
        import bitsandbytes
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{wanted_for} needs bitsandbytes ({error}). Install it with: pip install 'side4video[quantised]'"
        ) from error
    return bitsandbytes


class QuantisedLinear(nn.Module):
    """A linear layer that cannot be trained; bitsandbytes packs its weight, in blocks of 64, and unpacks it.

    The unpacked weight, in the dtype of the layer, lives as long as one call; what flows through is never quantised.
    Everything that is kept is a buffer or a parameter, so that the layer moves between devices, is counted, and can
    be built from a layer without data (on the device "meta" or in `FakeTensorMode`) as any other.

    Args:
        layer: its weight is read where it lies; its bias is taken over.
        precision: "int8" or "nf4".

    Attributes:
        codes: uint8, one for each weight, or for each two of them.
        scales: the largest absolute value of each block, float32 numbers kept as int32 bits: a cast of the module,
            such as `.to(torch.bfloat16)`, must not round them.
    """

    codes: Tensor
    scales: Tensor
    levels: Tensor | None
    _like: Tensor

    def __init__(self, layer: nn.Linear, precision: Precision) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.precision = precision
        library = import_bitsandbytes(f"quantise = {precision!r}").functional
        # As one row: unpacking on a CPU goes wrong (bitsandbytes 0.50) where rows are no multiple of the block size.
        weight = layer.weight.detach().flatten()
        levels = None
        if precision == "int8":
            levels = torch.arange(-127.0, 129.0, device=weight.device).clamp(max=127.0) / 127.0  # 256 are expected
            codes, state = library.quantize_blockwise(weight, code=levels, blocksize=BLOCK_SIZE)
        else:
            codes, state = library.quantize_4bit(weight, blocksize=BLOCK_SIZE, quant_type="nf4")
        self.register_buffer("codes", codes)
        self.register_buffer("scales", state.absmax.view(torch.int32))
        self.register_buffer("levels", None if levels is None else levels.view(torch.int32))
        self.register_buffer("_like", weight.new_empty(0), persistent=False)  # has the dtype, casts of it included
        self.bias = layer.bias

    @property
    def weight(self) -> Float[Tensor, "out in"]:
        """The unpacked weight, made anew at each call."""
        import bitsandbytes.functional as library

        state = library.QuantState(
            absmax=self.scales.view(torch.float32),
            shape=torch.Size([self.out_features * self.in_features]),
            code=None if self.levels is None else self.levels.view(torch.float32),
            blocksize=BLOCK_SIZE,
            quant_type="nf4",
            dtype=self._like.dtype,
        )
        unpack = library.dequantize_blockwise if self.precision == "int8" else library.dequantize_4bit
        return unpack(self.codes, state).view(self.out_features, self.in_features)

    def forward(self, x: Float[Tensor, "*rows in"]) -> Float[Tensor, "*rows out"]:
        """The layer's output, in its dtype."""
        return F.linear(x, self.weight, self.bias)


def quantise_linear_layers(module: nn.Module, precision: Precision) -> None:
    """Replace every `nn.Linear` inside a module, one by one: the float weights of only one lie beside its new ones.

    Raises:
        ValueError: there is no such precision.
        ModuleNotFoundError: bitsandbytes is not installed.
    """
    if precision not in get_args(Precision):
        raise ValueError(f"quantise = {precision!r} is not known. Use one of 'none', {', '.join(get_args(Precision))}.")
    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Linear):
                setattr(parent, name, QuantisedLinear(layer, precision))


def unpack_linear_layers(module: nn.Module) -> None:
    """Put an ordinary `nn.Linear` with the unpacked weight in the place of every `QuantisedLinear` inside a module."""
    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, QuantisedLinear):
                plain = nn.Linear(layer.in_features, layer.out_features, bias=False).to(layer.codes.device)
                plain.weight = nn.Parameter(layer.weight, requires_grad=False)
                plain.bias = layer.bias
                setattr(parent, name, plain)
