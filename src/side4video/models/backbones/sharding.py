"""The weights of frozen blocks, distributed over all processes (FSDP)."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule, fully_shard

from side4video.distributed.processes import gather_objects


class ShardedBlocks:
    """The frozen blocks, divided over all processes: each process keeps a part of the weights of every block.

    A block is whole only while it runs.

    All processes must gather a block together, but they have different numbers of clips. So each announces its passes,
    and one without further clips takes part in the passes of the others: see `finish`.

    Args:
        blocks: the blocks of the frozen model; they are modified.

    >>> import torch.distributed as dist
    >>> dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    >>> layers = nn.ModuleList([nn.Linear(4, 4)])
    >>> blocks = ShardedBlocks(layers)
    >>> blocks.start_pass(1)
    >>> with blocks.whole(0):
    ...     layers[0](torch.zeros(2, 4)).shape
    torch.Size([2, 4])
    >>> blocks.finish()
    >>> dist.destroy_process_group()
    """

    def __init__(self, blocks: nn.ModuleList) -> None:
        self._blocks: list[FSDPModule] = [fully_shard(block, reshard_after_forward=False) for block in blocks]

    def start_pass(self, num_blocks: int) -> None:
        """Announce a pass through the first `num_blocks` blocks; all processes must run the same blocks."""
        gather_objects(num_blocks)

    @contextmanager
    def whole(self, block: int) -> Iterator[None]:
        """Gather the weights of a block for the duration of the `with` block."""
        with torch.inference_mode(False):  # training could not use what was gathered in inference mode
            self._blocks[block].unshard()
        yield
        with torch.inference_mode(False):
            self._blocks[block].reshard()

    def finish(self) -> None:
        """Take part in the passes of other processes until none has further ones.

        All processes call it after their last pass, before they exchange anything else.
        """
        while num_blocks := max(gather_objects(0)):
            for block in range(num_blocks):
                with self.whole(block):
                    pass
