"""Photos as examples of a search."""

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from side4video.video.rgb_pictures import to_rgb
from side4video.video.video_error import VideoError

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")


def is_photo(path: Path) -> bool:
    """Whether a file is a photo in a supported format, by its first bytes.

    >>> is_photo(Path("clip.mp4"))
    False
    """
    try:
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
        with Image.open(path, formats=_FORMATS) as photo:
            return Image.fromarray(to_rgb(photo))
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise VideoError(path, f"this photo cannot be read ({error}).") from None
