"""Open video files and frame folders, whose frames are read exactly as requested or raise a `VideoError`."""

import stat
from pathlib import Path

from side4video.system.paths import is_missing
from side4video.video.frame_folder import FrameFolder
from side4video.video.hidden import is_hidden
from side4video.video.remote import is_address, video_path
from side4video.video.remote_listing import list_remote, unlisted_error, walk
from side4video.video.video_cache import VideoCache, shared_cache
from side4video.video.video_error import VideoError
from side4video.video.video_file import VideoFile

__all__ = [
    "PICTURE_SUFFIXES",
    "VIDEO_SUFFIXES",
    "FrameFolder",
    "VideoCache",
    "VideoError",
    "VideoFile",
    "find_videos",
    "open_video",
    "shared_cache",
]

VIDEO_SUFFIXES = (
    *(".mp4", ".webm", ".avi", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv"),
    *(".flv", ".3gp", ".ogv", ".3g2", ".mts", ".m2ts", ".ts", ".m2t", ".vob", ".asf", ".f4v", ".mxf", ".divx"),
    *(".qt", ".gif", ".ogg", ".ogm", ".dv", ".rm", ".rmvb", ".mpe", ".m1v", ".m2v", ".mp4v", ".mjpeg", ".mjpg"),
    *(".h264", ".h265", ".hevc", ".ivf", ".nut", ".y4m", ".wtv", ".amv"),
)
"""File name endings of videos, in lower case, the most common first."""
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""File name endings of the pictures of frame folders, in lower case."""


def find_videos(folder: str | Path, *, unlisted: list[OSError] | None = None) -> list[Path]:
    """Every video file in `folder` and its subfolders, sorted by path.

    A file is a video if its name ends with one of `VIDEO_SUFFIXES`. Files and folders that are hidden (`is_hidden`) are
    ignored. Links to folders are followed, each folder once (`walk`).

    Args:
        folder: the folder.
        unlisted: receives an error for each folder and file whose state cannot be read.

    Raises:
        NotADirectoryError: `folder` is not a directory.
        OSError: the state of a folder or file cannot be read, and `unlisted` is None.
        StoreError: `folder` is at an address whose store does not answer, or refuses access.
    """
    folder = video_path(folder)
    if is_address(folder):
        return list(map(video_path, list_remote(folder, VIDEO_SUFFIXES)))
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a directory. Give a folder with videos.")
    found, failed = [], [] if unlisted is None else unlisted
    for parent, folders, files in walk(folder, unlisted=failed):
        folders[:] = [name for name in folders if not is_hidden(name)]
        shown = (name for name in files if name.lower().endswith(VIDEO_SUFFIXES) and not is_hidden(name))
        found += [path for name in shown if _is_file(path := Path(parent, name), failed)]
    if unlisted is None and failed:
        raise unlisted_error(failed[0])
    return sorted(found)


def _is_file(path: Path, failed: list[OSError]) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        if not is_missing(error):
            failed.append(error)
        return False


def open_video(
    path: str | Path,
    *,
    frame_template: str | None = None,
    fps: float | None = None,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
    cache: VideoCache | None = None,
) -> VideoFile | FrameFolder:
    """Open a video whose frames can be read by number: a `FrameFolder` if `path` is a folder, else a `VideoFile`.

    >>> with open_video("clip.mp4") as video:
    ...     video.num_frames, video.duration_seconds
    (24, 2.0)

    Args:
        path: A video file or a folder of frames.
        frame_template: File names in a folder of frames, see `FrameFolder`; ignored for a file.
        fps: Frames per second of a folder of frames; ignored for a file, which stores its own.
        start_seconds: Only frames at or after this time.
        end_seconds: Only frames before this time.
        cache: Remembers the tables of files and keeps files open; ignored for a folder. Share one between many calls.

    Raises:
        VideoError: The video cannot be read.
    """
    path = video_path(path)
    if is_address(path) or not path.is_dir():
        return VideoFile(path, start_seconds=start_seconds, end_seconds=end_seconds, cache=cache)
    return FrameFolder(path, template=frame_template, fps=fps, start_seconds=start_seconds, end_seconds=end_seconds)
