"""The command `export`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro


@dataclass(frozen=True)
class ExportArguments:
    """Write an adapter and its backbone as one model that runs without this package.

    Examples:
        >>> tyro.cli(ExportArguments, args=["adapter", "model.onnx"]).out
        PosixPath('model.onnx')
    """

    adapter: tyro.conf.Positional[Path]
    """Adapter folder, run folder (its best adapter is used), or name on the Hugging Face hub: user/name."""
    out: tyro.conf.Positional[Path]
    """File to write: .onnx (requires the extra `export`), or .pt2 for torch.export."""
    backbone_weights: str | None = None
    """Local weights file of the backbone. Default: the weights that training used."""
    dtype: Literal["float32", "float16"] = "float32"
    """Number type of weights and computation. float16 halves the file; inputs and outputs stay float32."""
    dynamic_frames: bool = False
    """Let the number of frames be any from 3 on. Scores are most accurate with the number that the adapter was trained
    with."""
    opset: int | None = None
    """Version of the ONNX operators, 18 or more. Default: that of torch."""


def export(arguments: list[str]) -> int:
    """Run `side4video export`; returns the exit code."""
    given = tyro.cli(ExportArguments, prog="side4video export", args=arguments)

    from side4video.sharing.export import export_adapter

    exported = export_adapter(
        given.adapter,
        given.out,
        backbone_weights=given.backbone_weights,
        dtype=given.dtype,
        dynamic_frames=given.dynamic_frames,
        opset=given.opset,
    )
    print(f"{exported.num_bytes / 1e6:.1f} MB, within {exported.largest_difference:.1e} of PyTorch's outputs")
    print(f"written to {', '.join(map(str, exported.files))}")
    return 0
