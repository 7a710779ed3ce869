"""Pre-trains the demonstration's small image ViT on still pictures: `python -m side4video.demo.pretrain`.

The model learns content and position from single pictures: form, colour, column, row and size of the shape from the
class token, and the content of each patch from the patch tokens. It never sees consecutive pictures, so it learns
shapes but no motion. Its weights, without the read-outs, are part of this package; making them again takes about ten
minutes on two cores.
"""

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import timm
import torch
import tyro
from numpy.typing import NDArray
from safetensors.torch import save
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from side4video.demo.still_shapes import COLOURS, FORMS, MAX_RADIUS, MIN_RADIUS, Shape, draw_still, shape_coverage

BACKBONE_NAME = "vit_tiny_patch16_224"
"""The timm model whose class and preprocessing (mean and standard deviation 0.5) the small ViT uses."""

BACKBONE_ARGS: dict[str, Any] = {"img_size": 64, "patch_size": 16, "embed_dim": 128, "depth": 4, "num_heads": 4}
"""Arguments that differ from it: 64 x 64 pictures, 4 x 4 patches, four blocks of width 128; 0.9 million parameters."""

WEIGHTS_PATH = Path(__file__).with_name("still_shapes_vit.safetensors")
"""The weights in the package, float16."""

CELLS = 8
"""Number of columns and of rows that the model distinguishes in a picture."""

STILL_TASKS = {"form": len(FORMS), "colour": len(COLOURS), "column": CELLS, "row": CELLS, "size": 3}
"""Name of each question about a whole picture -> number of possible answers."""

_PATCH_CLASSES = 1 + len(FORMS)  # 0 is background
_SEEN_COVERAGE = 0.1  # a shape must cover at least this share of a patch to be its label


def still_labels(shape: Shape) -> dict[str, int]:
    """Return the right answer to each of `STILL_TASKS` for the picture of `shape`."""
    size = 3 * (shape.radius - MIN_RADIUS) / (MAX_RADIUS - MIN_RADIUS)
    return {
        "form": FORMS.index(shape.form),
        "colour": tuple(COLOURS).index(shape.colour),
        "column": int(CELLS * shape.x),
        "row": int(CELLS * shape.y),
        "size": min(int(size), 2),
    }


def patch_labels(shape: Shape) -> NDArray[np.int64]:
    """Return the content of each patch, (16,), row by row: 0 background, else 1 + the index in `FORMS`."""
    size, patch = BACKBONE_ARGS["img_size"], BACKBONE_ARGS["patch_size"]
    coverage = shape_coverage(shape, size=size).reshape(size // patch, patch, size // patch, patch).mean(axis=(1, 3))
    return np.where(coverage.ravel() >= _SEEN_COVERAGE, 1 + FORMS.index(shape.form), 0)


def draw_batch(generator: np.random.Generator, *, batch_size: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Draw pictures, float (B, 3, 64, 64) in -1 to 1, and their labels: (B,) per still task, "patches" (B, 16)."""
    stills = [draw_still(generator, size=BACKBONE_ARGS["img_size"]) for _ in range(batch_size)]
    pictures = torch.from_numpy(np.stack([picture for picture, _ in stills]))
    answers = [still_labels(shape) for _, shape in stills]
    labels = {task: torch.tensor([answer[task] for answer in answers]) for task in STILL_TASKS}
    labels["patches"] = torch.from_numpy(np.stack([patch_labels(shape) for _, shape in stills]))
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1, labels


def create_backbone() -> VisionTransformer:
    """Return the small ViT without head and with random weights from torch's global generator."""
    return cast(VisionTransformer, timm.create_model(BACKBONE_NAME, num_classes=0, **BACKBONE_ARGS))


class StillModel(nn.Module):
    """The small ViT with one linear read-out per question; only the ViT, `backbone`, is kept afterwards.

    >>> answers = StillModel()(torch.zeros(2, 3, 64, 64))
    >>> answers["form"].shape, answers["patches"].shape
    (torch.Size([2, 6]), torch.Size([2, 7, 16]))
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = create_backbone()
        width = BACKBONE_ARGS["embed_dim"]
        self.readouts = nn.ModuleDict({task: nn.Linear(width, answers) for task, answers in STILL_TASKS.items()})
        self.readouts["patches"] = nn.Linear(width, _PATCH_CLASSES)

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Answer every question about pictures (B, 3, 64, 64): logits (B, answers), "patches" (B, answers, 16)."""
        tokens = self.backbone.forward_features(pictures)  # (B, 1 + N, D)
        answers = {task: self.readouts[task](tokens[:, 0]) for task in STILL_TASKS}
        answers["patches"] = self.readouts["patches"](tokens[:, 1:]).transpose(1, 2)
        return answers


def measure(model: StillModel, *, seed: int, num_stills: int = 1000) -> dict[str, float]:
    """Return the share of right answers, 0 to 1, per question on fresh stills; "patches" on shapes' patches only."""
    pictures, labels = draw_batch(np.random.default_rng(seed), batch_size=num_stills)
    model.eval()
    with torch.inference_mode():
        answers = {task: logits.argmax(1) for task, logits in model(pictures).items()}
    right = {task: answers[task] == labels[task] for task in STILL_TASKS}
    right["patches"] = (answers["patches"] == labels["patches"])[labels["patches"] > 0]
    return {task: round(hits.float().mean().item(), 4) for task, hits in right.items()}


def pretrain(*, steps: int, batch_size: int = 64, learning_rate: float = 1e-3, seed: int = 0) -> StillModel:
    """Train on `steps` batches of fresh stills; AdamW, one-cycle learning rate. The same seed gives the same model."""
    torch.manual_seed(seed)
    generator = np.random.default_rng([seed, 0])
    model = StillModel().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.1)
    progress = tqdm(range(steps), desc="pre-training on stills", unit="step")
    for _ in progress:
        pictures, labels = draw_batch(generator, batch_size=batch_size)
        answers = model(pictures)
        loss = torch.stack([F.cross_entropy(answers[task], labels[task]) for task in answers]).sum()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        progress.set_postfix(loss=f"{loss.item():.3f}")
    return model


def main(*, out: Path = WEIGHTS_PATH, steps: int = 3000, batch_size: int = 64, seed: int = 0) -> None:
    """Pre-train the demonstration's image model on still pictures and write its weights.

    Args:
        out: the safetensors file to write, float16.
        steps: optimizer steps.
        batch_size: pictures per step.
        seed: decides the first weights and the pictures.
    """
    model = pretrain(steps=steps, batch_size=batch_size, seed=seed)
    accuracy = measure(model, seed=seed + 1)  # a stream of its own: training draws from [seed, 0]
    made = {
        "steps": steps,
        "batch_size": batch_size,
        "seed": seed,
        "timm": timm.__version__,
        "torch": torch.__version__,
    }
    metadata = {
        "about": "ViT pre-trained on still pictures of shapes by side4video.demo.pretrain",
        "model": json.dumps({"name": BACKBONE_NAME, **BACKBONE_ARGS}),
        "made": json.dumps(made),
        "held_out_accuracy": json.dumps(accuracy),
    }
    weights = {name: tensor.half().contiguous() for name, tensor in model.backbone.state_dict().items()}
    out.write_bytes(save(weights, metadata))
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB; accuracy on held-out pictures: {accuracy}")


if __name__ == "__main__":
    tyro.cli(main)
