"""The optimizer and the learning rate of each step."""

import math
from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import unset_fake_temporarily

from side4video.config import TrainConfig
from side4video.models.backbones.quantisation import import_bitsandbytes


def build_optimizer(
    model: nn.Module, config: TrainConfig, *, finetuned: Collection[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """AdamW on every trained parameter, in groups by learning rate and weight decay.

    Each group has an `lr_scale`, its rate as a share of the run's rate: `config.finetuned_lr_scale` for `finetuned`,
    otherwise 1. Tensors of two dimensions or more always decay; `config.decay_biases` and `config.decay_norms` decide
    about all others: biases, and the weights of norms with the logit scale.

    `config.optimizer` "adamw-8bit" uses bitsandbytes (arXiv 2110.02861): both moments take one byte per number and one
    scale per 256 numbers. Tensors of fewer than 4096 numbers keep their moments in 32 bits.

    Raises:
        ModuleNotFoundError: 8-bit AdamW is requested and bitsandbytes is not installed.
    """
    groups = list(_groups(model, config, set(finetuned)))
    settings: dict[str, Any] = {"lr": config.lr, "betas": config.betas, "eps": config.eps}
    if config.optimizer == "adamw-8bit":
        library = import_bitsandbytes("train.optimizer = 'adamw-8bit'")
        with unset_fake_temporarily():  # bitsandbytes reads tables that it computes, which fake tensors do not allow
            return library.optim.AdamW8bit(groups, **settings)
    return torch.optim.AdamW(groups, **settings)


def _groups(model: nn.Module, config: TrainConfig, finetuned: set[nn.Parameter]) -> Iterator[dict[str, Any]]:
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    for is_finetuned, scale in ((False, 1.0), (True, config.finetuned_lr_scale)):
        for decays in (True, False):
            members = [p for name, p in trained if (p in finetuned, _decays(name, p, config)) == (is_finetuned, decays)]
            if members:
                yield {"params": members, "lr_scale": scale, "weight_decay": config.weight_decay if decays else 0.0}


def _decays(name: str, parameter: nn.Parameter, config: TrainConfig) -> bool:
    if parameter.ndim > 1:
        return True
    is_bias = "bias" in name.rpartition(".")[2]  # attention has an in_proj_bias
    return config.decay_biases if is_bias or config.decay_norms is None else config.decay_norms


def learning_rate(step: int, *, steps_per_epoch: int, config: TrainConfig) -> float:
    """Linear warm-up, then a cosine to zero, as a function of the fractional epoch at which a step starts.

    A warm-up longer than half of the training is cut to half of it, so that short runs reach the full rate.

    By default the first step already has a share of the rate, and the cosine starts when the warm-up ends. With
    `config.cosine` "whole-run" both are functions of the progress alone, as in the paper's retrieval: the first step
    has rate 0, and the cosine falls from the first step on, so that the rate drops when the warm-up ends.

    >>> config = TrainConfig(epochs=4, warmup_epochs=2, lr=1)
    >>> [round(learning_rate(step, steps_per_epoch=1, config=config), 3) for step in range(4)]
    [0.5, 1.0, 1.0, 0.5]
    >>> config = TrainConfig(epochs=4, warmup_epochs=2, lr=1, cosine="whole-run")
    >>> [round(learning_rate(step, steps_per_epoch=1, config=config), 3) for step in range(4)]
    [0.0, 0.5, 0.5, 0.146]
    """
    epoch = step / steps_per_epoch
    warmup = min(config.warmup_epochs, config.epochs / 2)
    whole_run = config.cosine == "whole-run"
    if epoch < warmup:
        share = epoch / warmup if whole_run else (step + 1) / max(1, math.ceil(warmup * steps_per_epoch))
        return config.lr * share
    progress = epoch / config.epochs if whole_run else (epoch - warmup) / (config.epochs - warmup)
    return config.lr * 0.5 * (1 + math.cos(math.pi * progress))
