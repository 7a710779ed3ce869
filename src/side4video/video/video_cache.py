"""What is known of long video files: frame tables, shared by all processes of a command, and open files.

Listing the packets of a file reads all of it. Without a cache, each part, window or segment would do so again.
"""

import functools
import hashlib
import secrets
import shutil
import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

from side4video.video.container import FFMPEG_VERSION, InputContainer
from side4video.video.file_access import state_of
from side4video.video.file_lock import alone
from side4video.video.frame_table import FrameTable, read_table, write_table
from side4video.video.remote import is_address

KEPT_FROM_FRAMES = 1000
"""Tables of files with fewer frames are not written to disk: listing these takes milliseconds."""
LOCKED_FROM_BYTES = 16 * 2**20
"""While a process lists a file of this size, others that need its table wait. Smaller ones may be listed twice."""
_TABLES_IN_MEMORY = 8  # 16 bytes per frame: 6 MB for 4 hours at 25 frames per second
_OPEN_FILES = 4


class FileKey(NamedTuple):
    """A file in the state of one moment. A file that was changed has another key.

    >>> key = file_key(Path("clip.mp4"))
    >>> key.size == Path("clip.mp4").stat().st_size
    True
    """

    path: str
    size: int
    modified: int | str
    """In nanoseconds since 1970; the entity tag of a remote file."""


def file_key(path: Path) -> FileKey:
    """The key of a file as it is now.

    Raises:
        OSError: the file cannot be read.
    """
    return FileKey(str(path if is_address(path) else path.resolve()), *state_of(path))


class VideoCache:
    """Frame tables of long files in a folder, and open files of this process. Give it to `open_video`.

    A copy in another process, such as a loader process, shares the folder, not the open files. It is not thread-safe.

    Args:
        folder: where tables are kept, for later commands too. Default: a temporary folder, removed with this object.

    >>> from side4video.video.decoding import open_video
    >>> cache = VideoCache()
    >>> for start in (0.0, 1.0):  # the second time, the file is open already
    ...     with open_video("clip.mp4", start_seconds=start, cache=cache) as video:
    ...         video.num_frames
    24
    12
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir()) / f"side4video-{secrets.token_hex(8)}"
        if folder is None:
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._forget()

    def __getstate__(self) -> Path:
        return self._folder

    def __setstate__(self, folder: Path) -> None:
        self._folder = folder
        self._forget()

    def _forget(self) -> None:
        self._tables: OrderedDict[FileKey, FrameTable] = OrderedDict()
        self._open: OrderedDict[FileKey, InputContainer] = OrderedDict()

    def table(self, key: FileKey, list_file: Callable[[], FrameTable]) -> FrameTable:
        """The table of a file, from memory, from the folder, or from `list_file`."""
        table = self._tables.pop(key, None)
        path = self._folder / f"{_digest(key)}.frames"
        if table is None:
            table = read_table(path)
        if table is None:
            with alone(path) if key.size >= LOCKED_FROM_BYTES else nullcontext():
                table = read_table(path) or list_file()
                if len(table.seconds) >= KEPT_FROM_FRAMES:
                    with suppress(OSError):  # on a full disk the file is listed again
                        write_table(path, table)
        self._tables[key] = table
        if len(self._tables) > _TABLES_IN_MEMORY:
            self._tables.popitem(last=False)
        return table

    def take_open(self, key: FileKey) -> InputContainer | None:
        """An open file, at any position, which is then the caller's alone; None if there is none."""
        return self._open.pop(key, None)

    def give_open(self, key: FileKey, container: InputContainer) -> None:
        """Keep a long file open: opening reads the whole header, which grows with the length. Close a short one."""
        table = self._tables.get(key)
        if table is None or len(table.seconds) < KEPT_FROM_FRAMES:
            container.close()
            return
        self._open[key] = container
        if len(self._open) > _OPEN_FILES:
            self._open.popitem(last=False)[1].close()


@functools.cache
def shared_cache() -> VideoCache:
    """The cache of this process, with a temporary folder that is removed at its end."""
    return VideoCache()


def _digest(key: FileKey) -> str:
    """A file name for the table of a file; other versions of FFmpeg may list other frames."""
    text = repr((*key, FFMPEG_VERSION))
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()[:32]
