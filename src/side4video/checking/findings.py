"""The kinds of findings about an entry of a data set, and their severity."""

from dataclasses import dataclass
from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of finding. Errors set the exit code to 1; the clean list leaves out kinds that are excluded.

    >>> KINDS["too-short"].is_error, KINDS["too-short"].is_excluded
    (False, False)
    """

    is_error: bool
    is_excluded: bool
    about: str


KINDS: dict[str, Kind] = {
    "missing": Kind(True, True, "the file does not exist"),
    "empty": Kind(True, True, "an empty file or folder"),
    "no-video": Kind(True, True, "a web page, text, an archive or another file that is not a video"),
    "unreadable": Kind(True, True, "the file cannot be opened as a video"),
    "audio-only": Kind(True, True, "the file has sound but no pictures"),
    "no-frames": Kind(True, True, "no frame can be decoded"),
    "beyond-end": Kind(True, True, "the segment has no frame, because the video ends before it"),
    "damaged": Kind(True, True, "the first, middle or last frame cannot be decoded"),
    "truncated": Kind(True, True, "the file has fewer frames than its header lists"),
    "time-out": Kind(True, True, "decoding three frames took longer than --timeout-seconds"),
    "crash": Kind(True, True, "the decoder process crashed"),
    "no-label": Kind(True, True, "the list gives no class"),
    "wrong-label": Kind(True, True, "the list gives a number that is not a class"),
    "two-labels": Kind(True, True, "the same content has two classes; the correct one is unknown"),
    "unlistable": Kind(True, True, "a path that a CSV list cannot contain"),
    "test-in-train": Kind(True, True, "a video of the evaluation set among the training videos"),
    "listed-twice": Kind(False, True, "the list contains it twice; the first is kept"),
    "duplicate": Kind(False, True, "the same content as an earlier video; the first is kept"),
    "ends-late": Kind(False, False, "the video ends before the segment does; the segment is shortened"),
    "overlap": Kind(False, False, "the segment overlaps an earlier one of the same file"),
    "too-short": Kind(False, False, "the video has fewer frames than data.num_frames; frames are repeated"),
    "wrong-suffix": Kind(False, False, "the suffix does not match the container"),
}
"""All kinds by name, the most severe first."""


@dataclass(frozen=True)
class Finding:
    """One problem of one entry.

    Attributes:
        set: "train" or "test".
        position: position of the entry in its list, from 0.
        name: name of the video as the list writes it.
        path: path of the video file or folder of frames.
        kind: a key of `KINDS`.
        reason: one sentence.

    >>> Finding("train", 0, "a.mp4", "/videos/a.mp4", "missing", "the file does not exist.").is_error
    True
    """

    set: str
    position: int
    name: str
    path: str
    kind: str
    reason: str

    @property
    def is_error(self) -> bool:
        """Whether the finding sets the exit code to 1."""
        return KINDS[self.kind].is_error
