"""Paths of videos at addresses such as s3://bucket/clip.mp4, through fsspec.

`video_path` turns an address into a path that works like `pathlib.Path`. The other functions take paths of both kinds.
"""

import errno
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from typing_extensions import TypeIs

from side4video.system.paths import as_listed
from side4video.video.video_error import VideoError

TRIES = 5
"""Attempts of a request, with pauses of 0.5, 1, 2 and 4 seconds."""
CONNECT_SECONDS, READ_SECONDS = 10, 30
"""A server that accepts no connection, or sends nothing, for so long has failed the attempt."""
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_LIBRARIES = {"gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "sftp": "paramiko", "smb": "smbprotocol"}
_WEB = ("http", "https")
_WEB_SUFFIXES = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".wmv", ".3gp", ".ogv", ".gif")
_STREAMS = ("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "srt", "udp", "tcp", "mms", "pipe", "concat")
_CHANGES = ("ETag", "etag", "md5Hash", "blob_id", "LastModified", "mtime", "Last-Modified", "created")
_LOST = ("HTTPClientError", "ConnectionError")  # of botocore
_pause = time.sleep

NO_ANSWER, REFUSED = "no answer", "access refused"
"""How the reason of a `StoreError` starts."""

Result = TypeVar("Result")


class StoreError(OSError):
    """A store or server does not answer, or refuses access: nothing is known about the file.

    Attributes:
        path: the address.
        reason: what happened, as a sentence that starts with `NO_ANSWER` or `REFUSED`.

    >>> str(StoreError("s3://bucket/clip.mp4", "no answer after 5 attempts (TimeoutError: )."))
    's3://bucket/clip.mp4: no answer after 5 attempts (TimeoutError: ).'
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(str(path), reason)
        self.path, self.reason = str(path), reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def is_address(path: str | Path) -> bool:
    """Whether this is an address of fsspec, and not a file of this machine.

    >>> is_address("s3://bucket/clip.mp4"), is_address("file:///clip.mp4"), is_address(Path("clip.mp4"))
    (True, False, False)
    """
    text = str(path)
    return _ADDRESS.match(text) is not None and not text.startswith("file://")


def is_path(given: object) -> TypeIs[str | Path]:
    """Whether this is text or a path, also one of `video_path`, and not the content of a file.

    >>> is_path("clip.mp4"), is_path(video_path("s3://bucket/clip.mp4")), is_path(b"...")
    (True, True, False)
    """
    return isinstance(given, (str, Path)) or type(given).__module__.startswith("upath.")


def is_video_address(text: str) -> bool:
    """Whether this is the address of a file, and not of a live stream: of a store, or of a web page's video file.

    >>> is_video_address("s3://bucket/clips"), is_video_address("https://server/clip.mp4?x=1")
    (True, True)
    >>> is_video_address("http://server/live.ts"), is_video_address("rtsp://camera/1")
    (False, False)
    """
    kind, _, rest = text.partition("://")
    if not is_address(text) or kind.lower() in _STREAMS:
        return False
    return kind.lower() not in _WEB or rest.partition("?")[0].lower().endswith(_WEB_SUFFIXES)


def can_list(path: Path) -> bool:
    """Whether the names in a folder can be listed. Web servers do not offer this."""
    return not (is_address(path) and str(path).partition("://")[0] in _WEB)


def video_path(path: str | Path) -> Path:
    """The path of a video; an address becomes a path with the same methods that asks its server.

    >>> video_path("clips/0.mp4"), video_path("file:///clips/0.mp4").as_posix()
    (PosixPath('clips/0.mp4'), '/clips/0.mp4')

    Raises:
        VideoError: a library for this kind of address is not installed, or no library knows it.
    """
    if not isinstance(path, str):
        if is_address(path) or _single_slash(str(path)) is None:
            return path
        path = cast(str, _single_slash(str(path)))
    if path.startswith("file://"):
        return Path(path.removeprefix("file://"))
    if not is_address(path):
        return Path(path)
    kind = path.partition("://")[0].lower()
    try:
        from upath import UPath

        found = UPath(path, **_options(kind))
        found.fs  # noqa: B018 - imports the library of this kind of address
    except ImportError as error:
        more = f" {_LIBRARIES[kind]}" if kind in _LIBRARIES else ""
        install = f"Install it: pip install 'side4video[remote]'{more}."
        raise VideoError(path, f"reading {kind}:// needs a library that is not installed. {install}") from error
    except ValueError as error:
        raise VideoError(path, f"no library reads {kind}:// ({error}).") from error
    return cast(Path, found)


def _single_slash(text: str) -> str | None:
    """The address in a path such as `s3:/bucket/clip.mp4`: pathlib drops the second slash. None for other paths."""
    found = re.match(r"([a-z][a-z0-9+.-]+):/(?!/)", text)
    if found is None:
        return None
    from fsspec.registry import available_protocols

    return text.replace(":/", "://", 1) if found[1] in available_protocols() else None


def _options(kind: str) -> dict[str, Any]:
    """Timeouts of the libraries whose own are longer."""
    if kind in ("http", "https"):
        from aiohttp import ClientTimeout

        timeout = ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS)
        return {"client_kwargs": {"timeout": timeout}}
    if kind == "s3":
        return {"config_kwargs": {"connect_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS}}
    return {}


def state_of(path: Path) -> tuple[int, int | str]:
    """Size of a file in bytes, 0 if unknown, and its last change: nanoseconds since 1970, or its server's entity tag.

    Raises:
        OSError: there is no such file, or its server does not answer.
    """
    if not is_address(path):
        state = path.stat()
        return state.st_size, state.st_mtime_ns
    return state_from(about_file(path))


def state_from(about: dict[str, Any]) -> tuple[int, str]:
    """The result of `state_of` from that of `about_file`."""
    changed = next((about[name] for name in _CHANGES if about.get(name)), "")
    return int(about.get("size") or 0), str(changed)


def about_file(path: Path, *, tries: int = TRIES) -> dict[str, Any]:
    """What the server states about a file now, by fsspec's names.

    Raises:
        FileNotFoundError: there is no such file.
        StoreError: the server does not answer, or refuses access.
    """

    def ask() -> dict[str, Any]:
        if not str(path).startswith("hf://"):  # whose cache is for a whole repository, with requests that are limited
            file_system(path).invalidate_cache(key_in_store(path))
        return file_system(path).info(key_in_store(path))

    return retried(ask, path, tries=tries)


def state_or_none(path: Path) -> tuple[int, int | str] | None:
    """The result of `state_of`; None if there is no such file, or it cannot be asked."""
    try:
        return state_of(path)
    except OSError:
        return None


def identity_of(path: Path) -> str:
    """The address of a remote file, or the path of a file without links.

    >>> identity_of(video_path("clip.mp4")).endswith("/clip.mp4")
    True
    """
    return str(path) if is_address(path) else os.path.realpath(path)


def listed_path(path: Path) -> Path:
    """A path as its folders list it, see `as_listed`; addresses are returned unchanged.

    >>> listed_path(Path("clip.mp4"))
    PosixPath('clip.mp4')
    """
    return path if is_address(path) else Path(*as_listed([str(path)]))


def retried(request: Callable[[], Result], path: Path, *, tries: int = TRIES) -> Result:
    """The result of a request, which is repeated if the server is busy or the connection fails.

    Raises:
        FileNotFoundError: there is no such file.
        StoreError: the server did not answer the last attempt, or refuses access.
        OSError: repeating is useless for another reason.
    """
    for attempt in range(1, tries + 1):
        try:
            return request()
        except Exception as error:
            cause = error.__cause__  # fsspec raises FileNotFoundError for every failed question about a web address
            real = cause if isinstance(error, FileNotFoundError) and hasattr(cause, "status") else error
            assert isinstance(real, Exception)
            if attempt == tries or not _may_pass(real):
                raise _explained(real, path, attempt) from error
            _pause(0.5 * 2 ** (attempt - 1))
    raise AssertionError


def _may_pass(error: Exception) -> bool:
    """Whether another attempt may succeed."""
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return status in (408, 425, 429) or status >= 500
    if isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, StoreError)):
        return False
    is_network = type(error).__module__.startswith(("aiohttp", "fsspec"))
    is_lost = any(base.__name__ in _LOST for base in type(error).__mro__)
    return is_network or is_lost or isinstance(error, (OSError, TimeoutError))


def _explained(error: Exception, path: Path, attempts: int) -> OSError:
    status, what = getattr(error, "status", None), f"({type(error).__name__}: {error})."
    if isinstance(error, FileNotFoundError) or status in (404, 410):
        return FileNotFoundError(errno.ENOENT, "there is no such file", str(path))
    if isinstance(error, PermissionError) or status in (401, 403, 407) or "Credentials" in type(error).__name__:
        return StoreError(path, f"{REFUSED} {what}")
    if _may_pass(error):
        return StoreError(path, f"{NO_ANSWER} after {attempts} attempts {what}")
    return error if isinstance(error, OSError) else OSError(f"{path} cannot be read {what}")


def file_system(path: Path) -> Any:
    """The fsspec file system of a remote path."""
    return path.fs  # type: ignore[attr-defined]


def key_in_store(path: Path) -> str:
    """The name of a remote path in its file system."""
    return path.path  # type: ignore[attr-defined]
