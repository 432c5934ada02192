"""What the report shows of a run: samples beside real data, their neighbours, and the density of
data that have one or two numbers.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dalm.core import Bound, Density, Generative
from dalm.data import Data
from dalm.metrics import neighbours
from dalm.records import write
from dalm.verbs.draws import means

SHOWN = 48
"""Samples that are looked at one by one."""
MOST_NUMBERS = 40_000
MOST_ROWS = 500
"""Vectors are drawn as clouds and marginals, for which more rows are kept."""
CURVE = 240
"""Points of a density in one dimension."""
MAP = 48
"""Points of a density along each of two dimensions."""
LEVELS = 4096
"""Most data that are enumerated where they are discrete."""
IMPORTANCE_SAMPLES = 16


def write_gallery(path: Path, model: Generative, samples: Tensor, data: Data, seed: int) -> None:
    """Write what the report shows.

    Args:
        path: of the file.
        model: whose density is drawn where it has one.
        samples: of the model, all that `draw` gave with this seed.
        data: what it was fitted to.
        seed: of the noise of bounds.
    """
    train = data.train.x
    heldout = data.test.x
    kept = samples[: rows_kept(data.spec.shape)]
    first = samples[:SHOWN]
    arrays = {
        "samples": kept.numpy(),
        "nearest_train": train[neighbours(first, train, data.spec)].numpy(),
        "nearest_heldout": heldout[neighbours(first, heldout, data.spec)].numpy(),
        "real": data.test.subset(rows_kept(data.spec.shape)).x.numpy(),
    }
    expected = means(model, seed, len(samples), len(first))
    if expected is not None:
        arrays["means"] = expected.numpy()
    arrays |= _density(model, data, seed)
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **arrays)
    write(path, content.getvalue())


def rows_kept(shape: tuple[int, ...]) -> int:
    """How many samples, and how many real rows, a gallery keeps.

    >>> rows_kept((1, 8, 8)), rows_kept((2,)), rows_kept((784,))
    (48, 500, 51)
    """
    if len(shape) != 1:
        return SHOWN
    return max(SHOWN, min(MOST_ROWS, MOST_NUMBERS // shape[0]))


def _density(model: Generative, data: Data, seed: int) -> dict[str, np.ndarray]:
    """Where a density was taken, `points`, and what it is there, `density`, in the data's units."""
    if not isinstance(model, Density) or data.spec.shape not in ((1,), (2,)):
        return {}
    if model.inner.dims < model.spec.dims:  # a line has no density in the plane
        return {}
    points = _points(data)
    if points is None:
        return {}
    noise = torch.Generator(model.device).manual_seed(seed)
    with torch.no_grad():
        if isinstance(model, Bound):
            log = model.importance_bound(points, samples=IMPORTANCE_SAMPLES, generator=noise)
        else:
            log = model.log_prob(points, generator=noise)
    return {"points": points.numpy(), "density": log.double().exp().cpu().numpy()}


def _points(data: Data) -> Tensor | None:
    """A grid over real data and a little beyond, or all discrete data, unless they are many."""
    (dims,) = data.spec.shape
    if data.spec.levels is not None:
        if data.spec.levels**dims > LEVELS:
            return None
        axes = [torch.arange(data.spec.levels)] * dims
    else:
        axes = [_axis(column, CURVE if dims == 1 else MAP) for column in data.test.x.T]
    return torch.cartesian_prod(*axes).reshape(-1, dims).to(data.spec.dtype)


def _axis(column: Tensor, count: int) -> Tensor:
    """From the lowest to the highest value but for one in two hundred at each end, and beyond."""
    low, high = np.quantile(column.double().numpy(), [0.005, 0.995])
    wide = high - low > 1e-9 * max(abs(low), abs(high))
    pad = 0.12 * (high - low) if wide else max(0.5, 0.05 * abs(high))
    return torch.linspace(low - pad, high + pad, count, dtype=torch.float64)
