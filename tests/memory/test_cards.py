"""Memory sizes of GPUs by name."""

import pytest

from side4video.cli import main
from side4video.memory.cards import CARDS, card_bytes

GB = 10**9


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("RTX 4090", 24 * GB),
        ("rtx4090", 24 * GB),
        ("4090", 24 * GB),
        ("NVIDIA GeForce RTX 4090", 24 * GB),
        ("1080 Ti", 11 * GB),
        ("4070-ti-super", 16 * GB),
        ("A10G", 24 * GB),
        ("Tesla T4", 16 * GB),
        ("Tesla V100-SXM2-16GB", 16 * GB),
        ("A100 80GB", 80 * GB),
        ("NVIDIA A100-SXM4-40GB", 40 * GB),
        ("NVIDIA A100 80GB PCIe", 80 * GB),
        ("NVIDIA H100 80GB HBM3", 80 * GB),
        ("NVIDIA RTX 6000 Ada Generation", 48 * GB),
        ("24GB", 24 * GB),
        ("8 GiB", 8 * 2**30),
        ("8000MB", 8 * GB),
    ],
)
def test_cards_by_name_or_size(text, size):
    assert card_bytes(text) == size


@pytest.mark.parametrize("name", CARDS)
def test_every_card_is_found_with_its_size(name):
    for size in CARDS[name]:
        assert card_bytes(f"{name} {size}GB") == size * GB


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("A100", "has 40GB or 80GB. Give the name with its size"),
        ("RTX 4090 48GB", "has 24GB"),
        ("RTX 4091", "Did you mean RTX 4090"),
        ("RTX 4090 Laptop", "is not the name of a known card"),
        ("big", "is not a memory size"),
        ("0GB", "is not a memory size"),
        ("", "is not a memory size"),
    ],
)
def test_unknown_cards_and_sizes(text, named):
    with pytest.raises(ValueError, match=named):
        card_bytes(text)


def test_a_wrong_card_stops_the_command_at_once(capsys):
    assert main(["memory", "own-clips", "--card", "RTX 9999"]) == 2
    assert "not the name of a known card" in capsys.readouterr().err
