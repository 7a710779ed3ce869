"""Accuracy and bytes of a frozen backbone in fewer bits.

python benchmarks/frozen_precision.py --data ucf3 --weights vit_tiny_patch16_224.safetensors

`--data` holds train.txt and test.txt (`path label` lines) and videos/. For every precision: bytes of frozen weights,
the relative error of the last block's tokens on real clips, and the top-1 of a linear probe on the frozen features.
`--train` also trains the side network of the recipe own-clips on each. Also prints the bytes of the paper's backbones.
Accuracies and bytes do not depend on what else the machine does; no times are measured.
"""

import datetime
import platform
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import torch
import tyro
from torch import Tensor

from side4video.atomic_files import write_json
from side4video.config import MODEL_PRESETS, RunConfig, load_config
from side4video.data.loading.batch import Batch
from side4video.data.loading.loader import test_loader
from side4video.models.backbones.loading import FrozenBackbone, load_backbone
from side4video.tasks.clips import evaluation_clips
from side4video.tasks.recognition.data import RecognitionData, as_evaluated, read_data
from side4video.tasks.recognition.linear_probe import LinearProbe, frozen_features
from side4video.tasks.recognition.metrics import top_k_accuracy
from side4video.training.loop import train

CPU = torch.device("cpu")
PRESETS = ("b16", "l14", "e14")
CLIPS_COMPARED = 16
"""Test clips, evenly spread, whose tokens are compared with those in 32 bits."""


@dataclass(frozen=True)
class Precision:
    """How frozen weights are kept, and the number type of everything else and of the computation."""

    quantise: Literal["none", "int8", "nf4"]
    dtype: Literal["float32", "bfloat16", "float16"]

    @property
    def name(self) -> str:
        """As in the tables."""
        return self.dtype if self.quantise == "none" else f"{self.quantise}, {self.dtype}"


PRECISIONS = (
    Precision("none", "float32"),  # what the others are compared with
    Precision("none", "bfloat16"),
    Precision("none", "float16"),
    Precision("int8", "float32"),
    Precision("int8", "bfloat16"),
    Precision("nf4", "float32"),
    Precision("nf4", "bfloat16"),
)


@dataclass(frozen=True)
class Arguments:
    """What to measure on."""

    data: Path
    weights: Path
    """File of the backbone's weights, or "random"."""
    backbone: str = "vit_tiny_patch16_224"
    image_size: int | None = None
    out: Path = Path("docs/figures/frozen-precision.json")
    train: bool = False
    """Also train the side network of own-clips in every precision."""
    epochs: int = 10
    """Of that training."""
    seeds: tuple[int, ...] = (1024,)
    """Of that training; top-1 is the mean over them."""


@dataclass(frozen=True)
class Row:
    """What was found for one precision."""

    precision: str
    megabytes: float
    """Of all parameters and buffers of the backbone; MB = 10^6 bytes."""
    token_error: float
    """Norm of the difference of the last block's tokens over the norm of those in 32 bits."""
    probe_top1: float
    """0..1."""
    side_top1: float | None = None
    """Of the trained side network, 0..1."""


def run_config(arguments: Arguments, precision: Precision, *, seed: int = 1024) -> RunConfig:
    """The recipe own-clips on this data, with the backbone in this precision."""
    recipe = load_config("own-clips").model_dump() | {"search": "off"}
    recipe["backbone"] |= asdict(precision) | {
        "name": arguments.backbone,
        "weights": str(arguments.weights),
        "image_size": arguments.image_size,
    }
    recipe["data"] |= {
        "train": arguments.data / "train.txt",
        "test": arguments.data / "test.txt",
        "root": arguments.data / "videos",
    }
    recipe["train"] |= {"epochs": arguments.epochs, "device": "cpu"}
    recipe["eval"] |= {"every": arguments.epochs, "probe": False}
    recipe["seed"] = seed
    return RunConfig.model_validate(recipe)


def load(arguments: Arguments, precision: Precision) -> FrozenBackbone:
    """The backbone in this precision."""
    return load_backbone(
        arguments.backbone,
        weights=str(arguments.weights),
        image_size=arguments.image_size,
        dtype=getattr(torch, precision.dtype),
        quantise=precision.quantise,
    )


def decode(arguments: Arguments, data: RecognitionData) -> tuple[list[Batch], list[Batch]]:
    """One clip of every training and test video, centre crop, kept in memory for all precisions."""
    config, backbone = run_config(arguments, PRECISIONS[0]), load(arguments, PRECISIONS[0])
    assert data.train is not None
    assert data.test is not None
    sets = (
        evaluation_clips(as_evaluated(videos, config.data), config=config, backbone=backbone, num_clips=1, num_crops=1)
        for videos in (data.train, data.test)
    )
    train_set, test_set = ([*test_loader(clips, batch_clips=8, workers=1)] for clips in sets)
    return train_set, test_set


