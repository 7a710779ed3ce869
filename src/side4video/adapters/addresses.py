"""Adapters at fsspec addresses such as s3://bucket/run/best: downloaded once, and not trusted, as those of the hub."""

import hashlib
import shutil
from functools import cache
from pathlib import Path

from side4video.adapters.hub import address_cache
from side4video.atomic_files import replacing
from side4video.video.remote import file_system, key_in_store, retried, state_of, state_or_none


@cache  # one look per process, so that all parts of a command see the same files
def download_from_address(address: Path, files: tuple[str, ...], *, optional: tuple[str, ...] = ()) -> Path:
    """Download these files of an adapter at an address, and no others; returns their folder on this machine.

    Files with the size and entity tag of an earlier download are not downloaded again.

    Args:
        address: from `video_path`: an adapter folder, or a run folder with an adapter in best/ or last/.
        files: names of the files.
        optional: names of files that may be missing.

    Raises:
        FileNotFoundError: there is no adapter.
        OSError: the store does not answer, or denies access.
    """
    for source in (address, address / "best", address / "last"):
        states = {name: state_or_none(source / name) for name in files}
        if None not in states.values():
            break
    else:
        state_of(address / files[0])  # raises if the store denies access or does not answer
        raise FileNotFoundError(f"{address} is not an adapter: expected {' and '.join(files)} in it, or in best/.")
    states |= {name: state for name in optional if (state := state_or_none(source / name)) is not None}
    identity = hashlib.sha256(repr((str(source), sorted(states.items()))).encode()).hexdigest()[:32]
    folder = address_cache() / identity
    for name in states:
        if not (folder / name).is_file():
            _download(source / name, folder / name)
    return folder


def _download(source: Path, target: Path) -> None:
    with replacing(target) as temporary:

        def copy() -> None:
            with file_system(source).open(key_in_store(source), "rb") as file, temporary.open("wb") as local:
                shutil.copyfileobj(file, local)

        retried(copy, source)
