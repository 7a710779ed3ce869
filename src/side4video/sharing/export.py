"""An adapter and its backbone as one file that runs without this package: ONNX, or a program of `torch.export`.

Recognition: clips (B, T, 3, H, W) -> logits (B, C). Retrieval: clips -> frame embeddings (B, T, E) and weights (B, T);
its text tower is left out. Any number of clips B; T, H and W are the adapter's.
"""

import json
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from side4video.adapters.adapter import Adapter, load_adapter
from side4video.models.backbones.quantisation import unpack_linear_layers
from side4video.models.retrieval_model import RetrievalModel
from side4video.models.side_tuned_model import SideTunedModel
from side4video.models.video_model import VideoModel

SUFFIXES = (".onnx", ".pt2")
MAX_DIFFERENCE = 1e-3
"""Of an output from PyTorch's, as a share of the largest output; an export that is further off is refused."""
MAX_ONNX_BYTES = 1_900_000_000
"""Bytes of weights that go into the ONNX file itself; more go into a second file beside it (2 GB are the limit)."""
METADATA = "side4video.json"
"""Name of the metadata among the extra files of a `.pt2` file; an ONNX file has each entry in its own metadata."""


@dataclass(frozen=True)
class ExportResult:
    """An exported model, compared with PyTorch's own outputs on random clips.

    Attributes:
        files: the file that was asked for, and for large ONNX models the one with the weights beside it.
        num_bytes: of all of them.
        largest_difference: of any output from PyTorch's, as a share of the largest output.
    """

    files: tuple[Path, ...]
    num_bytes: int
    largest_difference: float


class ExportedModel(nn.Module):
    """What of an adapter's model is exported: clips in, a tuple of tensors out.

    Args:
        model: in eval mode; a retrieval model loses its text tower.
    """

    def __init__(self, model: SideTunedModel) -> None:
        super().__init__()
        if isinstance(model, RetrievalModel):
            model.text = nn.Identity()  # type: ignore[assignment]  # its weights would be written as well
        self.model = model.requires_grad_(False)
        self.output_names = ("logits",) if isinstance(model, VideoModel) else ("frames", "frame_weights")

    def forward(self, clips: Float[Tensor, "B T 3 H W"]) -> tuple[Tensor, ...]:
        """Logits; or frame embeddings and weights."""
        if isinstance(self.model, VideoModel):
            return (self.model(clips),)
        assert isinstance(self.model, RetrievalModel)
        features = self.model.embed_videos(clips)
        return features.frames, features.weights


def export_adapter(adapter: str | Path, out: Path, *, backbone_weights: str | None = None) -> ExportResult:
    """Write an adapter with its backbone as one self-contained model, in float32, and compare it with PyTorch's.

    A backbone that was quantised in training is written unpacked: the same function, in more bytes.

    Args:
        adapter: an adapter folder, a run folder, or a name on the Hugging Face hub.
        out: a `.onnx` or `.pt2` file; replaced once the new one is whole and gives the right outputs.
        backbone_weights: local weights of the backbone; by default what training used.

    Raises:
        ValueError: another kind of file, or the adapter cannot be used.
        FileNotFoundError: no adapter there.
        ModuleNotFoundError: ONNX is wanted and the extra `export` is not installed.
        RuntimeError: the outputs of the exported model differ from PyTorch's.
    """
    check_export_file(out)
    model, read = load_adapter(
        Path(adapter), device=torch.device("cpu"), backbone_weights=backbone_weights, dtype="float32"
    )
    unpack_linear_layers(model.backbone)
    program = ExportedModel(model.eval())
    size = model.backbone.image_size
    clips = torch.randn(3, read.config.data.num_frames, 3, size, size, generator=torch.Generator().manual_seed(0))
    write, run = (_write_onnx, _run_onnx) if out.suffix == ".onnx" else (_write_torch, _run_torch)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder, torch.no_grad():
        made = Path(folder) / out.name
        write(program, clips[:2], made, describe_export(model, read))
        difference = max(_difference(run(made, part), program(part)) for part in (clips[:1], clips))
        if not difference <= MAX_DIFFERENCE:  # NaN is refused too
            raise RuntimeError(
                f"The outputs of the exported model differ from PyTorch's by {difference:.1e}. Not kept."
            )
        files = tuple(path.replace(out.parent / path.name) for path in sorted(made.parent.iterdir()))
    return ExportResult(files, sum(path.stat().st_size for path in files), difference)


