"""Data: named sources, files and folders, each with three fixed splits and a Spec.

`load_data` is the only verb. What it returns says in words how it was split and what was converted
or left out.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dalm.data.arrays import from_arrays
from dalm.data.digits import load_digits
from dalm.data.files import read_arrays
from dalm.data.folder import load_folder
from dalm.data.idx import idx_folder
from dalm.data.options import Options
from dalm.data.splits import Data, Split
from dalm.data.toys import TOYS, load_toy
from dalm.errors import DalmError, did_you_mean

__all__ = ["SOURCES", "Data", "Split", "load_data"]

SOURCES = {
    "digits": "1,797 handwritten digits, 8×8 pixels of 17 levels, 10 classes (scikit-learn)",
    "ring8": "points of the plane: 8 narrow Gaussians on a circle; true density known",
    "grid25": "points of the plane: 25 narrow Gaussians on a 5×5 grid; true density known",
    "moons": "points of the plane: two interleaved half circles, blurred; true density known",
    "checkerboard": "points of the plane: uniform on the black squares of a 4×4 board; true density known",
    "spirals": "points of the plane: two spiral arms, blurred; true density known",
}
"""What can be loaded by name, with a line about each."""


def load_data(
    source: str | Path | NDArray[Any],
    *,
    size: int | None = None,
    grey: bool = False,
    binary: bool = False,
    levels: int | None = None,
    seed: int = 0,
    n: int | None = None,
    cache: Path | None = None,
) -> Data:
    """Load data and split them into train, val and test, always the same way.

    Args:
        source: a name in `SOURCES`; a file (.npz, .npy, IDX or IDX.gz); a folder of images or of
            MNIST's files; or an array.
        size: cut images to the square in their centre and resize them to this side, in pixels.
        grey: turn colour images into luminance.
        binary: draw each pixel once from the Bernoulli of its brightness, 1 with probability x /
            (levels - 1).
        levels: reduce discrete data to this number of levels, floor(x * levels / old levels): from
            17 (digits), from 256 (a folder of images). Arrays whose values are all below it have it
            already, and stay as they are.
        seed: of the split, of `binary` and of toy samples.
        n: number of training points of a toy distribution, 10,000 by default.
        cache: where decoded image folders are kept; by default `$DALM_CACHE`, else
            `$XDG_CACHE_HOME/dalm`, else `~/.cache/dalm`.

    Raises:
        DalmError: if there is no such source, it cannot be read, it does not take an option, or its
            values are not valid data.

    >>> data = load_data("digits")
    >>> data.spec, len(data.train), len(data.val), len(data.test)
    (Spec(shape=(1, 8, 8), levels=17, classes=10), 1100, 197, 500)
    """
    options = Options(size, grey, binary, levels, seed, n)
    if isinstance(source, np.ndarray):
        return from_arrays(
            "array",
            "array",
            {"x": source},
            options,
            ["The data came as an array in memory; only the caller can rebuild them."],
        )
    if source == "digits":
        return load_digits(options)
    if isinstance(source, str) and source in TOYS:
        return load_toy(source, options)
    if not isinstance(source, str | Path):
        raise DalmError(f"expected a name, a path or a NumPy array, got {type(source).__name__}")
    if not os.path.exists(source):
        raise DalmError(
            f"there is no data {str(source)!r}: no such file, folder or name. "
            f"{did_you_mean(str(source), SOURCES)}"
        )
    path = Path(source).resolve()
    if path.is_dir() and not idx_folder(path):
        return load_folder(path, options, cache)
    arrays, notes = read_arrays(path)
    return from_arrays(path.name.partition(".")[0], str(path), arrays, options, notes)
