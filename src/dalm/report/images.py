"""Pictures of data: arrays to grids of images, as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dalm.errors import DalmError
from dalm.records.files import write
from dalm.report.figures import Array, scatter_png
from dalm.report.vectors import sheet_png

Limits = tuple[float, float]
Spec = Mapping[str, Any]
Pixels = NDArray[np.uint8]

LONGEST_SIDE = 64
"""Pixels of an image: it is shown about 50 wide, and more would only make the page heavy."""
GRID_WIDTH = 560
"""Pixels of a picture of samples, about, where they are fewer: a person sees them at once."""
SHOWN_WIDTH = 48
"""CSS pixels of an image on the page, about."""


def is_points(spec: Spec) -> bool:
    """Whether data of this Spec are points in the plane."""
    return entries(spec) == 2


def entries(spec: Spec) -> int:
    """How many numbers a vector has; 0 of what is drawn as a picture.

    >>> entries({"shape": [13]}), entries({"shape": [1, 8, 8]})
    (13, 0)
    """
    shape = list(spec.get("shape", ()))
    return int(shape[0]) if len(shape) == 1 else 0


def native_width(spec: Spec) -> int:
    """How many pixels wide the picture of one datum is."""
    return min(_sides(spec)[1], LONGEST_SIDE)


def tile_width(spec: Spec) -> int:
    """How many CSS pixels wide one image is shown: a whole multiple of its own width, near 48.

    >>> tile_width({"shape": [1, 8, 8]})
    48
    """
    width = native_width(spec)
    return width * max(1, round(SHOWN_WIDTH / width))


def _sides(spec: Spec) -> tuple[int, int]:
    """Height and width of one datum as a picture."""
    shape = [1, *spec.get("shape", ())]
    height = int(shape[-2]) if len(shape) > 2 else 1
    return height, int(shape[-1])


def limits_of(x: Array) -> Limits:
    """The smallest and the largest finite value of `x`.

    >>> limits_of(np.array([1.0, np.inf, 3.0]))
    (1.0, 3.0)
    """
    finite = x[np.isfinite(x)]
    if finite.size == 0:
        return 0.0, 1.0
    return float(finite.min()), float(finite.max())


def to_images(x: Array, spec: Spec, limits: Limits | None = None) -> Pixels:
    """Data as pictures.

    Args:
        x: data (N, *shape), where shape is (d,), (H, W) or (C, H, W).
        spec: `shape` and `levels`; discrete levels 0 … levels − 1 become 0 … 255.
        limits: for real data, the values shown black and white; by default the range of `x`.

    Returns:
        Pictures (N, H, W, C), C = 1 (grey) or 3 (colour).

    >>> to_images(np.array([[[0, 8, 16]]]), {"shape": [1, 3], "levels": 17}).ravel()
    array([  0, 128, 255], dtype=uint8)
    """
    if spec.get("levels"):
        limits = (0.0, max(1.0, spec["levels"] - 1.0))
    low, high = limits or limits_of(x)

    finite = np.nan_to_num(x.astype(np.float64), nan=low, posinf=high, neginf=low)
    scaled = (finite - low) / ((high - low) or 1.0)
    pixels = np.rint(255 * scaled.clip(0, 1)).astype(np.uint8)

    height, width = _sides(spec)
    planes = pixels.reshape(len(x), -1, height, width)
    channels = 3 if planes.shape[1] >= 3 else 1
    return np.moveaxis(planes[:, :channels], 1, -1)


def grid(x: Array, spec: Spec, columns: int, limits: Limits | None = None, width: int = 0) -> bytes:
    """Images in rows, one transparent pixel apart, as PNG bytes.

    Args:
        x: data (N, *shape).
        spec: `shape` and `levels`.
        columns: images in a row.
        limits: for real data, the values shown black and white; by default the range of `x`.
        width: pixels that the whole has at least: each becomes a square of them.
    """
    images = _shrunk(to_images(x, spec, limits))
    count, height, across, channels = images.shape
    columns = max(1, min(columns, count))
    rows = -(-count // columns)

    # The last channel is opacity.
    size = (rows * (height + 1) - 1, columns * (across + 1) - 1, channels + 1)
    sheet = np.zeros(size, np.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top = row * (height + 1)
        left = column * (across + 1)
        tile = sheet[top : top + height, left : left + across]
        tile[..., :-1] = image
        tile[..., -1] = 255
    times = max(1, round(width / sheet.shape[1]))
    return _png(sheet.repeat(times, 0).repeat(times, 1))


def _shrunk(images: Pixels) -> Pixels:
    from PIL import Image

    _, height, width, channels = images.shape
    longest = max(height, width)
    if longest <= LONGEST_SIDE:
        return images

    new_height = max(1, round(height * LONGEST_SIDE / longest))
    new_width = max(1, round(width * LONGEST_SIDE / longest))
    small = []
    for image in images:
        picture = Image.fromarray(image.squeeze())
        small.append(np.asarray(picture.resize((new_width, new_height), Image.Resampling.BOX)))
    return np.stack(small).reshape(len(images), new_height, new_width, channels)


def _png(pixels: Pixels) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def save_grid(x: Array, path: Path | str, spec: Spec) -> None:
    """Save samples as one PNG picture: a grid of images, a scatter plot of points in the plane, or
    the columns of longer vectors.

    Args:
        x: samples (N, *shape), N ≥ 1.
        path: the file to write; a file already there is replaced whole.
        spec: `shape` and `levels`.

    Raises:
        DalmError: no samples, or samples of another shape than the Spec's.
    """
    shape = tuple(spec.get("shape", ()))
    if len(x) == 0 or x.shape[1:] != shape:
        raise DalmError(
            f"a grid needs samples of shape (N, {', '.join(map(str, shape))}) with N ≥ 1; these "
            f"have shape {x.shape}"
        )

    picture = _picture(x, spec)
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    write(target, picture)


def save_image(x: Array, path: Path, spec: Spec, limits: Limits | None = None) -> None:
    """Save one datum as a PNG picture of its own pixels, which `load_data` reads again.

    Args:
        x: (*shape).
        path: the file to write.
        spec: `shape` and `levels`.
        limits: for real data, the values shown black and white.
    """
    write(path, _png(to_images(x[None], spec, limits)[0].squeeze()))


def _picture(x: Array, spec: Spec) -> bytes:
    if is_points(spec):
        return scatter_png(x)
    if entries(spec):
        return sheet_png(x)
    return grid(x, spec, round(len(x) ** 0.5), width=GRID_WIDTH)
