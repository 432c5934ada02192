"""Arrays to data: which axis is what, which numbers are levels, which labels are classes.

- (N, H, W) becomes (N, 1, H, W). With four axes, a last axis of 1, 3 or 4 is the channels, unless
  the second is too. (N, D) stays.
- 8-bit integers have 256 levels, booleans and zeros and ones 2, other integers as many as their
  largest value needs; floats are real numbers. Integers and booleans that are all below the
  `levels` asked for have those already.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dalm.core import Spec
from dalm.data.options import Array, Options, blocks_of, reduce_levels
from dalm.data.splits import Data, Split, assign_splits, content_note, row_digests
from dalm.errors import DalmError

CHANNELS = (1, 3, 4)
LUMINANCE = np.array([19595, 38470, 7471])
"""Of red, green and blue, in units of 2⁻¹⁶: ITU-R BT.601, as Pillow rounds it."""


class Part(NamedTuple):
    """One split on its way: x (N, …) and, if there are labels, y (N,)."""

    x: Array
    y: Array | None


def from_arrays(
    name: str, source: str, arrays: dict[str, Array], options: Options, notes: list[str]
) -> Data:
    """Data from arrays `x` (and `y`), split here, or from `x_train`, `x_test` (and `x_val`, `y_…`),
    split already.

    Args:
        name: short name.
        source: what rebuilds the data.
        arrays: by name.
        options: any but `n`.
        notes: what is already to be said.

    Raises:
        DalmError: on missing arrays, labels that do not match, NaN, infinity, negative or too many
            levels, unfit shapes.

    >>> from_arrays("coin", "array", {"x": np.arange(20) % 2 == 0}, Options(), [])
    Traceback (most recent call last):
    dalm.errors.DalmError: too few data: 20 (2 distinct) cannot fill 3 splits; give at least 10
    distinct ones
    >>> from_arrays("line", "array", {"x": np.linspace(0, 1, 20)}, Options(), [])
    Data('line', 16 train, 2 val, 2 test, Spec(shape=(1,), levels=None, classes=0))
    """
    options.only("an array", "size", "grey", "binary", "levels")
    for key, x in arrays.items():
        _check(key, x, arrays)
    parts, rule = _divide(arrays, options)
    ys, classes = _encode([part.y for part in parts])
    xs = [_images(part.x, options) for part in parts]
    if len({x.shape[1:] for x in xs}) > 1:
        raise DalmError(
            f"the splits hold data of different shapes: {', '.join(str(x.shape[1:]) for x in xs)}"
        )
    levels, said = _levels(xs, options)
    spec = Spec(xs[0].shape[1:], levels and options.levels_from(levels), len(classes))
    train, val, test = (
        Split(torch.from_numpy(_values(x, levels, options)), y) for x, y in zip(xs, ys, strict=True)
    )
    return Data(
        name,
        source,
        options.given(),
        spec,
        train,
        val,
        test,
        classes,
        (rule, *notes, *said, *options.describe(levels)),
    )


def _check(name: str, x: Array, arrays: dict[str, Array]) -> None:
    if x.ndim == 0 or 0 in x.shape:
        what = "is a single number" if x.ndim == 0 else "is empty"
        raise DalmError(
            f"the array {name} {what}: its shape is {x.shape}; give (N, D), (N, H, W), (N, C, H, "
            "W) or (N, H, W, C)"
        )
    if name.startswith("y"):
        _check_labels(name, x, arrays)
    elif x.dtype.kind not in "biuf":
        raise DalmError(
            f"the array {name} is of type {x.dtype}; give integers, booleans or real numbers"
        )
    elif x.ndim > 4:
        raise DalmError(
            f"the array {name} has shape {x.shape}; give (N, D), (N, H, W), (N, C, H, W) or (N, H, "
            "W, C)"
        )
    elif x.dtype.kind == "f":
        _check_finite(name, x)


def _check_finite(name: str, x: Array) -> None:
    with np.errstate(over="ignore"):
        bad = np.concatenate(
            [~np.isfinite(x[b].astype(np.float32)) for b in blocks_of(len(x), x[0].nbytes)]
        )
    if bad.any():
        where = tuple(int(i) for i in np.unravel_index(bad.argmax(), bad.shape))
        raise DalmError(
            f"the array {name} has {bad.sum():,} values that are NaN, infinite or beyond float32; "
            f"the first is {x[where]} at {where}"
        )


def _check_labels(name: str, y: Array, arrays: dict[str, Array]) -> None:
    partner = name.replace("y", "x")
    if partner not in arrays:
        raise DalmError(
            f"there are labels {name}, but no data {partner}; there are {', '.join(arrays)}"
        )
    if y.shape != arrays[partner].shape[:1] or y.dtype.kind not in "biuSU":
        wanted = f"({len(arrays[partner])},) integers or strings, one for each row of {partner}"
        raise DalmError(
            f"the labels {name} should be {wanted}; they are {y.shape} of type {y.dtype}"
        )


def _divide(arrays: dict[str, Array], options: Options) -> tuple[list[Part], str]:
    given = [name for name in ("train", "val", "test") if f"x_{name}" in arrays]
    parts = {name: Part(arrays[f"x_{name}"], arrays.get(f"y_{name}")) for name in given}
    if "x" in arrays and not parts:
        return _deal(Part(arrays["x"], arrays.get("y")), 2, options), content_note(
            "bytes", 2, options
        )
    if "x" in arrays or "train" not in parts or "test" not in parts:
        raise DalmError(
            f"give x (and y), or x_train and x_test (and x_val, y_…); there are {', '.join(arrays)}"
        )
    if "val" in parts:
        return list(parts.values()), "Split as the arrays came: x_train, x_val, x_test."
    train, val = _deal(parts["train"], 1, options)
    return [train, val, parts["test"]], "Test as it came: x_test. " + content_note(
        "bytes", 1, options
    )


def _deal(part: Part, held: int, options: Options) -> list[Part]:
    orders = assign_splits(row_digests(part.x, options.seed), held)
    return [Part(part.x[order], None if part.y is None else part.y[order]) for order in orders]


def _encode(labels: list[Array | None]) -> tuple[list[Tensor | None], tuple[str, ...]]:
    known = [y for y in labels if y is not None]
    if not known:
        return [None] * len(labels), ()
    if len(known) < len(labels):
        raise DalmError(
            "some splits have labels and some have none; give y for each of them, or for none"
        )
    values, codes = np.unique(np.concatenate(known), return_inverse=True)
    names = tuple(
        v.decode(errors="replace") if isinstance(v, bytes) else str(v) for v in values.tolist()
    )
    edges = np.cumsum([len(y) for y in known])[:-1]
    return [torch.from_numpy(y) for y in np.split(codes.astype(np.int64), edges)], names


def _images(x: Array, options: Options) -> Array:
    """Channels first, then `grey` and `size`."""
    if x.ndim == 1:
        x = x[:, None]
    if x.ndim == 3:
        x = x[:, None]
    if x.ndim == 4 and x.shape[3] in CHANNELS and x.shape[1] not in CHANNELS:
        x = np.moveaxis(x, 3, 1)
    if options.grey:
        x = _luminance(x)
    return _resized(x, options.size) if options.size else x


def _luminance(x: Array) -> Array:
    if x.ndim != 4 or x.shape[1] != 3:
        raise DalmError(
            f"grey needs colour images of 3 channels; these data have shape {x.shape[1:]}"
        )
    if x.dtype.kind == "f":
        return np.asarray(np.einsum("nchw,c->nhw", x, LUMINANCE / 2**16)[:, None], x.dtype)
    blocks = [
        np.einsum("nchw,c->nhw", x[b].astype(np.int64), LUMINANCE) + 2**15 >> 16
        for b in blocks_of(len(x), x[0].nbytes * 8)
    ]
    return np.asarray(np.concatenate(blocks)[:, None], x.dtype)


def _resized(x: Array, size: int) -> Array:
    if x.ndim != 4 or x.dtype != np.uint8:
        raise DalmError(
            f"size needs images of 8-bit integers; these data have shape {x.shape[1:]} and type "
            f"{x.dtype}"
        )
    from dalm.data.images import resize_channel

    return np.stack([np.stack([resize_channel(channel, size) for channel in image]) for image in x])


def _levels(xs: list[Array], options: Options) -> tuple[int | None, list[str]]:
    kinds = {x.dtype.kind for x in xs}
    if "f" in kinds:
        return None, []
    low = min(int(x.min()) for x in xs)
    high = max(int(x.max()) for x in xs)
    if low < 0 or high > 65535:
        raise DalmError(
            f"integers are taken as levels, from 0 to at most 65535, and these go from {low} to "
            f"{high}; give floats for real numbers"
        )
    if options.levels and high < options.levels:
        return options.levels, [
            f"All values are below {options.levels}, so they were taken as levels as they are."
        ]
    if kinds == {"b"}:
        return 2, []
    if high <= 1:
        return 2, ["The values are 0 and 1: 2 levels."]
    if all(x.dtype == np.uint8 for x in xs):
        return 256, [
            f"8-bit data have 256 levels; the largest value is {high}."
        ] if high < 128 else []
    return high + 1, [f"Integers have as many levels as their largest value needs: {high + 1}."]


def _values(x: Array, levels: int | None, options: Options) -> Array:
    if levels:
        return np.concatenate(
            list(reduce_levels((x[b] for b in blocks_of(len(x), x[0].nbytes)), levels, options))
        )
    if options.binary or options.levels:
        raise DalmError(
            f"{'binary' if options.binary else 'levels'} needs integers; real numbers ({x.dtype}) "
            "have no levels"
        )
    return np.ascontiguousarray(x, np.float32)
