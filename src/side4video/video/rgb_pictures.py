"""Convert pictures of any mode to RGB."""

import numpy as np
from PIL import Image, ImageOps

_LARGEST_LEVEL = 65_535


def to_rgb(image: Image.Image) -> np.ndarray:
    """The picture as viewers show it: uint8 (height, width, 3).

    EXIF orientation is applied; transparent pixels are black; 16-bit levels 0 to 65,535 become 0 to 255.

    Raises:
        ValueError: levels of a picture with more than 8 bits are outside 0 to 65,535, or not whole numbers.

    >>> to_rgb(Image.fromarray(np.array([[65_535]], np.uint16))).tolist()
    [[[255, 255, 255]]]
    """
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode == "F" or image.mode.startswith("I"):
        levels = np.asarray(image)
        if image.mode == "F" or levels.min() < 0 or levels.max() > _LARGEST_LEVEL:
            raise ValueError(f"its levels of mode {image.mode} are not 16-bit numbers, convert it to 8 or 16 bits")
        grey = np.round(levels / (_LARGEST_LEVEL / 255)).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, "black"), image).convert("RGB"))
    return np.asarray(image.convert("RGB"))
