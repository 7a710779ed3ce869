"""Bytes saved for the backward pass, against sums by hand."""

import torch
from torch import nn

from measuring.saved_bytes import SavedBytes


def test_saved_bytes_count_each_storage_once():
    x = torch.zeros(10, 4, requires_grad=True)
    with SavedBytes() as saved:
        kept = [(x * x), (x[:5] * x[5:]), x.exp()]  # noqa: F841 - x alone, and the result of exp
    assert saved.total == 2 * 160


def test_saved_bytes_exclude_parameters_and_inputs():
    layer, x = nn.Linear(4, 2), torch.zeros(3, 4)
    with SavedBytes([*layer.parameters(), x]) as saved:
        layer(x)
    assert saved.total == 0
