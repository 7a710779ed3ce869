"""Memory of GPUs by the names that people and drivers use, such as RTX 4090 or NVIDIA A100-SXM4-80GB."""

import difflib
import re

from side4video.memory.advice import parse_size

CARDS: dict[str, tuple[int, ...]] = {
    "GTX 1080 Ti": (11,),
    "RTX 2080 Ti": (11,),
    "RTX 3060": (8, 12),
    "RTX 3070": (8,),
    "RTX 3080": (10, 12),
    "RTX 3080 Ti": (12,),
    "RTX 3090": (24,),
    "RTX 3090 Ti": (24,),
    "RTX 4060": (8,),
    "RTX 4060 Ti": (8, 16),
    "RTX 4070": (12,),
    "RTX 4070 Ti": (12,),
    "RTX 4070 Ti Super": (16,),
    "RTX 4080": (16,),
    "RTX 4080 Super": (16,),
    "RTX 4090": (24,),
    "RTX 5070": (12,),
    "RTX 5070 Ti": (16,),
    "RTX 5080": (16,),
    "RTX 5090": (32,),
    "RTX A4000": (16,),
    "RTX A5000": (24,),
    "RTX A6000": (48,),
    "RTX 6000 Ada": (48,),
    "Titan RTX": (24,),
    "T4": (16,),
    "P100": (12, 16),
    "V100": (16, 32),
    "A10": (24,),
    "A10G": (24,),
    "A30": (24,),
    "A40": (48,),
    "A100": (40, 80),
    "L4": (24,),
    "L40": (48,),
    "L40S": (48,),
    "H100": (80, 94),
    "H200": (141,),
}
"""Sizes in GB (10^9 bytes) that the makers state, smallest first. Cards report a little more than this."""

_NOISE = re.compile(r"NVIDIA|GEFORCE|TESLA|SXM\d?|PCIE|NVL|HBM\d\w?|GENERATION|[\s_-]")
_SIZE = re.compile(r"(?<!\w)(\d+)\s*Gi?B", re.IGNORECASE)


def card_bytes(text: str) -> int:
    """Bytes of a card, by its size ("24GB") or by its name ("RTX 4090", "A100 80GB").

    >>> card_bytes("24GB"), card_bytes("4090"), card_bytes("NVIDIA A100-SXM4-80GB")
    (24000000000, 24000000000, 80000000000)

    Raises:
        ValueError: it is neither a size nor a known card, or a card of several sizes without one.
    """
    names = {_normalise(name): name for name in CARDS}
    size = _SIZE.search(text)
    wanted = _normalise(_SIZE.sub("", text))
    name = next((names[key] for key in (wanted, f"RTX{wanted}", f"GTX{wanted}") if key in names), None)
    if name is None:
        close = difflib.get_close_matches(wanted, names, n=3)
        hint = f" Did you mean {', '.join(names[key] for key in close)}?" if close else ""
        try:
            return parse_size(text)
        except ValueError as error:
            raise ValueError(f"{error} {text!r} is not the name of a known card either.{hint}") from None
    given = (int(size[1]),) if size else CARDS[name]
    if len(given) > 1 or given[0] not in CARDS[name]:
        sizes = " or ".join(f"{one}GB" for one in CARDS[name])
        raise ValueError(f"{text!r}: an {name} has {sizes}. Give the name with its size, or the size alone.")
    return given[0] * 10**9


def _normalise(name: str) -> str:
    return _NOISE.sub("", name.upper())
