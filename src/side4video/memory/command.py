"""What the command `memory` prints, and what a run says that has run out of memory."""

import gc
import os
from pathlib import Path

import torch
from rich.console import Console

from side4video.atomic_files import write_json
from side4video.config import RunConfig
from side4video.memory.advice import Advice, advise, format_size, parse_size
from side4video.memory.measuring import STEPS, measure_step
from side4video.memory.planning import StepPlanner, Target, target_of
from side4video.models.video_model import choose_device
from side4video.training.checkpoint import has_checkpoint
from side4video.training.out_of_memory import REMEDIES, TrainingMemoryError

DEFAULT_CARD = "24GB"


def plan_memory(
    config: RunConfig, *, card: str | None, num_classes: int, measure: bool = False, json_path: Path | None = None
) -> int:
    """Print what a training step needs and what fits; returns the exit code: 0 the settings fit, 1 they do not.

    Args:
        config: all settings; `train.device` decides whether it is planned for a GPU ("auto" too) or for a CPU.
        card: memory such as "24GB"; by default what is here.
        num_classes: C.
        measure: also take real steps, on the GPU or else the CPU; the plan is then for that device.
        json_path: where the same goes in bytes.

    Raises:
        ValueError: no such size, or settings that do not make a model.
    """
    if num_classes < 1:
        raise ValueError(f"classes = {num_classes}: a classifier has at least one class.")
    target = target_of(config)
    if measure:
        target = "gpu" if choose_device(config.train.device).type == "cuda" else "cpu"
    size = parse_size(card) if card else _memory_here(target)
    advice = advise(StepPlanner(config, num_classes=num_classes, target=target), size)
    console = Console()
    console.print(advice.table())
    console.print(
        f"{advice.num_backbone_parameters:,} frozen and {advice.num_trained_parameters:,} trained numbers, "
        f"{advice.num_side_blocks} side blocks."
    )
    for sentence in advice.sentences:
        console.print(sentence)
    content = advice.to_json()
    if measure:
        measured = measure_step(config, num_classes=num_classes)
        estimate = next(mode.step.total for mode in advice.modes if mode.memory == config.train.memory)
        how = "given out by PyTorch at most" if target == "gpu" else "added to the process at most"
        console.print(
            f"Measured in {STEPS} real steps on {measured.device}: {format_size(measured.measured)} {how}; the "
            f"estimate is {format_size(estimate)}, {estimate / measured.measured:.1%} of it."
        )
        console.print(f"Tensors of a real step, counted: {format_size(measured.counted)}.")
        content["measured"] = {
            "device": measured.device,
            "measured_bytes": measured.measured,
            "counted_bytes": measured.counted,
            "estimate_to_measured": estimate / measured.measured,
        }
    if json_path is not None:
        write_json(json_path, content)
        console.print(f"written to {json_path}")
    return 0 if advice.fits else 1


def advise_after_failure(config: RunConfig, failure: TrainingMemoryError, *, out: Path) -> str:
    """What to tell whoever started a run that ran out of memory."""
    gc.collect()  # the run's tensors, so that planning has room itself
    lines = [f"Memory ran out {failure.phase}: {failure.reason}"]
    target = target_of(config) if config.train.device != "auto" or torch.cuda.is_available() else "cpu"
    try:
        planner = StepPlanner(config, num_classes=failure.num_classes, target=target)
        built = failure.phase != "while the model was built"
        tried = planner.estimate().total if built else planner.weight_bytes
        advice = advise(planner, _memory_here(target), too_little=tried)
    except (MemoryError, RuntimeError):  # the memory does not suffice for planning either
        lines.append(f"Smaller: {REMEDIES[failure.phase]}.")
    else:
        lines += _needs(advice)
    if failure.phase == "while frozen tokens were computed for the probe or the cache":
        lines.append(
            f"Up to {config.eval.batch} clips went through the frozen model at a time: a smaller --eval.batch needs "
            "less, and so does a smaller --backbone.chunk-frames."
        )
    if has_checkpoint(out):
        lines.append(
            f"What was trained up to the last checkpoint is kept in {out}: --resume goes on with the same settings "
            "where there is more memory. Other settings need another --out"
            + (f", and may start from this one with --init-from {out}." if (out / "last").is_dir() else ".")
        )
    else:
        lines.append(f"Nothing was trained yet: the same command with the changed settings and --resume uses {out}.")
    return "\n".join(lines)


def _needs(advice: Advice) -> list[str]:
    size = advice.modes[0].step.size
    needs = ", ".join(f"{mode.memory} {format_size(mode.step.total)}" for mode in advice.modes)
    return [
        f"A forward pass of {size.clips} clips should take at its peak, by --train.memory: {needs}; this run was "
        f"{advice.config.train.memory}.",
        f"There are {format_size(advice.card)} here in all, of which others may have taken a part.",
        *advice.sentences,
    ]


def _memory_here(target: Target) -> int:
    """Bytes of the GPU here, or of the card that is most common; of this machine for a CPU."""
    if target == "cpu":
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    return parse_size(DEFAULT_CARD)