def check_export_file(out: Path) -> None:
    """Refuse what cannot be written before anything is loaded.

    Raises:
        ValueError: it is no `.onnx` or `.pt2` file.
        ModuleNotFoundError: ONNX is wanted and the extra `export` is not installed.
    """
    if out.suffix not in SUFFIXES:
        raise ValueError(f"{out}: models are exported to {' or '.join(SUFFIXES)} files.")
    if out.suffix == ".onnx":
        try:
            import onnx  # noqa: F401
            import onnxruntime  # noqa: F401
            import onnxscript  # noqa: F401
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"ONNX files need onnx, onnxscript and onnxruntime ({error}). Install them with: "
                "pip install 'side4video[export]'. A .pt2 file needs none of them."
            ) from error


def describe_export(model: SideTunedModel, adapter: Adapter) -> dict[str, Any]:
    """What a program that runs the exported model must know: frames, preprocessing, class names."""
    data, backbone = adapter.config.data, model.backbone
    return {
        "side4video": version("side4video"),
        "task": adapter.config.task,
        "input": "clips: float32 (batch, frames, 3 = red green blue, height, width), 0..1, then normalised",
        "output": "logits (batch, classes), before softmax; the softmax is averaged over the views of a video"
        if adapter.config.task == "recognition"
        else "frames (batch, frames, embedding), not normalised; frame_weights (batch, frames), which sum to 1",
        "class_names": list(adapter.class_names),
        "frames": {
            "num_frames": data.num_frames,
            "sampling": data.sampling,
            "flavour": data.flavour,
            "stride": data.stride,
        },
        "preprocessing": {
            **_resize(adapter.config.test_resize or round(backbone.image_size * 256 / 224)),
            "crop": "centre",
            "half_pixels": {"even": "round down", "paper": "round to even"}[adapter.config.eval.crop_style],
            "image_size": backbone.image_size,
            "interpolation": backbone.interpolation,
            "mean": list(backbone.mean),
            "std": list(backbone.std),
        },
        "backbone": {"name": backbone.name, "fingerprint": adapter.fingerprint},
    }


def _resize(size: int | tuple[int, int]) -> dict[str, Any]:
    return {"resize_short_side": size} if isinstance(size, int) else {"resize_height_width": list(size)}


def _export(program: ExportedModel, clips: Tensor) -> torch.export.ExportedProgram:
    return torch.export.export(program, (clips,), dynamic_shapes=({0: torch.export.Dim("batch")},))


def _write_torch(program: ExportedModel, clips: Tensor, path: Path, metadata: Mapping[str, Any]) -> None:
    torch.export.save(_export(program, clips), path, extra_files={METADATA: json.dumps(metadata, ensure_ascii=False)})


def _run_torch(path: Path, clips: Tensor) -> list[Tensor]:
    return list(torch.export.load(path).module()(clips))


def _write_onnx(program: ExportedModel, clips: Tensor, path: Path, metadata: Mapping[str, Any]) -> None:
    with redirect_stdout(StringIO()):  # it lists the stages it goes through
        made = torch.onnx.export(
            _export(program, clips),
            dynamo=True,
            input_names=["clips"],
            output_names=list(program.output_names),
        )
    assert made is not None
    for name, value in metadata.items():
        made.model.metadata_props[name] = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    num_bytes = sum(parameter.numel() * parameter.element_size() for parameter in program.parameters())
    made.save(path, external_data=num_bytes > MAX_ONNX_BYTES)


def _run_onnx(path: Path, clips: Tensor) -> list[Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [torch.from_numpy(np.asarray(output)) for output in session.run(None, {"clips": clips.numpy()})]


def _difference(outputs: list[Tensor], expected: tuple[Tensor, ...]) -> float:
    """Largest difference of any output, as a share of the largest."""
    pairs = zip(outputs, expected, strict=True)
    return max(float((one - other).abs().max() / other.abs().max().clamp(min=1e-12)) for one, other in pairs)
