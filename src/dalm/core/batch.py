"""Some rows of data, as models learn from them."""

from __future__ import annotations

from typing import Literal, NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """Some rows of data.

    Args:
        x: (B, *spec.shape).
        y: (B,) labels, -1 where a row has none; `None` if the data have no labels at all.
        weight: (B,) how much each row counts, or `None` where all count the same.
    """

    x: Tensor
    y: Tensor | None = None
    weight: Tensor | None = None


Stream = Literal["train", "labelled", "unlabelled"]
"""Which rows of the training data a batch is drawn from."""
