"""Photos as examples of a search."""

import re
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from side4video.video.rgb_pictures import to_rgb
from side4video.video.video_error import VideoError

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_HEIC = re.compile(rb"....ftyp(?:....)*?hei[cxms]", re.DOTALL)


def _is_heic(path: Path) -> bool:
    """Whether a file is a photo of a phone in HEIC. Decoders of videos give one of its tiles."""
    with path.open("rb") as file:
        return _HEIC.match(file.read(48)) is not None


def is_photo(path: Path) -> bool:
    """Whether a file is a photo in a supported format or HEIC, by its first bytes.

    >>> is_photo(Path("clip.mp4"))
    False
    """
    try:
        if not path.is_file():  # a pipe would wait for its writer
            return False
        if _is_heic(path):
            return True
        with Image.open(path, formats=_FORMATS):
            return True
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError):
        return False


def read_photo(path: Path) -> Image.Image:
    """A photo in RGB, as `to_rgb` reads the pictures of frame folders.

    Raises:
        VideoError: it cannot be read.
    """
    try:
        if _is_heic(path):
            raise VideoError(path, "HEIC photos are not supported. Convert it to JPEG.")
        with Image.open(path, formats=_FORMATS) as photo:
            return Image.fromarray(to_rgb(photo))
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise VideoError(path, f"this photo cannot be read ({error}).") from None
