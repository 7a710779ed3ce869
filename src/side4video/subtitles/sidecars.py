"""Subtitle files next to a video: which ones belong to it, and their encodings."""

import codecs
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

from side4video.data.lists.video_finder import composed
from side4video.subtitles.cues import Cue
from side4video.subtitles.parsing import parse_subtitles
from side4video.video.decoding import VIDEO_SUFFIXES
from side4video.video.remote import is_address, state_of
from side4video.video.remote_file import open_bytes

SUFFIXES = (".srt", ".vtt")
MAX_BYTES = 32 * 2**20
"""Size limit of a subtitle file; those of long films have 0.2 MB."""
_ADDITION = re.compile(r"[A-Za-z]{2,}(?:[-_][A-Za-z0-9]+)*")  # languages, and words such as "forced" or "sdh"
_FLAGS = {"forced", "sdh", "cc", "hi", "default"}
_MAX_OTHER_LETTERS = 0.5
"""Largest share of bytes beyond ASCII among the letters of a text in Windows-1252; other alphabets have more."""


_UNKNOWN = "it is not in UTF-8, UTF-16 or Windows-1252. Save it in UTF-8."


class SubtitleError(ValueError):
    """A subtitle file cannot be read; the message is the reason.

    >>> SubtitleError("it is empty.")
    SubtitleError('it is empty.')
    """


@dataclass(frozen=True)
class Sidecar:
    """The content of a subtitle file.

    Attributes:
        cues: in the order of their times.
        encoding: Python's name of its encoding.

    >>> Sidecar([], "utf-8").encoding
    'utf-8'
    """

    cues: list[Cue]
    encoding: str


def match_sidecars(names: Iterable[str], *, videos: Iterable[str] = ()) -> dict[str, list[tuple[str, str]]]:
    """For each video of a folder its subtitle files and their languages.

    They have the stem of the video and may add a language and words: `film.srt`, `film.pt-BR.forced.vtt`. If several
    videos fit, the longest stem counts: `film.en.srt` belongs to `film.en.mp4` if there is one.

    >>> match_sidecars(["film.mp4", "film.de.srt", "film.srt", "film.2.srt", "filmed.srt"])
    {'film.mp4': [('film.de.srt', 'de'), ('film.srt', '')]}

    Args:
        names: names of all files of the folder.
        videos: names that are videos although their suffix is unknown.
    """
    names, of_stem, found = sorted(names), defaultdict(set), defaultdict(list)
    for name in (*videos, *(name for name in names if PurePath(name).suffix.lower() in VIDEO_SUFFIXES)):
        of_stem[composed(PurePath(name).stem).casefold()].add(name)
    for name in names:
        if PurePath(name).suffix.lower() not in SUFFIXES:
            continue
        parts = composed(PurePath(name).stem).split(".")
        end = next((end for end in range(len(parts), 0, -1) if ".".join(parts[:end]).casefold() in of_stem), None)
        if end is not None and all(map(_ADDITION.fullmatch, parts[end:])):
            language = next((part for part in parts[end:] if part.lower() not in _FLAGS), "")
            for video in sorted(of_stem[".".join(parts[:end]).casefold()]):
                found[video].append((name, language))
    return dict(found)


def read_sidecar(path: Path, *, language: str = "") -> Sidecar:
    """The cues of a subtitle file.

    Raises:
        SubtitleError: it cannot be read, has no cue, or an unknown encoding.

    >>> _ = Path("clip.en.srt").write_bytes(b"1\\n00:00:01,000 --> 00:00:02,000\\nA caf\\xe9\\n")
    >>> read_sidecar(Path("clip.en.srt"), language="en").cues
    [Cue(start_seconds=1.0, end_seconds=2.0, text='A café', language='en')]
    """
    try:
        if state_of(path)[0] > MAX_BYTES or not (is_address(path) or path.is_file()):
            raise SubtitleError(f"it is not a file of at most {MAX_BYTES / 2**20:g} MB.")
        with open_bytes(path) as file:
            content = file.read()
    except OSError as error:
        raise SubtitleError(f"it cannot be read ({error.strerror}).") from error
    text, encoding = decode_text(content)
    if not (cues := parse_subtitles(text, language=language)):
        raise SubtitleError("it has no cues such as 00:00:01,000 --> 00:00:02,000 with text.")
    return Sidecar(cues, encoding)


def decode_text(content: bytes) -> tuple[str, str]:
    """Decode UTF-8 or UTF-16, with or without a byte order mark, or else Windows-1252; returns text and encoding.

    Raises:
        SubtitleError: the text is in none of these encodings.

    >>> decode_text("Größe".encode("utf-16-le")), decode_text("Größe".encode("cp1252"))
    (('Größe', 'utf-16-le'), ('Größe', 'cp1252'))
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _decode(content, "utf-16"), "utf-16"
    for encoding, zeros in (("utf-16-le", content[1::2]), ("utf-16-be", content[::2])):
        if len(content) >= 4 and zeros.count(0) > len(zeros) / 2:
            return _decode(content, encoding), encoding
    try:
        return content.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        letters = [byte for byte in content if byte >= 128 or chr(byte).isalpha()]
        if sum(byte >= 128 for byte in letters) > _MAX_OTHER_LETTERS * len(letters):
            raise SubtitleError(_UNKNOWN) from None
        return _decode(content, "cp1252"), "cp1252"


def _decode(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise SubtitleError(_UNKNOWN) from error
