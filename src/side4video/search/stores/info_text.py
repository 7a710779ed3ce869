"""The description of an index as text that later versions can read."""

import json
from dataclasses import asdict

from side4video.search.stores.records import IndexInfo

FORMAT = 1
"""Version of the index format. Increase it when earlier versions of this package can no longer read new indexes."""


def info_to_text(info: IndexInfo) -> str:
    """The description as JSON, with the version of the format."""
    return json.dumps({"format": FORMAT, **asdict(info)})


def info_from_text(text: str, address: str) -> IndexInfo:
    """Parse the text of `info_to_text`.

    Args:
        text: JSON.
        address: address of the index, for errors.

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
