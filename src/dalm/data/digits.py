"""The embedded data: 1,797 handwritten digits of 8×8 pixels and 17 levels, from scikit-learn (UCI,
Alpaydin & Kaynak 1998).
"""

from __future__ import annotations

import numpy as np
import torch

from dalm.core import Spec
from dalm.data.dataset import Data, Grades, Split
from dalm.data.levels import reduce_levels
from dalm.data.options import LevelOptions
from dalm.data.source import named_source

LEVELS = 17
SPLIT_POSITIONS = [1100, 1297]
"""Where val and test begin."""
WRITERS = (
    "The test rows are by other writers than the training rows, which shows: held-out figures are "
    "about what a model learned and about how far that carries to new hands."
)


def load_digits(options: LevelOptions) -> Data:
    """The digits, (1, 8, 8), split by position because the file goes through its writers in turn.

    >>> load_digits(LevelOptions())
    Data('digits', 1,100 train, 197 val, 500 test, Spec(shape=(1, 8, 8), levels=17, classes=10))
    """
    from sklearn import datasets  # type: ignore[import-untyped]

    levels = options.levels_from(LEVELS)
    images, labels = datasets.load_digits(return_X_y=True)
    xs = np.split(images.reshape(-1, 1, 8, 8), SPLIT_POSITIONS)
    ys = np.split(labels.astype(np.int64), SPLIT_POSITIONS)

    splits = []
    for x, y in zip(xs, ys, strict=True):
        (reduced,) = reduce_levels([x], LEVELS, options)
        splits.append(Split(torch.from_numpy(reduced), torch.from_numpy(y)))
    train, val, test = splits

    note = (
        "Split by position: the first 1,100 are train, the next 197 val, the last 500, by other "
        "writers, test."
    )
    return Data(
        name="digits",
        source="digits",
        options=options.recorded(),
        spec=Spec((1, 8, 8), levels, 10),
        train=train,
        val=val,
        test=test,
        classes=tuple("0123456789"),
        notes=(note, *options.notes(LEVELS)),
        warnings=(WRITERS,),
        grades=Grades(LEVELS),
    )


DIGITS = named_source(
    "digits",
    "1,797 handwritten digits, 8×8 pixels of 17 levels, 10 classes (scikit-learn)",
    LevelOptions,
    load_digits,
)
