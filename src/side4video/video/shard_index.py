"""The members of a tar archive: where each begins, found once and kept on disk, so that members are read by ranges."""

import functools
import hashlib
import io
import json
import os
import tarfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import Any, BinaryIO, NamedTuple

from side4video.atomic_files import replacing
from side4video.system.paths import cache_folder
from side4video.video.file_lock import alone
from side4video.video.remote import about_file, is_address, state_from
from side4video.video.remote_file import RemoteFile

TEXT_SUFFIXES = (".txt", ".json", ".cls")
"""Members whose content is kept in the index: captions, labels and what else is known of a video."""
LARGEST_TEXT = 2**24
"""Bytes of such a member."""
_VERSION = 1
_BLOCK = 512
_KEPT_INDEXES = 64
_KEPT_DAYS = 90
_ASKED_AGAIN_SECONDS = 60.0
_COMPRESSED = {
    b"\x1f\x8b": "gunzip",
    b"\x28\xb5\x2f\xfd": "zstd -d",
    b"BZh": "bunzip2",
    b"\xfd7zXZ": "xz -d",
    b"PK\x03\x04": "unzip",
}
"""First bytes of compressed archives, and the programs that unpack them."""


class ShardError(ValueError):
    """A shard cannot be read: it is missing, truncated, compressed, or its members cannot be used.

    >>> shard_index(Path("clip.mp4"))
    Traceback (most recent call last):
    side4video.video.shard_index.ShardError: clip.mp4 is not a whole tar archive (invalid header). ...
    """


class Place(NamedTuple):
    """Where a member begins in its archive, and its size, in bytes.

    >>> Place(offset=512, size=100).size
    100
    """

    offset: int
    size: int


class ShardIndex(NamedTuple):
    """What an archive contains.

    Attributes:
        places: of all files but texts, by name, in the order of the archive.
        texts: content of the members with one of `TEXT_SUFFIXES`, by name; bytes that are not UTF-8 as surrogates.
        num_ignored: links, devices and hidden files. Folders do not count.

    >>> ShardIndex({"0.mp4": Place(512, 100)}, {"0.txt": "a dog runs"}, 0).places["0.mp4"].offset
    512
    """

    places: dict[str, Place]
    texts: dict[str, str]
    num_ignored: int


class ShardState(NamedTuple):
    """A shard in the state of one moment: `modified` is in nanoseconds since 1970, or the entity tag at an address.

    >>> ShardState("s3://bucket/000000.tar", 10240, '"9b2c"').size
    10240
    """

    path: str
    size: int
    modified: int | str


def shard_state(shard: Path) -> ShardState:
    """The state of a shard; an address is asked at most once a minute.

    Raises:
        OSError: there is no such file.
    """
    if not is_address(shard):
        found = shard.stat()
        return ShardState(os.path.realpath(shard), found.st_size, found.st_mtime_ns)
    return ShardState(str(shard), *state_from(shard_about(shard)))


def shard_about(shard: Path) -> dict[str, Any]:
    """What the server states about a shard at an address, at most a minute ago."""
    return _about(shard, int(time.monotonic() / _ASKED_AGAIN_SECONDS))


@functools.lru_cache(100_000)
def _about(shard: Path, minute: int) -> dict[str, Any]:  # noqa: ARG001 - asked again in another minute
    return about_file(shard)


def shard_places(shard: Path) -> dict[str, Place]:
    """Where the members begin, except texts. Indexes of the shards used last stay in memory.

    Raises:
        OSError, ShardError: the shard cannot be read.
    """
    return _known_places(shard, shard_state(shard))


@functools.lru_cache(_KEPT_INDEXES)
def _known_places(shard: Path, state: ShardState) -> dict[str, Place]:
    return _read_places(_index_path(state)) or _indexed(shard, state).places


def shard_index(shard: Path) -> ShardIndex:
    """The index of a shard, from the cache or from the shard itself.

    Raises:
        OSError, ShardError: the shard cannot be read.
    """
    state = shard_state(shard)
    return _read_index(_index_path(state)) or _indexed(shard, state)


def _indexed(shard: Path, state: ShardState) -> ShardIndex:
    path = _index_path(state)
    with alone(path):
        index = _read_index(path) or _list_members(shard)
        with suppress(OSError):  # without a place to write, each process lists the members again
            _write_index(path, index)
    return index


# --- the file of an index -------------------------------------------------------------------------------------------


def _index_path(state: ShardState) -> Path:
    key = repr((_VERSION, *state)).encode(errors="backslashreplace")
    return cache_folder() / "shards" / f"{hashlib.sha256(key).hexdigest()[:32]}.index"


def _write_index(path: Path, index: ShardIndex) -> None:
    """A line of JSON with the places, which is all that loader processes read, and the compressed texts."""
    _remove_unused(path.parent)
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(json.dumps({"places": index.places, "ignored": index.num_ignored}).encode() + b"\n")
        file.write(zlib.compress(json.dumps(index.texts).encode()))


@functools.cache  # once per process: a folder may have thousands of them
def _remove_unused(folder: Path) -> None:
    """Remove the indexes that no process has read for `_KEPT_DAYS`, such as those of shards that have changed."""
    for path in folder.glob("*.index"):
        with suppress(OSError):
            if _days_unused(path) > _KEPT_DAYS:
                path.unlink()


