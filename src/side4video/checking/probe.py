"""Probe one video: decode the first, middle and last frame, and compare the content with the header."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from side4video.checking.content import detect_other_type, file_size, hash_content, wrong_suffix
from side4video.video.decoding import VideoCache, VideoError, VideoFile, open_video
from side4video.video.file_access import exists, is_on_disk
from side4video.video.packets import ContainerFacts
from side4video.video.shard_index import ShardError

_MISSING_SHARE = 0.1  # of the length in the header, and also
_LATE_SECONDS = 0.5  # times of segments are rounded
_MISSING_SECONDS = 0.5  # this long: lengths are rounded, and the last frame may be shown for long


class ProbeTask(NamedTuple):
    """A video, or a part of one, to probe.

    >>> task = ProbeTask(Path("clip.mp4"), None, None, num_frames=32, is_hashed=False)
    >>> probe_video(task).faults
    (('too-short', 'it has 24 frames, fewer than data.num_frames = 32.'),)
    """

    path: Path
    start_seconds: float | None
    end_seconds: float | None
    num_frames: int
    """Frames of a clip. A video with fewer frames gets a warning."""
    is_hashed: bool
    frame_template: str | None = None
    fps: float | None = None
    """Frames per second of a frame folder."""
    cache: VideoCache | None = None


@dataclass(frozen=True)
class Probe:
    """The result: pairs of a kind (`findings.KINDS`) and a sentence, none for an intact video; and the hash.

    >>> Probe((("missing", "the file does not exist."),)).digest is None
    True
    """

    faults: tuple[tuple[str, str], ...]
    digest: str | None = None


def probe_video(task: ProbeTask) -> Probe:
    """Probe one video. Problems are in the result; they are not raised."""
    path = task.path
    try:
        if not exists(path):
            return Probe((("missing", "the file does not exist."),))
        if file_size(path) == 0:
            what = "the folder is empty." if path.is_dir() else "the file is empty: 0 bytes."
            return Probe((("empty", what),))
        digest = hash_content(path) if task.is_hashed else None
    except (OSError, ShardError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return Probe((("unreadable", f"it cannot be read ({reason})."),))
    try:
        return Probe(tuple(_decode(task)), digest)
    except VideoError as error:
        is_file = not is_on_disk(path) or path.is_file()
        other = detect_other_type(path) if error.fault == "unreadable" and is_file else None
        fault = (error.fault, error.reason) if other is None else ("no-video", f"its content is {other}.")
        return Probe((fault,), digest)


def _decode(task: ProbeTask) -> list[tuple[str, str]]:
    """Problems of a video whose three frames could be decoded."""
    faults = []
    with open_video(
        task.path,
        frame_template=task.frame_template,
        fps=task.fps,
        start_seconds=task.start_seconds,
        end_seconds=task.end_seconds,
        cache=task.cache,
    ) as video:
        video.read(sorted({0, video.num_frames // 2, video.num_frames - 1}))
        num_frames = video.num_frames
        if isinstance(video, VideoFile):
            if cut := _describe_truncation(video.container):
                faults.append(("truncated", cut))
            if wrong := wrong_suffix(task.path, video.container.names):
                faults.append(("wrong-suffix", wrong))
            if task.end_seconds is not None and task.end_seconds > video.file_seconds + _LATE_SECONDS:
                late = f"it ends at {task.end_seconds:g} seconds, the video at {video.file_seconds:.3f}."
                faults.append(("ends-late", late))
    if num_frames < task.num_frames:
        has = f"{num_frames} frame{'s' * (num_frames != 1)}"
        faults.append(("too-short", f"it has {has}, fewer than data.num_frames = {task.num_frames}."))
    return faults


def _describe_truncation(container: ContainerFacts) -> str | None:
    """A sentence if a file contains less than its header states; None otherwise.

    Packets are counted instead of frames: headers also count frames that are never shown (before the start of an
    edited file, or repeated ones), which is no damage.
    """
    if container.num_packets < container.num_listed:
        return f"its header lists {container.num_listed} frames, but it has {container.num_packets}."
    listed, found = container.listed_seconds, container.seconds
    if listed is not None and found is not None and found < listed * (1 - _MISSING_SHARE) - _MISSING_SECONDS:
        return f"its header states {listed:.1f} seconds, but its frames end at {found:.1f} seconds."
    return None
