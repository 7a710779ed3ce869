"""The content of a file: its hash, its type if it is not a video, and whether its suffix matches."""

import hashlib
import os
from pathlib import Path

from side4video.video.file_access import open_bytes, state_of
from side4video.video.remote import is_address
from side4video.video.shard_index import ShardError

OTHER_TYPES = {
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"Rar!": "a RAR archive",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"%PDF": "a PDF document",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself: run git lfs pull in its repository",
    b"<": "a web page, which servers send instead of a file",
    b"{": "JSON, which servers send instead of a file",
}
"""First bytes of files that are often mistaken for videos, and what to call them."""

CONTAINERS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys((".mp4", ".m4v", ".mov", ".3gp", ".3g2"), ("mp4",)),
    **dict.fromkeys((".mkv", ".webm"), ("matroska",)),
    **dict.fromkeys((".mpg", ".mpeg"), ("mpeg", "mpegvideo", "mpegts")),
    **dict.fromkeys((".mts", ".m2ts", ".ts"), ("mpegts",)),
    **dict.fromkeys((".wmv", ".asf"), ("asf",)),
    ".avi": ("avi",),
    ".flv": ("flv",),
    ".ogv": ("ogg",),
    ".gif": ("gif",),
}
"""FFmpeg's names of the containers that a suffix means, by suffix."""


def detect_other_type(path: Path) -> str | None:
    """The type of a file that is not a video, detected from its first bytes; None if it is unknown."""
    try:
        with open_bytes(path) as file:
            start = file.read(4096)
    except (OSError, ShardError):
        return None
    bare = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    for first, name in OTHER_TYPES.items():
        if bare.startswith(first):
            return name
    if not start.strip(b"\0"):
        return "only zeros, as after an incomplete download"
    try:
        return "text" if "".join(start.decode("utf-8").split()).isprintable() else None
    except UnicodeDecodeError:
        return None


def wrong_suffix(path: Path, container_names: tuple[str, ...]) -> str | None:
    """A sentence if the suffix does not match the container's FFmpeg names `container_names`; None if it does."""
    expected = CONTAINERS.get(path.suffix.lower())
    if expected is None or set(expected) & set(container_names):
        return None
    return f"its suffix is {path.suffix}, but its content is {'/'.join(container_names)}."


def file_size(path: Path) -> int | None:
    """Size of a file in bytes; 0 for an empty folder, None for any other folder and for a missing file."""
    try:
        if is_address(path) or not path.is_dir():
            return state_of(path)[0]
        with os.scandir(path) as entries:
            return None if any(entries) else 0
    except (OSError, ShardError):
        return None


def hash_content(path: Path) -> str:
    """Hash of a file's content. For a folder: of its files' names and sizes, and of the content of three files."""
    if is_address(path) or not path.is_dir():
        return _hash_file(path)
    files = sorted(entry for entry in path.iterdir() if entry.is_file())
    facts = [f"{file.name} {file.stat().st_size}" for file in files]
    facts += [_hash_file(files[position]) for position in (0, len(files) // 2, len(files) - 1) if files]
    return hashlib.sha256("\n".join(facts).encode("utf-8", "surrogateescape")).hexdigest()


def _hash_file(path: Path) -> str:
    with open_bytes(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
