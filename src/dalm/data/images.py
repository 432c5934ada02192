"""Image files to pixels, by stated rules.

- The EXIF orientation is applied. Of an animation, the first frame counts.
- 16-bit grey becomes 8-bit by value * 255 / 65535, rounded, or by another value that is white. (Of
  16-bit colour, Pillow reads the upper byte.)
- 1-bit black and white become 0 and 255.
- Transparency (RGBA, grey with alpha, palettes, a transparent colour) is composited over white.
- Grey stays one channel; palettes and every other colour model become RGB.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from dalm.data.dataset import Array

if TYPE_CHECKING:
    from PIL.Image import Image

RULES = (
    "Image files were read so: 16-bit to 8-bit by value * 255 / {white}, transparency over white, "
    "palettes to RGB, EXIF orientation applied."
)
GREY_MODES = ("1", "L", "LA", "La")
LARGEST_16_BIT = 65535


class Facts(NamedTuple):
    """What is to be known of an image file beside its pixels: whether it holds several pages or
    frames, and the largest value of 16-bit grey, 0 for other kinds.
    """

    several: bool
    largest: int


def facts(file: IO[bytes]) -> Facts:
    """What is to be known of an image file.

    Args:
        file: open for reading.
    """
    import PIL.Image

    with PIL.Image.open(file) as opened:
        deep = opened.mode.startswith("I")
        largest = int(np.asarray(opened).max()) if deep else 0
        return Facts(bool(getattr(opened, "is_animated", False)), largest)


def read_image(file: IO[bytes], grey: bool, size: int | None, white: int = LARGEST_16_BIT) -> Array:
    """The pixels of an image file, (C, H, W) uint8 with C of 1 or 3.

    Args:
        file: open for reading.
        grey: turn colour into luminance.
        size: cut to the square in the centre and resize to this side.
        white: the value of 16-bit grey that becomes 255; what is above becomes 255 too.

    Raises:
        Exception: whatever Pillow raises on a file that is damaged or no image.

    >>> import io, PIL.Image
    >>> PIL.Image.new("RGBA", (3, 2), (0, 0, 0, 0)).save(file := io.BytesIO(), "png")
    >>> read_image(file, grey=True, size=None).tolist()
    [[[255, 255, 255], [255, 255, 255]]]
    """
    import PIL.Image
    import PIL.ImageOps

    with PIL.Image.open(file) as opened:
        image = _over_white(_eight_bits(PIL.ImageOps.exif_transpose(opened), white))
    image = image.convert("L" if grey or image.mode in GREY_MODES else "RGB")
    if size:
        image = _square(image, size)
    pixels: Array = np.asarray(image)
    return pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)


def resize_channel(channel: Array, size: int) -> Array:
    """Cut one channel to the square in its centre and resize it.

    Args:
        channel: (H, W) uint8.
        size: side of the result, in pixels.

    >>> resize_channel(np.full((4, 8), 7, np.uint8), 2).tolist()
    [[7, 7], [7, 7]]
    """
    return np.asarray(_square(_image(channel), size))


def _image(pixels: Array) -> Image:
    import PIL.Image

    return PIL.Image.fromarray(pixels.astype(np.uint8))


def _eight_bits(image: Image, white: int) -> Image:
    if image.mode == "F":
        raise ValueError("floating-point pixels have no stated range")
    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > LARGEST_16_BIT:
        raise ValueError(f"32-bit pixels beyond {LARGEST_16_BIT} have no stated range")
    return _image(((255 * values + white // 2) // white).clip(max=255))


def _over_white(image: Image) -> Image:
    if not image.has_transparency_data:
        return image
    with_alpha = image.convert("LA" if image.mode in GREY_MODES else "RGBA")
    pixels: Array = np.asarray(with_alpha).astype(np.int64)
    colour = pixels[..., :-1]
    alpha = pixels[..., -1:]
    composited = (colour * alpha + 255 * (255 - alpha) + 127) // 255
    return _image(composited.squeeze(2) if composited.shape[2] == 1 else composited)


def _square(image: Image, size: int) -> Image:
    from PIL.Image import Resampling

    side = min(image.size)
    left = (image.width - side) // 2
    top = (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return square.resize((size, size), Resampling.LANCZOS)
