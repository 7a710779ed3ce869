"""Serialise paths, metadata and the description of an index as text for a database, and parse them."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, astuple
from urllib.parse import quote, unquote_to_bytes

from side4video.search.stores.records import IndexInfo, Metadata
from side4video.subtitles.cues import Cue
from side4video.video.remote import is_address

FORMAT = 2
"""Version of the index format. Increase it when earlier versions of this package can no longer read new indexes."""

_URL_PREFIX = "file://"


def path_to_text(path: str) -> str:
    """A path as valid Unicode with `/` on every system, or a `file://` URL if its bytes are not UTF-8.

    >>> path_to_text("/videos/cat.mp4")
    '/videos/cat.mp4'
    >>> path_to_text("/videos/caf" + chr(0xDCE9) + ".mp4")  # Latin-1, as Python shows it
    'file:///videos/caf%E9.mp4'
    """
    path = path if is_address(path) else path.replace(os.sep, "/")
    try:
        path.encode()
    except UnicodeEncodeError:
        return _URL_PREFIX + quote(os.fsencode(path))
    return _URL_PREFIX + quote(path.encode()) if path.startswith(_URL_PREFIX) else path


def path_from_text(text: str) -> str:
    """Parse the text of `path_to_text`."""
    if text.startswith(_URL_PREFIX):
        text = os.fsdecode(unquote_to_bytes(text.removeprefix(_URL_PREFIX)))
    return text if is_address(text) else text.replace("/", os.sep)


def metadata_to_text(metadata: Metadata) -> str:
    """Metadata as JSON. Equal metadata gives equal text, in any order of columns.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(dict(metadata), sort_keys=True, allow_nan=False)


def metadata_from_text(text: str) -> Metadata:
    """Parse the text of `metadata_to_text`."""
    return json.loads(text)


def cues_to_text(cues: Sequence[Cue]) -> str:
    """Cues as JSON."""
    return json.dumps([astuple(cue) for cue in cues], ensure_ascii=False)


def cues_from_text(text: str) -> tuple[Cue, ...]:
    """Parse the text of `cues_to_text`."""
    return tuple(Cue(*values) for values in json.loads(text))


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
