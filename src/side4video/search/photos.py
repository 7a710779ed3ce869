"""Photos as examples of a search."""

from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from side4video.video.video_error import VideoError

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
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
    """A photo in RGB, upright as its EXIF data says.

    Raises:
        VideoError: it cannot be read.
    """
    try:
        with Image.open(path, formats=_FORMATS) as photo:
            return ImageOps.exif_transpose(photo).convert("RGB")
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise VideoError(path, f"this photo cannot be read ({error}).") from None
