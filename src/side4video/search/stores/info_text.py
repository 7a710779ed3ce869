"""What an index says of itself, as text that later versions can read."""

import json
from dataclasses import asdict

from side4video.search.stores.records import IndexInfo

FORMAT = 1
"""Raised when an index is kept in a way that earlier versions of this package cannot read."""


def info_to_text(info: IndexInfo) -> str:
    """JSON with the number of the format."""
    return json.dumps({"format": FORMAT, **asdict(info)})


def info_from_text(text: str, address: str) -> IndexInfo:
    """What `info_to_text` wrote.

    Args:
        text: JSON.
        address: of the index, for errors.

    Raises:
        ValueError: a later version of this package made the index.
    """
    values = json.loads(text)
    made = values.pop("format")
    if made > FORMAT:
        raise ValueError(
            f"{address} has format {made}, of side4video {values.get('package_version')}; this version reads up to "
            f"format {FORMAT}. Update it: pip install --upgrade side4video."
        )
    return IndexInfo(**values)
