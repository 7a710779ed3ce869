"""Reading frames out of video files and frame folders: the asked frames, exactly, or a `VideoError`."""

from pathlib import Path

from side4video.video.frame_folder import FrameFolder
from side4video.video.video_error import VideoError
from side4video.video.video_file import VideoFile

__all__ = ["VIDEO_SUFFIXES", "FrameFolder", "VideoError", "VideoFile", "find_videos", "open_video"]

VIDEO_SUFFIXES = (
    *(".mp4", ".webm", ".avi", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv"),
    *(".flv", ".3gp", ".ogv", ".3g2", ".mts", ".m2ts"),
)
"""File name endings, in lower case, of what is taken for a video; the most likely first."""


def find_videos(folder: str | Path) -> list[Path]:
    """Every video file in `folder` and below, sorted by path. Known by `VIDEO_SUFFIXES`; hidden files are left out.

    Raises:
        NotADirectoryError: `folder` is not a directory.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is not a directory. Give a folder that holds videos.")
    named = (path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    return sorted(path for path in named if not path.name.startswith(".") and path.is_file())


def open_video(
    path: str | Path,
    *,
    frame_template: str | None = None,
    fps: float | None = None,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
) -> VideoFile | FrameFolder:
    """A video whose frames can be read by number: a `FrameFolder` where `path` is a directory, else a `VideoFile`.

    Args:
        path: A video file or a folder of frames.
        frame_template: File names in a folder of frames, by default `img_{:05d}.jpg`; not used for a file.
        fps: Frames per second of a folder of frames; a file knows its own.
        start_seconds: Only frames at or after this time.
        end_seconds: Only frames before this time.

    Raises:
        VideoError: It cannot be read.
    """
    path = Path(path)
    if not path.is_dir():
        return VideoFile(path, start_seconds=start_seconds, end_seconds=end_seconds)
    template = frame_template or "img_{:05d}.jpg"
    return FrameFolder(path, template=template, fps=fps, start_seconds=start_seconds, end_seconds=end_seconds)
