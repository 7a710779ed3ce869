"""Convert paths and metadata to text for a database and back, for any file name."""

import json
import os
from urllib.parse import quote, unquote_to_bytes

from side4video.search.stores.records import Metadata

_FILE_ADDRESS = "file://"


def path_to_text(path: str) -> str:
    """A path as valid Unicode: unchanged, or a `file://` URL if its bytes are not UTF-8, which file systems allow.

    >>> path_to_text("/videos/cat.mp4")
    '/videos/cat.mp4'
    >>> path_to_text("/videos/caf" + chr(0xDCE9) + ".mp4")  # Latin-1, as Python shows it
    'file:///videos/caf%E9.mp4'
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        return _FILE_ADDRESS + quote(os.fsencode(path))
    return _FILE_ADDRESS + quote(path.encode()) if path.startswith(_FILE_ADDRESS) else path


def path_from_text(text: str) -> str:
    """Parse the text of `path_to_text`."""
    if not text.startswith(_FILE_ADDRESS):
        return text
    return os.fsdecode(unquote_to_bytes(text.removeprefix(_FILE_ADDRESS)))


def metadata_to_text(metadata: Metadata) -> str:
    """Metadata as JSON. Equal metadata gives equal text, in any order of columns.

    Raises:
        ValueError: a number is not finite.
    """
    return json.dumps(dict(metadata), sort_keys=True, allow_nan=False)


def metadata_from_text(text: str) -> Metadata:
    """Parse the text of `metadata_to_text`."""
    return json.loads(text)
