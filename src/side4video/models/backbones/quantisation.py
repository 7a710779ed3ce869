"""Frozen linear layers that store their weights in 8 or 4 bits and unpack them, one layer at a time, as they run."""

import logging
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

BLOCK_SIZE = 64
"""Number of neighbouring weights that share one 32-bit scale; this adds half a bit per weight."""

Precision = Literal["int8", "nf4"]
"""int8: 255 evenly spaced levels. nf4: 16 levels at the quantiles of a normal distribution (arXiv 2305.14314)."""


def import_bitsandbytes(required_by: str) -> Any:
    """Import the optional library bitsandbytes.

    Args:
        required_by: the setting that needs it, named in the error.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    # On some CPUs it warns, at import, about a kernel that nothing here uses.
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
    try:
        import bitsandbytes
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{required_by} needs bitsandbytes ({error}). Install it with: pip install 'side4video[quantised]'"
        ) from error
    return bitsandbytes


class QuantisedLinear(nn.Module):
    """A frozen linear layer whose weight bitsandbytes quantises in blocks of 64.

    The unpacked weight, in the layer's dtype, exists only during a call; activations are never quantised. All state is
    in buffers and parameters. So the layer moves between devices, counts towards memory, and can be built from a layer
    without data (on the device "meta" or in `FakeTensorMode`).

    Args:
        layer: the layer to quantise, on any device; its bias is reused.
        precision: "int8" or "nf4".

    Attributes:
        codes: uint8, one per weight (int8) or per two weights (nf4).
        scales: the largest absolute value of each block: float32 values stored as int32 bits, so that a cast of the
            module, such as `.to(torch.bfloat16)`, does not round them.

    >>> QuantisedLinear(nn.Linear(64, 2), "int8").codes.shape  # needs bitsandbytes
    torch.Size([128])
    """

    codes: Tensor
    scales: Tensor
    levels: Tensor | None
    _dtype_holder: Tensor

    def __init__(self, layer: nn.Linear, precision: Precision) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.precision = precision
        library = import_bitsandbytes(f"quantise = {precision!r}").functional
        # As one row: on a CPU, bitsandbytes 0.50 unpacks rows wrongly whose length is not a multiple of the block size.
        weight = layer.weight.detach().flatten()
        levels = None
        if precision == "int8":
            levels = torch.arange(-127.0, 129.0, device=weight.device).clamp(max=127.0) / 127.0  # must be 256 levels
            codes, state = library.quantize_blockwise(weight, code=levels, blocksize=BLOCK_SIZE)
        else:
            codes, state = library.quantize_4bit(weight, blocksize=BLOCK_SIZE, quant_type="nf4")
        self.register_buffer("codes", codes)
        self.register_buffer("scales", state.absmax.view(torch.int32))
        self.register_buffer("levels", None if levels is None else levels.view(torch.int32))
        self.register_buffer(
            "_dtype_holder", weight.new_empty(0), persistent=False
        )  # holds the dtype and follows its casts
        self.bias = layer.bias

    @property
    def weight(self) -> Float[Tensor, "out in"]:
        """The unpacked weight, computed at each access."""
        import bitsandbytes.functional as library

        state = library.QuantState(
            absmax=self.scales.view(torch.float32),
            shape=torch.Size([self.out_features * self.in_features]),
            code=None if self.levels is None else self.levels.view(torch.float32),
            blocksize=BLOCK_SIZE,
            quant_type="nf4",
            dtype=self._dtype_holder.dtype,
        )
        unpack = library.dequantize_blockwise if self.precision == "int8" else library.dequantize_4bit
        return unpack(self.codes, state).view(self.out_features, self.in_features)

    def forward(self, x: Float[Tensor, "*rows in"]) -> Float[Tensor, "*rows out"]:
        """The layer's output, in the layer's dtype."""
        return F.linear(x, self.weight, self.bias)


def quantise_linear_layers(module: nn.Module, precision: Precision) -> None:
    """Replace every `nn.Linear` inside a module, one by one: only one layer exists in both precisions at a time.

    Raises:
        ValueError: unknown precision.
        ModuleNotFoundError: bitsandbytes is not installed.
    """
    if precision not in get_args(Precision):
        raise ValueError(f"quantise = {precision!r} is not known. Use one of 'none', {', '.join(get_args(Precision))}.")
    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Linear):
                setattr(parent, name, QuantisedLinear(layer, precision))


def unpack_linear_layers(module: nn.Module) -> None:
    """Replace every `QuantisedLinear` inside a module by an `nn.Linear` with the unpacked weight."""
    for parent in list(module.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, QuantisedLinear):
                plain = nn.Linear(layer.in_features, layer.out_features, bias=False).to(layer.codes.device)
                plain.weight = nn.Parameter(layer.weight, requires_grad=False)
                plain.bias = layer.bias
                setattr(parent, name, plain)
