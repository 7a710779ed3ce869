"""The files that may be shown: those of the index, named by identifiers that say nothing of the file system."""

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from side4video.search.stores.records import IndexedFile


class NotServedError(LookupError):
    """There is nothing to show under an identifier, and why."""


def identify(path: str) -> str:
    """The identifier of a video: 24 hexadecimal digits that follow from its path in the index."""
    return hashlib.blake2b(os.fsencode(path), digest_size=12).hexdigest()


class Library:
    """The index's files by identifier. No path of a request is ever opened: it is looked up here or it is nothing."""

    def __init__(self, files: Mapping[str, IndexedFile]) -> None:
        self.files: dict[str, IndexedFile] = {}
        self._found: dict[str, IndexedFile] = {}
        self.replace(files)

    def replace(self, files: Mapping[str, IndexedFile]) -> None:
        """Take these files for all of the index, and those that were found since `forget_found`."""
        self.files = {identify(path): file for path, file in files.items()} | self._found

    def forget_found(self) -> None:
        """From now on the list of files is read anew."""
        self._found = {}

    def remember(self, file: IndexedFile) -> str:
        """The identifier of a file that a search has found, perhaps added to the index a moment ago."""
        identifier = identify(file.path)
        self.files[identifier] = self._found[identifier] = file
        return identifier

    def find(self, identifier: str) -> IndexedFile:
        """A file of the index that is on the disk as it was indexed.

        Raises:
            NotServedError: no such identifier; or what is there now is missing, a link, no plain file, or has changed.
        """
        file = self.files.get(identifier)
        if file is None:
            raise NotServedError("There is no such video in the index.")
        path = Path(file.path)
        try:
            real, found = path.resolve(strict=True), path.lstat()
        except (OSError, RuntimeError):
            raise NotServedError("This video is no longer where it was indexed.") from None
        if real != path or not stat.S_ISREG(found.st_mode):
            raise NotServedError("Where this video was indexed there is a link now.")
        if (found.st_size, found.st_mtime_ns) != (file.size, file.modified):
            raise NotServedError("This file has changed since it was indexed. Run side4video index again.")
        return file
