"""The command `memory`, and the error message of a run that is out of memory."""

import gc
from pathlib import Path
from typing import Any

from side4video.atomic_files import write_json
from side4video.config import RunConfig
from side4video.memory.advice import Advice, advise, format_size, parse_size
from side4video.memory.cards import card_bytes
from side4video.memory.measuring import STEPS, measure_step
from side4video.memory.planning import StepPlanner, Target, config_of_process, target_of
from side4video.memory.training_step import similarity_bytes
from side4video.models.video_model import choose_device
from side4video.system.devices import best_kind, is_gpu, total_bytes
from side4video.system.tables import Console
from side4video.training.checkpoint import has_checkpoint
from side4video.training.out_of_memory import REMEDIES, TrainingMemoryError

DEFAULT_CARD = "24GB"
DEFAULT_CLASSES = 174
"""Number of classes of both Something-Something data sets."""


def plan_memory(
    config: RunConfig,
    *,
    card: str | None,
    num_classes: int,
    processes: int = 1,
    measure: bool = False,
    json_path: Path | None = None,
) -> int:
    """Print how much memory a training step needs and which modes fit.

    Args:
        config: all settings; `train.device` selects a GPU ("auto" too) or a CPU.
        card: memory or name of the card, such as "24GB" or "RTX 4090"; by default the memory of this machine's GPU,
            else 24 GB. For a CPU the default is this machine's RAM.
        num_classes: C.
        processes: number of processes with one device each; the plan is for one of them.
        measure: also measure real steps on the device of `train.device`; the plan is then for that device.
        json_path: file for the same numbers in bytes.

    Returns:
        The exit code: 0 if the settings fit, 1 if they do not.

    Raises:
        ValueError: `card` is neither a size nor a known card, or the settings do not describe a valid model.
    """
    if num_classes < 1:
        raise ValueError(f"classes = {num_classes} must be at least 1: a classifier has at least one class.")
    similarities = similarity_bytes(config) if config.task == "retrieval" else 0
    config = config_of_process(config, processes)
    target = target_of(config)
    if measure:
        target = "gpu" if is_gpu(choose_device(config.train.device)) else "cpu"
    size = _device_memory(target) if card is None else card_bytes(card)
    advice = advise(StepPlanner(config, num_classes=num_classes, target=target), size)
    console = Console()
    console.print(advice.table())
    console.print(
        f"{advice.num_backbone_parameters:,} frozen and {advice.num_trained_parameters:,} trained parameters, "
        f"{advice.num_side_blocks} side blocks."
    )
    for sentence in advice.sentences:
        console.print(sentence)
    if similarities:
        console.print(
            f"Not in this plan: similarities of all captions and videos of the whole batch, about "
            f"{format_size(similarities)}. They grow with the square of the batch, also with micro-batches."
        )
    content = advice.to_json() | ({"similarity_bytes": similarities} if similarities else {})
    if measure:
        estimate = next(mode.step.total for mode in advice.modes if mode.memory == config.train.memory)
        content["measured"] = _measure(config, num_classes, estimate, console)
    if json_path is not None:
        write_json(json_path, content)
        console.print(f"written to {json_path}")
    return 0 if advice.fits else 1


def _measure(config: RunConfig, num_classes: int, estimate: int, console: Console) -> dict[str, Any]:
    """Measure real steps, print the result next to the estimate, and return it for JSON."""
    found = measure_step(config, num_classes=num_classes)
    on_gpu = is_gpu(choose_device(config.train.device))
    how = "allocated by PyTorch at the peak" if on_gpu else "added to the process at the peak"
    console.print(
        f"Measured in {STEPS} real steps on {found.device}: {format_size(found.measured)} {how}; the "
        f"estimate is {format_size(estimate)}, {estimate / found.measured:.1%} of it."
    )
    console.print(f"Tensors of a real step, counted: {format_size(found.counted)}.")
    return {
        "device": found.device,
        "measured_bytes": found.measured,
        "counted_bytes": found.counted,
        "estimate_to_measured": estimate / found.measured,
    }


def advise_after_failure(config: RunConfig, failure: TrainingMemoryError, *, out: Path) -> str:
    """The error message of a run that is out of memory: where it failed, what it needs, and which settings fit."""
    gc.collect()  # free the tensors of the run: planning needs memory
    lines = [f"Memory ran out {failure.phase}: {failure.reason}"]
    target = target_of(config) if config.train.device != "auto" or best_kind() != "cpu" else "cpu"
    try:
        planner = StepPlanner(config, num_classes=failure.num_classes, target=target)
        built = failure.phase != "while the model was built"
        tried = planner.estimate().total if built else planner.weight_bytes
        advice = advise(planner, _device_memory(target), failed_bytes=tried)
    except (MemoryError, RuntimeError):  # too little memory even for planning
        lines.append(f"To use less memory: {REMEDIES[failure.phase]}.")
    else:
        lines += _describe_needs(advice)
    if failure.phase == "while frozen tokens were computed for the probe or the cache":
        lines.append(
            f"The frozen model computed up to {config.eval.batch} clips at a time: a smaller --eval.batch or "
            "--backbone.chunk-frames needs less memory."
        )
    if has_checkpoint(out):
        lines.append(
            f"The last checkpoint is in {out}: with more memory, --resume continues from it with the same settings. "
            "Other settings need another --out"
            + (f", and can start from this run with --init-from {out}." if (out / "last").is_dir() else ".")
        )
    else:
        lines.append(f"No step was completed: run the same command with the changed settings and --resume in {out}.")
    return "\n".join(lines)


def _describe_needs(advice: Advice) -> list[str]:
    size = advice.modes[0].step.size
    needs = ", ".join(f"{mode.memory} {format_size(mode.step.total)}" for mode in advice.modes)
    return [
        f"Planned peak with {size.clips} clips per forward pass, by --train.memory: {needs}; this run used "
        f"{advice.config.train.memory}.",
        f"This device has {format_size(advice.card)}; other programs may use a part of it.",
        *advice.sentences,
    ]


def _device_memory(target: Target) -> int:
    """Bytes of this machine's GPU, or of the default card without one; for a CPU, bytes of this machine's RAM."""
    if target == "cpu":
        return total_bytes("cpu")
    return total_bytes(best_kind()) if best_kind() != "cpu" else parse_size(DEFAULT_CARD)