def _days_unused(path: Path) -> float:
    return (time.time() - path.stat().st_mtime) / 86_400


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """An index open for reading; its time tells when it was used."""
    with path.open("rb") as file:
        with suppress(OSError):
            if _days_unused(path) > 1:
                os.utime(path)
        yield file


def _read_places(path: Path) -> dict[str, Place] | None:
    try:
        with _opened(path) as file:
            return _places(json.loads(file.readline()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _read_index(path: Path) -> ShardIndex | None:
    try:
        with _opened(path) as file:
            about = json.loads(file.readline())
            return ShardIndex(_places(about), json.loads(zlib.decompress(file.read())), int(about["ignored"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zlib.error):
        return None


def _places(about: dict[str, Any]) -> dict[str, Place]:
    return {name: Place(int(offset), int(size)) for name, (offset, size) in about["places"].items()}


# --- reading an archive ---------------------------------------------------------------------------------------------


def open_shard(shard: Path) -> BinaryIO:
    """Open a shard for reading at any position.

    Raises:
        OSError: it cannot be read.
        ShardError: its server does not send parts of it.
    """
    if not is_address(shard):
        return shard.open("rb")
    about = shard_about(shard)
    if about.get("size") is None or about.get("partial") is False:
        raise ShardError(f"{shard}: its server sends no parts of files. Copy the shards to this machine.")
    return io.BufferedReader(RemoteFile(shard, about))


def _list_members(shard: Path) -> ShardIndex:
    index = ShardIndex({}, {}, 0)
    seen: set[str] = set()
    end = 0
    with open_shard(shard) as file:
        _check_kind(file, shard)
        for info in _headers(file, shard):
            end = info.offset_data + -(-info.size // _BLOCK) * _BLOCK
            name = _checked_name(info, shard)
            if not info.isreg() or _is_hidden(name):
                index = index._replace(num_ignored=index.num_ignored + (not info.isdir()))
                continue
            if name in seen:
                raise ShardError(f"{shard} contains {name!r} twice. Give each member its own name.")
            if info.issparse():
                raise ShardError(f"{shard}: {name!r} is stored as a sparse file. Write the archive without --sparse.")
            seen.add(name)
            if name.lower().endswith(TEXT_SUFFIXES):
                index.texts[name] = _read_text(file, info, shard)
            else:
                index.places[name] = Place(info.offset_data, info.size)
        _check_end(file, end, shard)
    return index


def _headers(file: BinaryIO, shard: Path) -> Any:
    """Yield the headers of an archive, one after the other."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            while (info := archive.next()) is not None:
                yield info
                archive.members.clear()  # type: ignore[attr-defined]  # they would all stay in memory
    except ShardError:
        raise
    except (tarfile.TarError, ValueError, ArithmeticError, LookupError, RecursionError, EOFError) as error:
        raise ShardError(
            f"{shard} is not a whole tar archive ({error}). If it was downloaded or copied, do so again."
        ) from None


def _check_kind(file: BinaryIO, shard: Path) -> None:
    start = file.read(8)
    file.seek(0)
    if not start:
        raise ShardError(f"{shard} is empty: 0 bytes. If it was downloaded or copied, do so again.")
    for signature, program in _COMPRESSED.items():
        if start.startswith(signature):
            raise ShardError(
                f"{shard} is compressed, so its members cannot be read one by one. Uncompress it: {program}. Videos "
                "are compressed already, so the archive will not be larger."
            )


def _checked_name(info: tarfile.TarInfo, shard: Path) -> str:
    """The name without `./`; names that lead out of the archive are refused."""
    path = PurePath(info.name)
    if path.is_absolute() or path.drive or info.name.startswith("/") or ".." in info.name.split("/"):
        raise ShardError(
            f"{shard} contains {info.name!r}, a name outside of the archive. Write the archive with relative names."
        )
    return "/".join(part for part in info.name.split("/") if part not in ("", "."))


def _is_hidden(name: str) -> bool:
    """Whether a member is hidden, such as `._0.mp4` of macOS, or metadata of webdataset, such as `__meta__`."""
    parts = name.split("/")
    return any(part.startswith(".") for part in parts) or parts[0].startswith("__")


def _read_text(file: BinaryIO, info: tarfile.TarInfo, shard: Path) -> str:
    if info.size > LARGEST_TEXT:
        raise ShardError(
            f"{shard}: {info.name!r} has {info.size / 1e6:.0f} MB, more than a caption or label: at most "
            f"{LARGEST_TEXT / 1e6:.0f} MB are read."
        )
    file.seek(info.offset_data)
    return file.read(info.size).decode("utf-8", "surrogateescape").removeprefix("\ufeff")


def _check_end(file: BinaryIO, end: int, shard: Path) -> None:
    """Check that zeros follow the last member: a tar ends with two blocks of them, and a cut one does not."""
    size = file.seek(0, io.SEEK_END)
    file.seek(end)
    rest = file.read(2 * _BLOCK)
    if end > size or len(rest) < _BLOCK:
        raise ShardError(
            f"{shard} is truncated: it ends after {size:,} bytes without the zeros that end a tar archive. Download, "
            "copy or write it again."
        )
    if rest.strip(b"\0"):
        raise ShardError(
            f"{shard} is corrupt at byte {end:,}: no header of a member is there. Download, copy or write it again."
        )
