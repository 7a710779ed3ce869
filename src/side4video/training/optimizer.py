"""The optimizer and the learning rate of each step."""

import math

import torch
from torch import nn
from torch._subclasses.fake_tensor import unset_fake_temporarily

from side4video.config import TrainConfig
from side4video.models.quantisation import import_bitsandbytes


def build_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW (betas 0.9 and 0.999, eps 1e-8) on every trained parameter, all with weight decay, as in the paper.

    With `config.optimizer` "adamw-8bit" it is bitsandbytes' (arXiv 2110.02861): both moments take a byte for each
    number and a scale for each 256; tensors of fewer than 4096 numbers keep theirs in 32 bits.

    Raises:
        ModuleNotFoundError: 8 bits are wanted and bitsandbytes is not installed.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if config.optimizer == "adamw-8bit":
        library = import_bitsandbytes("train.optimizer = 'adamw-8bit'")
        with unset_fake_temporarily():  # it computes tables and reads them, which fake tensors do not allow
            return library.optim.AdamW8bit(trained, lr=config.lr, weight_decay=config.weight_decay)
    return torch.optim.AdamW(trained, lr=config.lr, weight_decay=config.weight_decay)


def learning_rate(step: int, *, steps_per_epoch: int, config: TrainConfig) -> float:
    """Linear warm-up, then a cosine to zero, as a function of the fractional epoch at which a step starts.

    A warm-up longer than half of the training is cut to half of it, so that short runs reach the full rate.

    >>> config = TrainConfig(epochs=4, warmup_epochs=2, lr=1)
    >>> [round(learning_rate(step, steps_per_epoch=1, config=config), 3) for step in range(4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    epoch = step / steps_per_epoch
    warmup = min(config.warmup_epochs, config.epochs / 2)
    if epoch < warmup:
        return config.lr * (step + 1) / max(1, math.ceil(warmup * steps_per_epoch))
    return config.lr * 0.5 * (1 + math.cos(math.pi * (epoch - warmup) / (config.epochs - warmup)))