def compared_clips(batches: Iterable[Batch]) -> Tensor:
    """Evenly spread clips of all classes, (B, T, 3, H, W)."""
    clips = torch.cat([batch.clips for batch in batches if len(batch)])
    return clips[torch.linspace(0, len(clips) - 1, min(CLIPS_COMPARED, len(clips))).long()]


def last_tokens(backbone: FrozenBackbone, clips: Tensor) -> Tensor:
    """Patch and summary tokens after the last block, float32 (B, T, N + 1, D)."""
    (tokens,) = backbone.iterate(clips, [backbone.num_blocks - 1])
    return torch.cat([tokens.summary, tokens.patches], dim=2).float()


def megabytes(backbone: FrozenBackbone) -> float:
    """Of all parameters and buffers."""
    return sum(tensor.nbytes for tensor in (*backbone.parameters(), *backbone.buffers())) / 1e6


def measure(arguments: Arguments) -> list[Row]:
    """One row for each precision."""
    data = read_data(run_config(arguments, PRECISIONS[0]).data)
    train_set, test_set = decode(arguments, data)
    clips = compared_clips(test_set)
    exact = last_tokens(load(arguments, PRECISIONS[0]), clips)
    rows = []
    for precision in PRECISIONS:
        backbone = load(arguments, precision)
        (features, labels, _), (test_features, test_labels, _) = (
            frozen_features(backbone, batches, device=CPU, description=precision.name)
            for batches in (train_set, test_set)
        )
        probe = LinearProbe(features, labels, num_classes=len(data.class_names))
        rows.append(
            Row(
                precision=precision.name,
                megabytes=megabytes(backbone),
                token_error=float((last_tokens(backbone, clips) - exact).norm() / exact.norm()),
                probe_top1=top_k_accuracy(probe.scores(test_features), test_labels, 1),
                side_top1=side_accuracy(arguments, precision) if arguments.train else None,
            )
        )
        print(rows[-1])
    return rows


def side_accuracy(arguments: Arguments, precision: Precision) -> float:
    """Top-1 of a side network trained on the backbone in this precision, mean over the seeds."""
    top1 = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in arguments.seeds:
            result = train(run_config(arguments, precision, seed=seed), out=Path(folder) / str(seed))
            assert result.evaluation is not None
            top1.append(result.evaluation.top1)
    return sum(top1) / len(top1)


def preset_megabytes() -> dict[str, dict[str, float]]:
    """Bytes of the paper's backbones, by preset and precision; nothing is allocated or downloaded."""
    counted: dict[str, dict[str, float]] = {}
    for preset in PRESETS:
        counted[preset] = {}
        for precision in PRECISIONS:
            with torch.device("meta"):
                backbone = load_backbone(
                    MODEL_PRESETS[preset][0].name,
                    weights="random",
                    dtype=getattr(torch, precision.dtype),
                    quantise=precision.quantise,
                )
            counted[preset][precision.name] = megabytes(backbone)
    return counted


def show(rows: Sequence[Row], presets: dict[str, dict[str, float]]) -> None:
    """Print both as one Markdown table."""
    columns = ["weights", "MB", "token error", "probe top-1", "side top-1", *(f"{preset} MB" for preset in PRESETS)]
    print("| " + " | ".join(columns) + " |\n|" + " --- |" * len(columns))
    for row in rows:
        side = "" if row.side_top1 is None else f"{row.side_top1:.1%}"
        cells = [row.precision, f"{row.megabytes:.2f}", f"{row.token_error:.2%}", f"{row.probe_top1:.1%}", side]
        print("| " + " | ".join([*cells, *(f"{presets[preset][row.precision]:,.0f}" for preset in PRESETS)]) + " |")


def main() -> None:
    """Measure, print and write."""
    arguments = tyro.cli(Arguments, description=__doc__)
    rows, presets = measure(arguments), preset_megabytes()
    show(rows, presets)
    content = {
        "date": str(datetime.date.today()),
        "machine": {"processor": platform.processor() or platform.machine(), "capability": cpu_capability()},
        "versions": {name: version(name) for name in ("torch", "timm", "bitsandbytes")},
        "backbone": arguments.backbone,
        "trained": {"epochs": arguments.epochs, "seeds": list(arguments.seeds)} if arguments.train else None,
        "rows": [asdict(row) for row in rows],
        "megabytes_of_presets": presets,
    }
    write_json(arguments.out, content)


def cpu_capability() -> str:
    """Vector instructions that PyTorch uses."""
    return torch.backends.cpu.get_cpu_capability()


if __name__ == "__main__":
    main()
