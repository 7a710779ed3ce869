"""What all trained models have in common: a frozen backbone beside everything else, which is trained and saved."""

from typing import Self

from torch import Tensor, nn

from side4video.models.backbones.loading import FrozenBackbone
from side4video.models.side.batch_norm import TokenBatchNorm
from side4video.models.side.side_network import SideNetwork


class SideTunedModel(nn.Module):
    """A model with a frozen `backbone` and a `side` network; all but the backbone is trained."""

    backbone: FrozenBackbone
    side: SideNetwork

    def sync_batch_norm(self) -> None:
        """Take BatchNorm's statistics over the clips of all processes from now on."""
        for module in self.modules():
            if isinstance(module, TokenBatchNorm):
                module.synced = True

    def shard_backbone(self) -> None:
        """Spread the weights of the frozen blocks over all processes; each block is put together while it runs."""
        from torch.distributed.fsdp import fully_shard

        assert self.backbone.fingerprint  # computed now, of whole weights: later one process alone will ask for it
        for block in self.backbone.model.blocks:
            fully_shard(block, reshard_after_forward=True)  # by default the outermost module of a call stays whole

    def finetuned_parameters(self) -> list[nn.Parameter]:
        """Trained parameters that start from weights of their own, and so learn at a rate of their own; none here."""
        return []

    def trained_state(self) -> dict[str, Tensor]:
        """Every tensor that training changes, BatchNorm statistics included, by name; nothing of the backbone."""
        return {name: tensor for name, tensor in self.state_dict().items() if not name.startswith("backbone.")}

    def check_trained_state(self, state: dict[str, Tensor]) -> None:
        """Make sure that tensors are this model's.

        Raises:
            ValueError: names are missing or unknown, or shapes differ.
        """
        own = self.trained_state()
        odd = sorted(own.keys() ^ state.keys()) + sorted(
            name for name in own.keys() & state.keys() if own[name].shape != state[name].shape
        )
        if odd:
            listed = ", ".join(odd[:10])[:1000]
            raise ValueError(
                f"{len(odd)} tensors are missing, unknown or of another shape: {listed}. Is it this model's?"
            )

    def load_trained_state(self, state: dict[str, Tensor]) -> Self:
        """Load what `trained_state` gave; every name must be there and fit.

        Raises:
            ValueError: names are missing or unknown, or shapes differ.
        """
        self.check_trained_state(state)
        self.load_state_dict(state, strict=False)
        return self
