"""Shards that tests write, with the webdataset library or member by member."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import webdataset


def write_with_webdataset(path: Path, samples: Sequence[Mapping[str, object]]) -> Path:
    """A shard as users of the library write it; `__key__` and the members by their suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with webdataset.TarWriter(str(path)) as writer:
        for sample in samples:
            writer.write(dict(sample))
    return path


def write_tar(path: Path, members: Sequence[tuple[str, bytes | str | dict]], **options) -> Path:
    """An archive of named members; text and dictionaries (as JSON) are encoded."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", **options) as archive:
        for name, content in members:
            text = json.dumps(content) if isinstance(content, dict) else content
            data = text.encode() if isinstance(text, str) else text
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path
