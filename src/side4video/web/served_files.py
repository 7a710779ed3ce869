"""The files that may be shown: those of the index, under identifiers that reveal nothing about the file system."""

import hashlib
import os
import stat
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from side4video.checking.content import hash_content
from side4video.search.allowed_addresses import AllowedAddresses, refusal
from side4video.search.stores.records import IndexedFile
from side4video.video.remote import StoreError, is_address
from side4video.video.video_error import VideoError
from side4video.web.remote_states import RemoteStates

_CHANGED = "This file has changed since it was indexed. Run side4video index again."


class NotServedError(LookupError):
    """The file of an identifier cannot be shown; the message gives the reason.

    >>> try:
    ...     ServedFiles({}).find("0" * 24)
    ... except NotServedError as error:
    ...     print(error)
    The index has no such video.
    """


def identify(path: str) -> str:
    """The identifier of a video: 24 hexadecimal digits, a hash of its path in the index.

    >>> len(identify("/videos/cat.mp4"))
    24
    """
    return hashlib.blake2b(os.fsencode(path), digest_size=12).hexdigest()


class ServedFiles:
    """The files of an index by identifier. A path from a request is never opened: clients send only identifiers.

    Args:
        files: the files by path.
        allowed: which addresses may be fetched. Default: none.

    >>> library = ServedFiles({})
    >>> library.find("0" * 24)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    side4video.web.served_files.NotServedError: ...
    """

    def __init__(self, files: Mapping[str, IndexedFile], allowed: AllowedAddresses | None = None) -> None:
        self._allowed = allowed or AllowedAddresses([])
        self._remote = RemoteStates()
        self.files: dict[str, IndexedFile] = {}
        self._remembered: dict[str, IndexedFile] = {}
        self.replace(files)

    def replace(self, files: Mapping[str, IndexedFile]) -> None:
        """Replace the list of files. Files found since `clear_remembered` are kept."""
        self.files = {identify(path): file for path, file in files.items()} | self._remembered

    def clear_remembered(self) -> None:
        """Start a new list: `replace` drops files that were found before. Call this before the list is read again."""
        self._remembered = {}

    def remember(self, file: IndexedFile) -> str:
        """Add a file that a search found, which may be newer than the list of files; return its identifier."""
        identifier = identify(file.path)
        self.files[identifier] = self._remembered[identifier] = file
        return identifier

    def find(self, identifier: str) -> IndexedFile:
        """The file of an identifier, if it is unchanged since it was indexed.

        If the path leads through a link, the content is compared with the indexed content: links can be set to other
        files of the same size and time. The file is read for that once.

        Raises:
            NotServedError: the identifier is unknown, or the file is missing, not a regular file, or changed.
        """
        file = self.files.get(identifier)
        if file is None:
            raise NotServedError("The index has no such video.")
        if is_address(file.path):
            self._check_address(file)
            return file
        path = Path(file.path)
        try:
            found = path.stat()
        except OSError:
            raise NotServedError("This video no longer exists at its indexed path.") from None
        if not stat.S_ISREG(found.st_mode):
            raise NotServedError("The indexed path of this video is no longer a file.")
        if (found.st_size, found.st_mtime_ns) != (file.size, file.modified):
            raise NotServedError(_CHANGED)
        if _linked_content(path, found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns) not in (
            None,
            file.content,
        ):
            raise NotServedError("The indexed path of this video is now a link to another file.")
        return file

    def _check_address(self, file: IndexedFile) -> None:
        if not self._allowed.contains(file.path):
            raise NotServedError(refusal(file.path))
        try:
            if self._remote.state(file.path) != (file.size, file.modified):
                raise NotServedError(_CHANGED)
        except FileNotFoundError:
            raise NotServedError("This video no longer exists at its indexed address.") from None
        except StoreError as error:
            raise NotServedError(f"The store of this video gives {error.reason}") from None
        except (OSError, VideoError):
            raise NotServedError("The store of this video cannot be read.") from None


@lru_cache(maxsize=65536)
def _linked_content(path: Path, *state: int) -> str | None:
    """The hash of the content of a path that leads through a link, empty if it cannot be read; None without a link.

    It is found once for a file in one state (device, inode, times); a link to another file has another one.
    Resolving links for each picture of each answer would slow down a server with many clients.
    """
    try:
        real = path.resolve(strict=True)
        found = real.stat()
        if (found.st_dev, found.st_ino) != state[:2]:  # exchanged since its state was read
            return ""
        return None if real == path else hash_content(real)
    except (OSError, RuntimeError):
        return ""
