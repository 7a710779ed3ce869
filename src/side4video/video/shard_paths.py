"""Paths of videos in tar archives, such as shards/000000.tar/0001.mp4: an archive is read like a folder."""

import glob
import io
import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from braceexpand import braceexpand

from side4video.video.hidden import is_hidden
from side4video.video.remote import can_list, is_address, listed_path, state_or_none, video_path
from side4video.video.remote_listing import matching, walk
from side4video.video.shard_index import ShardError, open_shard, shard_places, shard_state

SUFFIX = ".tar"
COMPRESSED_SUFFIXES = (".tar.gz", ".tgz", ".tar.zst", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_INSIDE = re.compile(r"\.tar(?=[/\\])", re.IGNORECASE)
_PARTS = "::"
_NAMED = 10


class Range(NamedTuple):
    """The bytes of a member: its shard, where it begins, its size, and the shard's last change.

    >>> Range(Path("000000.tar"), 512, 100, 0).offset
    512
    """

    shard: Path
    offset: int
    size: int
    modified: int | str


def split_member(path: str | Path) -> tuple[Path, str] | None:
    """The archive and the name of a member in it; None for other paths. Nothing is read but the kind of the archive.

    At addresses every name that ends in .tar is an archive. On disk, a folder of such a name is a folder.

    >>> split_member("clips/0.mp4") is None
    True
    """
    text = str(path)
    for found in _INSIDE.finditer(text):
        shard = video_path(text[: found.end()])
        if is_address(shard) or shard.is_file():
            return shard, text[found.end() + 1 :].replace(os.sep, "/")
    return None


def find_range(path: Path) -> Range | None:
    """Where a member is; None for other paths.

    Raises:
        FileNotFoundError: the archive has no such member.
        OSError, ShardError: the archive cannot be read.
    """
    inside = split_member(path)
    if inside is None:
        return None
    shard, name = inside
    place = shard_places(shard).get(name)
    if place is None:
        raise FileNotFoundError(f"{shard} contains no {name!r}.")
    return Range(shard, *place, shard_state(shard).modified)


def names_in_shard(folder: Path) -> set[str] | None:
    """The names in an archive, or in a folder inside it; None for other folders.

    Raises:
        OSError, ShardError: the archive cannot be read.
    """
    inside = split_member(f"{folder}/_")
    if inside is None:
        return None
    prefix = inside[1][:-1]
    return {name[len(prefix) :].split("/")[0] for name in shard_places(inside[0]) if name.startswith(prefix)}


class RangeFile(io.RawIOBase):
    """A part of an open file, as a file.

    Args:
        file: open for reading; it is closed with this object.
        offset: where the part begins.
        size: of the part in bytes.

    >>> RangeFile(io.BytesIO(b"0123456789"), offset=2, size=3).read()
    b'234'
    """

    def __init__(self, file: BinaryIO, *, offset: int, size: int) -> None:
        self._file, self._offset, self._size = file, offset, size
        self._position = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, counted from the beginning of the part."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def tell(self) -> int:
        """The position of the next byte, counted from the beginning of the part."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read up to the end of the part."""
        content = self._read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def readall(self) -> bytes:
        """Read all that is left at once."""
        return self._read(self._size)

    def _read(self, most: int) -> bytes:
        self._file.seek(self._offset + self._position)
        content = self._file.read(max(0, min(most, self._size - self._position)))
        self._position += len(content)
        return content

    def close(self) -> None:
        """Close the file too."""
        self._file.close()
        super().close()


def open_range(place: Range) -> io.BufferedReader:
    """Open a member for reading at any position."""
    return io.BufferedReader(RangeFile(open_shard(place.shard), offset=place.offset, size=place.size))


# --- which shards a source names ------------------------------------------------------------------------------------


def is_shard_pattern(source: str | Path) -> bool:
    """Whether text names several shards: with a range in braces, a star, or `::` between several.

    >>> is_shard_pattern("shards/{000000..000009}.tar"), is_shard_pattern("a.tar::b.tar")
    (True, True)
    >>> is_shard_pattern("shards/000000.tar"), is_shard_pattern("{a}.mp4")
    (False, False)
    """
    parts = str(source).split(_PARTS)
    return all(map(_names_archive, parts)) and (len(parts) > 1 or any(sign in parts[0] for sign in "{*"))


def _names_archive(text: str) -> bool:
    return text.lower().endswith((SUFFIX, *COMPRESSED_SUFFIXES)) or text.startswith("pipe:")


def names_shards(source: str | Path) -> bool:
    """Whether a path is an archive of videos by its name, or a pattern of several.

    >>> names_shards("shards/000000.tar"), names_shards("clip.mp4")
    (True, False)
    """
    return is_shard_pattern(source) or (_names_archive(str(source)) and not Path(str(source)).is_dir())


def list_path(source: str | Path) -> Path:
    """The path of a list. A pattern of shards stays as it is written, as no single file has this path."""
    return Path(str(source)) if is_shard_pattern(source) else video_path(source)


def find_shards(source: str | Path) -> list[Path]:
    """The shards that a file, folder or pattern names, in order; a folder's are sorted.

    >>> find_shards("clips")
    Traceback (most recent call last):
    side4video.video.shard_index.ShardError: clips contains no .tar files.

    Raises:
        ShardError: a shard is missing, compressed, or named twice.
    """
    shards = [listed_path(shard) for part in str(source).split(_PARTS) for shard in _expand(part)]
    if compressed := [shard for shard in shards if shard.name.lower().endswith(COMPRESSED_SUFFIXES)]:
        raise ShardError(
            f"{_few(compressed)} are compressed, so their videos cannot be read one by one. Uncompress them to .tar "
            "files: gunzip, zstd -d, bunzip2 or xz -d. Videos are compressed already, so they will not be larger."
        )
    if twice := [shard for shard, count in Counter(shards).items() if count > 1]:
        raise ShardError(f"{source} names shards twice: {_few(twice)}. Name each once.")
    if missing := [shard for shard in shards if state_or_none(shard) is None]:
        raise ShardError(
            f"{len(missing)} of {len(shards)} shards of {source} do not exist or cannot be read: {_few(missing)}. "
            "Correct the range, or give the folder."
        )
    return shards


def _expand(part: str) -> list[Path]:
    if part.startswith("pipe:"):
        raise ShardError(f"{part!r} is a command, which is not run. Give paths or addresses such as s3://bucket/0.tar.")
    path = video_path(Path(part))  # of a path, an address has a single slash
    if not any(sign in part for sign in "{*") or (not is_address(path) and path.exists()):
        return list(_in_folder(path)) if can_list(path) and path.is_dir() else [path]
    try:
        patterns = list(braceexpand(part))
    except ValueError as error:
        raise ShardError(f"{part!r} has unequal braces ({error}). Write a range as {{000000..000009}}.") from None
    return [
        shard for pattern in patterns for shard in (_glob(pattern) if "*" in pattern else [video_path(Path(pattern))])
    ]


def _glob(pattern: str) -> list[Path]:
    path = video_path(Path(pattern))
    found = matching(path) if is_address(path) else [Path(name) for name in sorted(glob.glob(pattern))]  # noqa: PTH207
    if not found:
        raise ShardError(f"{pattern} matches no file. Correct it, or give the folder.")
    return found


def _in_folder(folder: Path) -> Iterator[Path]:
    """The shards in a folder, or if there are none, in the folders below it; compressed ones too."""
    found = list(shards_directly_in(folder))
    if not found:
        for parent, folders, _ in walk(folder):
            folders[:] = sorted(name for name in folders if not is_hidden(name) and not name.startswith("_"))
            found += shards_directly_in(video_path(parent))
    if not found:
        raise ShardError(f"{folder} contains no .tar files.")
    yield from found


def shards_directly_in(folder: Path) -> list[Path]:
    """The archives in a folder, sorted, compressed ones too; not those below it."""
    _, _, names = next(walk(folder), ("", [], []))
    return [folder / name for name in sorted(names) if not is_hidden(name) and _names_archive(name)]


def videos_in(shard: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """The videos of a shard, in the order of the archive."""
    return [shard / name for name in shard_places(shard) if name.lower().endswith(suffixes)]


def _few(shards: list[Path]) -> str:
    more = f", ... ({len(shards)} in all)" if len(shards) > _NAMED else ""
    return ", ".join(map(str, shards[:_NAMED])) + more
