"""The kinds of findings about an entry of a data set, and their severity."""

from dataclasses import dataclass
from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of finding. Errors set the exit code to 1; kinds that are left out are not in the clean list."""

    is_error: bool
    is_left_out: bool
    about: str


KINDS: dict[str, Kind] = {
    "missing": Kind(True, True, "there is no such file"),
    "empty": Kind(True, True, "a file of no bytes, or a folder with nothing in it"),
    "no-video": Kind(True, True, "a web page, text, an archive or something else that is no video"),
    "unreadable": Kind(True, True, "it cannot be opened as a video"),
    "audio-only": Kind(True, True, "sound without pictures"),
    "no-frames": Kind(True, True, "no frame comes out of it"),
    "damaged": Kind(True, True, "first, middle or last frame cannot be decoded"),
    "truncated": Kind(True, True, "cut off: fewer frames than its header lists"),
    "time-out": Kind(True, True, "decoding three frames took longer than --timeout-seconds"),
    "crash": Kind(True, True, "the process that decoded it died"),
    "no-label": Kind(True, True, "the list names no class"),
    "wrong-label": Kind(True, True, "the list gives a number that no class has"),
    "two-labels": Kind(True, True, "the same content under two classes; which is right is not known"),
    "unlistable": Kind(True, True, "a path that no CSV list can hold"),
    "test-in-train": Kind(True, True, "a video of the evaluation set among the training videos"),
    "listed-twice": Kind(False, True, "the list names it again; the first is kept"),
    "duplicate": Kind(False, True, "the same content as an earlier video; the first is kept"),
    "too-short": Kind(False, False, "fewer frames than data.num_frames: frames are repeated"),
    "wrong-suffix": Kind(False, False, "another container than its name says"),
}
"""All kinds by name, the most severe first."""


@dataclass(frozen=True)
class Finding:
    """One problem of one entry.

    Attributes:
        set: "train" or "test".
        place: position of the entry in its list, from 0.
        name: name of the video as the list writes it.
        path: path of the video file or folder of frames.
        kind: a key of `KINDS`.
        reason: one sentence.
    """

    set: str
    place: int
    name: str
    path: str
    kind: str
    reason: str

    @property
    def is_error(self) -> bool:
        """Whether the finding sets the exit code to 1."""
        return KINDS[self.kind].is_error


def encodable(text: str) -> str:
    """The text with bytes of file names that are not UTF-8 escaped, such as `\\udce9`, so that UTF-8 can encode it.

    >>> encodable("caf\\udce9.mp4")
    'caf\\\\udce9.mp4'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def printable(text: str) -> str:
    """The text on one line, with control characters for terminals escaped.

    >>> printable("a\\tb")
    'a\\\\tb'
    """
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
