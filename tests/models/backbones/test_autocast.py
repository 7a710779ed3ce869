"""Autocast is switched off inside the block, and unchanged if it was off."""

import torch

from side4video.models.backbones.autocast import without_autocast


def product():
    return torch.ones(2, 2) @ torch.ones(2, 2)


def test_autocast_is_off_inside_and_on_again_after():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert product().dtype == torch.bfloat16
        with without_autocast("cpu"):
            assert product().dtype == torch.float32
        assert product().dtype == torch.bfloat16


def test_exported_programs_do_not_contain_it():
    class Model(torch.nn.Module):
        def forward(self, x):
            with without_autocast("cpu"):
                return x + 1

    graph = torch.export.export(Model(), (torch.zeros(2),)).graph
    assert [str(node.target) for node in graph.nodes if node.op == "call_function"] == ["aten.add.Tensor"]
