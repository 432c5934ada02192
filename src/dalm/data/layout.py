"""Which axis of an array is what, and how arrays of pixels are made grey and resized.

(N, H, W) becomes (N, 1, H, W). With four axes, a last axis of 1, 3 or 4 is the channels, unless the
second is too. (N, D) stays.
"""

from __future__ import annotations

import numpy as np

from dalm.data.dataset import Array, blocks_of
from dalm.data.images import resize_channel
from dalm.data.options import ImageOptions
from dalm.errors import DalmError

CHANNEL_COUNTS = (1, 3, 4)
LUMINANCE = np.array([19595, 38470, 7471])
"""Of red, green and blue, in units of 2⁻¹⁶: ITU-R BT.601, as Pillow rounds it."""


def arrange(x: Array, options: ImageOptions) -> Array:
    """Channels first, then `grey` and `size`.

    Args:
        x: (N,), (N, D), (N, H, W), (N, C, H, W) or (N, H, W, C).
        options: its `grey` and `size`.

    Returns:
        (N, D) or (N, C, H, W).

    Raises:
        DalmError: if `grey` or `size` is asked of what are no such images.

    >>> arrange(np.zeros((5, 8, 6, 3)), ImageOptions()).shape
    (5, 3, 8, 6)
    """
    x = channels_first(x)
    if options.grey:
        x = _luminance(x)
    if options.size:
        x = _resized(x, options.size)
    return x


def channels_first(x: Array) -> Array:
    """(N, D) or (N, C, H, W) from any layout that is taken."""
    if x.ndim in (1, 3):
        return x[:, None]
    if x.ndim == 4 and x.shape[3] in CHANNEL_COUNTS and x.shape[1] not in CHANNEL_COUNTS:
        return np.moveaxis(x, 3, 1)
    return x


def _luminance(x: Array) -> Array:
    if x.ndim != 4 or x.shape[1] != 3:
        raise DalmError(
            f"grey needs colour images of 3 channels; these data have shape {x.shape[1:]}"
        )
    if x.dtype.kind == "f":
        grey = np.einsum("nchw,c->nhw", x, LUMINANCE / 2**16)
    else:
        row_bytes = x[0].size * np.dtype(np.int64).itemsize
        blocks = blocks_of(len(x), row_bytes)
        grey = np.concatenate([_rounded_luminance(x[block]) for block in blocks])
    return np.asarray(grey[:, None], x.dtype)


def _rounded_luminance(x: Array) -> Array:
    weighted = np.einsum("nchw,c->nhw", x.astype(np.int64), LUMINANCE)
    return np.asarray(weighted + 2**15 >> 16)


def _resized(x: Array, size: int) -> Array:
    if x.ndim != 4 or x.dtype != np.uint8:
        raise DalmError(
            f"size needs images of 8-bit integers; these data have shape {x.shape[1:]} and type "
            f"{x.dtype}"
        )
    return np.stack([_resized_image(image, size) for image in x])


def _resized_image(image: Array, size: int) -> Array:
    return np.stack([resize_channel(channel, size) for channel in image])
