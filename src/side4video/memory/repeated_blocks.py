"""Runs only one of several blocks, or chunks of frames, that need the same memory, and counts it for all of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from side4video.memory.step_history import StepHistory
from side4video.models.side_tuned_model import SideTunedModel

BORDER_BEFORE, BORDER_AFTER = 1, 1
"""Number of taps at both ends that always run: the first tap follows the stem, the last one precedes the head."""

_PLAIN = (bool, int, float, str, tuple, type(None))


@dataclass(frozen=True)
class RepeatedBlocks:
    """Which blocks of a model run, and how many identical blocks each of them represents.

    A tap and the backbone blocks since the previous tap form a unit.

    Attributes:
        times: number of taps that a tapped block represents, itself included; only for blocks that represent others.
        skipped: numbers of the backbone blocks that do not run, tapped ones included.

    >>> RepeatedBlocks(times={1: 3}, skipped=frozenset({2, 3})).times[1]  # block 1 represents 1, 2 and 3
    3
    """

    times: dict[int, int]
    skipped: frozenset[int]


def _signature(block: nn.Module) -> list[Any]:
    """Description of a block that leaves out only the values of its tensors."""
    return [
        (
            name,
            type(part),
            [(key, value) for key, value in vars(part).items() if isinstance(value, _PLAIN)],
            [
                (key, tensor.shape, tensor.dtype)
                for key, tensor in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False))
            ],
        )
        for name, part in block.named_modules()
    ]


def find_repeated_blocks(model: SideTunedModel) -> RepeatedBlocks:
    """Find the blocks of a model that differ from their neighbours only in the values of their weights."""
    taps, blocks = model.side.taps, model.backbone.model.blocks
    reads = [range(before + 1, tap + 1) for before, tap in pairwise((-1, *taps))]
    kinds = [[_signature(blocks[block]) for block in read] for read in reads]
    times: dict[int, int] = {}
    skipped: set[int] = set()
    first = 0
    for index in range(BORDER_BEFORE, len(taps) - BORDER_AFTER):
        if first and kinds[index] == kinds[first]:
            times[taps[first]] = times.get(taps[first], 1) + 1
            skipped.update(reads[index])
        else:
            first = index
    return RepeatedBlocks(times, frozenset(skipped))


def run_repeated_blocks_once(model: SideTunedModel, repeated: RepeatedBlocks) -> None:
    """Change the model: repeated blocks do not run, and only the first chunk of frames goes through the backbone.

    The first chunk is the largest. Chunks run one after the other and reuse the same memory; a large batch has
    hundreds of them.
    """
    backbone = model.backbone

    def embed(images: Tensor) -> tuple[Tensor, Tensor | None]:
        limit = backbone.chunk_frames
        chunk, ropes = backbone._embed_chunk(images[:limit])
        if len(images) <= limit:
            return chunk, ropes
        x = chunk.new_empty(len(images), *chunk.shape[1:])
        backbone._embed_chunk(images[:limit])  # the second chunk, while the first is still in memory
        return x, ropes

    def advance(x: Tensor, block: int, ropes: Tensor | None, *, in_place: bool) -> Tensor:
        if block in repeated.skipped:
            return x
        if len(x) <= backbone.chunk_frames:
            return backbone._run_block_chunk(x, block, ropes)
        out = x if in_place else torch.empty_like(x)
        backbone._run_block_chunk(x[: backbone.chunk_frames], block, ropes)
        return out

    def pool(patches: Tensor, summary: Tensor) -> Tensor:
        limit = backbone.chunk_frames
        chunk = backbone._pool_chunk(patches[:limit], summary[:limit])
        return chunk if len(patches) <= limit else chunk.new_empty(len(patches), *chunk.shape[1:])

    vars(backbone).update(_embed=embed, _run_block=advance, _pool=pool)


def allocate_what_runs(model: SideTunedModel, repeated: RepeatedBlocks, *, device: torch.device) -> None:
    """Move a model from the device "meta" to `device`, except for the blocks that do not run."""
    blocks = dict(enumerate(model.backbone.model.blocks))
    side_blocks = dict(zip(model.side.taps, model.side.blocks, strict=True))
    skipped = [kind[block] for kind in (blocks, side_blocks) for block in repeated.skipped if block in kind]
    idle = {part for block in skipped for part in block.modules()}
    for part in model.modules():
        if part not in idle:
            part.to_empty(device=device, recurse=False)


@contextmanager
def counting_repeats(model: SideTunedModel, repeated: RepeatedBlocks, history: StepHistory) -> Iterator[None]:
    """Inside the `with` block, forward and backward passes of the model skip the blocks that are left out.

    What happens between the outputs of two side blocks, or between the gradients of two outputs, is one part. The
    history counts it for all blocks that it represents.
    """
    advance = model.side.advance
    run = [tap for tap in model.side.taps if tap not in repeated.skipped]
    following = dict(pairwise(run))
    current: int | None = None

    def begin(tap: int | None) -> None:
        nonlocal current
        if current is not None:
            history.end_part(repeated.times[current])
        current = tap if tap in repeated.times else None
        if current is not None:
            history.begin_part()

    def advance_and_mark(x: Tensor, *, block: int, **tokens: Tensor) -> Tensor:
        if block in repeated.skipped:
            return x
        x = advance(x, block=block, **tokens)
        begin(following.get(block))
        x.register_hook(lambda _: begin(block))
        return x

    vars(model.side)["advance"] = advance_and_mark
    try:
        yield
    finally:
        vars(model.side).pop("advance")
