"""The embedded data: 1,797 handwritten digits of 8×8 pixels and 17 levels, from scikit-learn (UCI,
Alpaydin & Kaynak 1998).
"""

from __future__ import annotations

import numpy as np
import torch

from dalm.core import Spec
from dalm.data.options import Options, reduce_levels
from dalm.data.splits import Data, Split


def load_digits(options: Options) -> Data:
    """The digits, (1, 8, 8), split by position because the file goes through its writers in turn.

    >>> load_digits(Options())
    Data('digits', 1,100 train, 197 val, 500 test, Spec(shape=(1, 8, 8), levels=17, classes=10))
    """
    from sklearn import datasets  # type: ignore[import-untyped]

    options.only("digits", "binary", "levels")
    levels = options.levels_from(17)
    images, labels = datasets.load_digits(return_X_y=True)
    xs, ys = (
        np.split(a, [1100, 1297]) for a in (images.reshape(-1, 1, 8, 8), labels.astype(np.int64))
    )
    reduced = (next(reduce_levels([x], 17, options)) for x in xs)
    train, val, test = (
        Split(torch.from_numpy(x), torch.from_numpy(y)) for x, y in zip(reduced, ys, strict=True)
    )
    notes = (
        "Split by position: the first 1,100 are train, the next 197 val, the last 500, by other "
        "writers, test.",
        *options.describe(17),
    )
    return Data(
        "digits",
        "digits",
        options.given(),
        Spec((1, 8, 8), levels, 10),
        train,
        val,
        test,
        tuple("0123456789"),
        notes,
    )
