"""Advice on memory: whether a run fits a card, its largest batch there, and what to change if it does not fit."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

from rich.table import Table

from side4video.config import RunConfig
from side4video.memory.planning import StepMemory, StepPlanner
from side4video.memory.training_step import BACKBONE_TRANSIENT, step_size, views_per_video
from side4video.models.side.taps import Memory

MODES: tuple[Memory, ...] = get_args(Memory)
"""From the fastest to the one that needs the least memory."""

RESERVE_BYTES = 600 * 10**6
RESERVE_SHARE = 0.03
"""Bytes and share of a card that stay free: for the CUDA context with its kernels (about 500 MB, which PyTorch does not
count) and for gaps between the blocks of PyTorch's allocator."""

_UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def parse_size(text: str) -> int:
    """Parse a size such as "24GB" (24 x 10^9), "24 GiB" (24 x 2^30) or "8000MB" to bytes.

    Makers of cards write GB where they mean GiB: "24GB" leaves 7 % more memory free than necessary.

    >>> parse_size("24GB"), parse_size("8 GiB")
    (24000000000, 8589934592)

    Raises:
        ValueError: the text is not a size, or the size is zero.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([MGT]i?B)\s*", text, re.IGNORECASE)
    size = round(float(found[1]) * _UNITS[found[2].upper()]) if found else 0
    if size <= 0:
        raise ValueError(f"{text!r} is not a memory size. Use a positive number with MB, GB, MiB or GiB, such as 24GB.")
    return size


def usable_bytes(card: int) -> int:
    """Bytes of a card of `card` bytes that tensors may use."""
    return max(0, int(card * (1 - RESERVE_SHARE)) - RESERVE_BYTES)


@dataclass(frozen=True)
class ModeAdvice:
    """Memory that one memory mode needs.

    >>> from side4video.memory.training_step import StepSize
    >>> step = StepMemory(StepSize(clips=8), {"gradients": 10 * 10**6, "workspace": 5 * 10**6}, backbone_transient=0)
    >>> ModeAdvice("plain", step, fits=True, largest_batch=40).step.total
    15000000
    """

    memory: Memory
    step: StepMemory
    """With the batch or micro-batch of the settings."""
    fits: bool
    largest_batch: int
    """Largest number of videos in one forward pass without accumulation; 0: not even one video fits."""


@dataclass(frozen=True)
class Advice:
    """Memory that a run needs in each memory mode, and which settings fit; see `advise`.

    >>> from side4video.memory.training_step import StepSize
    >>> step = StepMemory(StepSize(clips=8), {"gradients": 10**9}, backbone_transient=0)
    >>> advice = Advice(
    ...     config=RunConfig(),
    ...     card=8 * 10**9,
    ...     budget=7 * 10**9,
    ...     num_backbone_parameters=86_000_000,
    ...     num_trained_parameters=4_000_000,
    ...     num_side_blocks=12,
    ...     modes=(ModeAdvice("exact", step, fits=True, largest_batch=56),),
    ...     sentences=(),
    ... )
    >>> advice.fits, advice.to_json()["modes"]["exact"]["peak_bytes"]
    (True, 1000000000)
    """

    config: RunConfig
    """The settings, with the number types resolved."""
    card: int
    """Bytes of the whole card."""
    budget: int
    """Bytes of the card that tensors may use."""
    num_backbone_parameters: int
    num_trained_parameters: int
    num_side_blocks: int
    modes: tuple[ModeAdvice, ...]
    sentences: tuple[str, ...]
    """Advice for the user: the fastest mode that fits, or changed settings that do."""

    @property
    def fits(self) -> bool:
        """Whether the unchanged settings fit."""
        return next(mode.fits for mode in self.modes if mode.memory == self.config.train.memory)

    def table(self) -> Table:
        """A table with one column per memory mode, in MB (10^6 bytes)."""
        table = Table("at the peak of a step, MB", title=_title(self.config))
        for mode in self.modes:
            own = mode.memory == self.config.train.memory
            table.add_column(mode.memory + (" (set)" if own else ""), justify="right")
        for category in self.modes[0].step.peak:
            table.add_row(category, *(_megabytes(mode.step.peak[category]) for mode in self.modes))
        table.add_section()
        table.add_row("total", *(_megabytes(mode.step.total) for mode in self.modes), style="bold")
        transient = f"{BACKBONE_TRANSIENT} maximum (not in the total)"
        table.add_row(transient, *(_megabytes(mode.step.backbone_transient) for mode in self.modes))
        table.add_section()
        table.add_row(f"fits {format_size(self.card)}", *("yes" if mode.fits else "no" for mode in self.modes))
        table.add_row("largest batch, videos", *(str(mode.largest_batch) for mode in self.modes))
        return table

    def to_json(self) -> dict[str, Any]:
        """The same content as a JSON object, in bytes."""
        return {
            "backbone": self.config.backbone.name,
            "backbone_dtype": self.config.backbone.dtype,
            "precision": self.config.train.precision,
            "backbone_parameters": self.num_backbone_parameters,
            "trained_parameters": self.num_trained_parameters,
            "side_blocks": self.num_side_blocks,
            "clips_per_pass": self.modes[0].step.size.clips,
            "passes": self.modes[0].step.size.passes,
            "card_bytes": self.card,
            "usable_bytes": self.budget,
            "memory": self.config.train.memory,
            "modes": {
                mode.memory: {
                    "peak_bytes": mode.step.total,
                    "peak_bytes_by_category": mode.step.peak,
                    "backbone_transient_bytes": mode.step.backbone_transient,
                    "fits": mode.fits,
                    "largest_batch": mode.largest_batch,
                }
                for mode in self.modes
            },
            "advice": list(self.sentences),
        }


def advise(planner: StepPlanner, card: int, *, failed_bytes: int | None = None) -> Advice:
    """Plan the settings in every memory mode for a card of `card` bytes.

    >>> from side4video.config import load_config
    >>> advice = advise(StepPlanner(load_config("own-clips"), num_classes=10, target="cpu"), parse_size("8GB"))
    >>> advice.fits, [mode.memory for mode in advice.modes]
    (True, ['plain', 'exact', 'tight'])

    Args:
        planner: planner of the settings.
        card: bytes of the whole card.
        failed_bytes: bytes that a failed run needed: only settings that need less count as fitting.
    """
    budget = usable_bytes(card)
    note = f"{format_size(card - budget)} of {format_size(card)} stay free for the CUDA context and for gaps."
    if failed_bytes is not None:
        budget = min(budget, failed_bytes - 1)
        note = "Only settings that need less memory than this run are considered."
    modes = []
    for memory in MODES:
        step = planner.estimate(memory=memory)
        modes.append(ModeAdvice(memory, step, step.total <= budget, planner.largest(budget, memory=memory)))
    return Advice(
        config=planner.config,
        card=card,
        budget=budget,
        num_backbone_parameters=planner.num_backbone_parameters,
        num_trained_parameters=planner.num_trained_parameters,
        num_side_blocks=planner.num_side_blocks,
        modes=tuple(modes),
        sentences=tuple(_sentences(planner, modes, budget, note)),
    )


def format_size(size: int) -> str:
    """Format bytes in GB or MB.

    >>> format_size(24 * 10**9), format_size(850 * 10**6)
    ('24 GB', '850 MB')
    """
    return f"{size / 10**9:.3g} GB" if size >= 10**9 else f"{size / 10**6:.0f} MB"


def _sentences(planner: StepPlanner, modes: list[ModeAdvice], budget: int, note: str) -> list[str]:
    fitting = [mode for mode in modes if mode.fits]
    if fitting:
        best = fitting[0]
        what = f"--train.memory {best.memory}: {format_size(best.step.total)}"
        return [f"The fastest mode that fits is {what}. {note}"]
    batch = planner.config.train.batch
    parts = {mode.memory: min(batch, planner.largest(budget, memory=mode.memory, passes=2)) for mode in modes}
    ways = [f"--train.memory {memory} --train.micro-batch {videos}" for memory, videos in parts.items() if videos]
    if ways:
        return [
            f"A forward pass of {step_size(planner.config).clips // views_per_video(planner.config)} videos does not "
            f"fit in any mode. {note} These settings fit: {'; '.join(ways)}.",
            "The step still uses the gradient of the whole batch; BatchNorm sees one micro-batch at a time.",
        ]
    return [f"Not even one video fits in any mode. {note}", *_smaller_models(planner, budget)]


def _smaller_models(planner: StepPlanner, budget: int) -> list[str]:
    """Sentences about changed settings with which at least one video fits; each change is planned."""
    found = []
    for flags, changed in _smaller_settings(planner.config):
        try:
            smaller = StepPlanner(changed, num_classes=planner.num_classes, target=planner.target)
        except ModuleNotFoundError:  # the extra `quantised` is not installed
            continue
        if videos := smaller.largest(budget, memory="tight", passes=2):
            micro_batch = min(videos, planner.config.train.batch)
            found.append(f"--train.memory tight {flags} --train.micro-batch {micro_batch}")
    if found:
        return [f"These settings fit: {'; '.join(found)}."]
    return ["None of the smaller settings fits either. Use a smaller backbone; `side4video backbones` lists them."]


def _smaller_settings(config: RunConfig) -> Iterator[tuple[str, RunConfig]]:
    """Flags that reduce the memory of a model, and the settings with each of them."""
    if config.backbone.dtype == "float32":
        backbone = config.backbone.model_copy(update={"dtype": "bfloat16"})
        yield "--backbone.dtype bfloat16", config.model_copy(update={"backbone": backbone})
    if config.backbone.quantise == "none":
        backbone = config.backbone.model_copy(update={"quantise": "int8"})
        yield "--backbone.quantise int8", config.model_copy(update={"backbone": backbone})
    if config.side.taps == "all":
        side = config.side.model_copy(update={"taps": "every-second"})
        yield "--side.taps every-second", config.model_copy(update={"side": side})
    if (frames := config.data.num_frames // 2) > 0:
        data = config.data.model_copy(update={"num_frames": frames})
        yield f"--data.num-frames {frames}", config.model_copy(update={"data": data})


def _title(config: RunConfig) -> str:
    size = step_size(config)
    return (
        f"{config.backbone.name} in {config.backbone.dtype}, side network {config.side.width} wide in "
        f"{config.train.precision}: {size.clips} clips of {config.data.num_frames} frames per pass, "
        f"{size.passes} {'pass' if size.passes == 1 else 'passes'} per step"
    )


def _megabytes(size: int) -> str:
    return f"{size / 10**6:,.0f}"
