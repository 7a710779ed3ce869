"""Check that the videos of a list are below its root, because an untrusted list could name any file."""

import os
import posixpath
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from side4video.data.lists.text_files import MAX_SHOWN, MAX_SHOWN_CHARACTERS, DataError, shorten
from side4video.system.paths import real_path
from side4video.video.remote import is_address

OutsideRoot = Literal["refuse", "allow"]


def check_path_traversal(named: Sequence[tuple[str, Path]], root: Path, source: Path) -> None:
    """Check that no path leaves the root, by `..`, as an absolute path or through a link.

    Each folder is listed once and no file is accessed, because data sets have 240,000 files on slow disks.

    Args:
        named: name in the list and path of each video.
        root: the root folder.
        source: the list or folder that was read.

    Raises:
        DataError: paths leave the root; the first ten are named with their lines.
    """
    outside = list(_outside([path for _, path in named], root))
    if not outside:
        return
    lines = _lines_with({named[index][0] for index, _ in outside[:MAX_SHOWN]}, source)
    shown = ", ".join(
        f"{lines.get(named[index][0], '')}{shorten(named[index][0])} (resolves to {end[:MAX_SHOWN_CHARACTERS]})"
        for index, end in outside[:MAX_SHOWN]
    )
    more = f", ... ({len(outside)} in all)" if len(outside) > MAX_SHOWN else ""
    raise DataError(
        f"{source} names videos outside of the root {root}: {shown}{more}. A list or archive from elsewhere could "
        "refer to any file of this machine. If you trust it, use --data.outside-root allow, or leave out --data.root "
        "if the list has your own absolute paths."
    )


def _outside(paths: Sequence[Path], root: Path) -> Iterator[tuple[int, str]]:
    """Yield position and resolved path of the paths outside of `root`."""
    if is_address(root):
        start = f"{str(root).rstrip('/')}/"
        ends = (_without_dots(str(path)) for path in paths)
        yield from ((index, end) for index, end in enumerate(ends) if not end.startswith(start))
        return
    inside = os.path.join(real_path(root), "")  # noqa: PTH118 - with a slash at its end
    folders: dict[Path, tuple[str, set[str]]] = {}
    for index, path in enumerate(paths):
        if is_address(path):
            yield index, str(path)
            continue
        with suppress(ValueError):  # an invalid file name; later reported as missing
            if path.parent not in folders:
                folders[path.parent] = real_path(path.parent), _links_in(path.parent)
            folder, links = folders[path.parent]
            followed = path.name in links or path.name == ".."
            end = real_path(path) if followed else os.path.join(folder, path.name)  # noqa: PTH118
            if not os.path.join(end, "").startswith(inside):  # noqa: PTH118
                yield index, end


def _without_dots(address: str) -> str:
    kind, slashes, rest = address.partition("://")
    return kind + slashes + posixpath.normpath(rest)


def _links_in(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_symlink()}
    except OSError:
        return set()


def _lines_with(names: set[str], source: Path) -> dict[str, str]:
    """`line 3, ` for each name that a line of a text file contains; empty for other sources."""
    if not source.is_file() or source.suffix.lower() == ".tar":
        return {}
    found: dict[str, str] = {}
    text = source.read_bytes().decode("utf-8", errors="replace")
    for number, line in enumerate(text.split("\n"), start=1):
        found = {name: f"line {number}, " for name in names - found.keys() if name in line} | found
    return found
