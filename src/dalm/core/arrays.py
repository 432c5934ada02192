"""Arrays of NumPy where a model takes tensors: it gives back what it was given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dalm.core.spec import Spec, inside

X = TypeVar("X", Tensor, NDArray[Any])
"""Data as a tensor or as an array, and what is said of them, likewise."""


def like(x: X, spec: Spec, compute: Callable[[Tensor], Tensor]) -> X:
    """What a function of tensors says of data, as an array if they came as one.

    Args:
        x: data (B, *spec.shape).
        spec: what one datum is; it says which dtype an array gets.
        compute: from data to one entry or more for each.

    >>> like(np.array([[1], [2]]), Spec((1,)), lambda x: x.sum(1))
    array([1., 2.])
    """
    if isinstance(x, np.ndarray):
        return compute(tensor(x, spec)).detach().cpu().numpy()
    return compute(x)


def tensor(x: Tensor | NDArray[Any], spec: Spec) -> Tensor:
    """Data as a tensor: whole numbers for levels, float64 for real data.

    Args:
        x: an array, or a tensor, which stays as it is.
        spec: what one datum is.
    """
    if not isinstance(x, np.ndarray):
        return x  # what is no array either, the check refuses
    if spec.levels is None and x.dtype.kind in "biuf":
        return torch.from_numpy(x.astype(np.float64))
    if spec.levels is None or x.dtype.kind not in "biu":
        return torch.from_numpy(x)  # the check names what is wrong with it
    levels = torch.from_numpy(x.astype(np.int64))
    # In the data's own type, for the noise of a bound follows from the bytes.
    return levels.to(spec.dtype) if inside(levels, spec.levels) else levels
