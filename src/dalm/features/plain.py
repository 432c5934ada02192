"""The data's own numbers as vectors: as they are, in units of their spread, or projected.

- `raw`: the numbers themselves.
- `raw/std`: real vectors, each entry less its mean and divided by its standard deviation in
  training, so that no unit of measurement decides a score and no offset costs digits. The name
  holds the hash of both.
- `pca64`: the 64 principal components of the training data, where there are more dimensions. The
  name holds the hash of the rows that define them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dalm.core import Spec
from dalm.errors import DalmError
from dalm.features.space import FeatureSpace, sha8

COMPONENTS = 64
FITTED_ROWS = 10_000
PROJECTED_AT_ONCE = 16_384
"""Data that are projected together, which bounds memory."""


def flat(x: Tensor, spec: Spec) -> Tensor:
    """Data as (B, dims), real ones in their own precision, discrete levels scaled to [0, 1].

    Args:
        x: (B, *shape).
        spec: what one datum is.

    >>> flat(torch.tensor([[0, 4]]), Spec((2,), levels=5))
    tensor([[0., 1.]])
    """
    x = x.cpu().flatten(1)
    if spec.levels is None:
        return x if x.is_floating_point() else x.float()
    return x.float() * (1.0 / (spec.levels - 1))


def raw_space(spec: Spec) -> FeatureSpace:
    """The numbers themselves.

    >>> raw_space(Spec((2,))).name
    'raw'
    """
    return FeatureSpace("raw", lambda x: x.flatten(1))


def standardised_space(train: Tensor, spec: Spec) -> FeatureSpace:
    """The numbers, those of real vectors from each entry's mean in training, in units of its
    standard deviation there.

    An entry that is constant in training keeps its unit.

    Args:
        train: (N, *shape), the rows that define the units.
        spec: what one datum is.

    >>> standardised_space(torch.tensor([[1.0], [5.0]]), Spec((1,)))(torch.tensor([[7.0]]))
    tensor([[2.]], dtype=torch.float64)
    """
    if spec.levels is not None or len(spec.shape) > 1:
        return raw_space(spec)

    rows = train.cpu().double()
    mean = rows.mean(0)
    std = rows.std(0, correction=0)
    unit = std.where(std > 0, 1.0)
    name = f"raw/std#{sha8(mean.numpy().tobytes() + unit.numpy().tobytes())}"
    return FeatureSpace(name, lambda x: (x.double() - mean) / unit, precise=True)


def principal_space(train: Tensor, spec: Spec, raw: str = "raw") -> FeatureSpace:
    """The 64 principal components of the training data; the data's own numbers if they are fewer.

    Args:
        train: (N, *shape).
        spec: what one datum is.
        raw: what the data's own numbers are called.

    Raises:
        DalmError: fewer training rows than components.

    >>> principal_space(torch.zeros(9, 2), Spec((2,))).name
    'raw'
    """
    if spec.dims <= COMPONENTS:
        return FeatureSpace(raw, lambda x: flat(x, spec), precise=True)
    from sklearn.decomposition import PCA  # type: ignore[import-untyped]

    if len(train) < COMPONENTS:
        raise DalmError(
            f"looking for copies among {spec.dims} dimensions needs at least {COMPONENTS} training "
            f"rows, got {len(train)}"
        )
    stride = -(-len(train) // FITTED_ROWS)
    rows = flat(train[::stride], spec)
    pca = PCA(COMPONENTS, random_state=0).fit(rows.numpy())
    mean = torch.as_tensor(pca.mean_).double()
    axes = torch.as_tensor(pca.components_).double().T

    def project(block: Tensor) -> Tensor:
        # In float64 and rounded after, or equal rows in blocks of different size would differ by a
        # rounding error.
        return ((flat(block, spec).double() - mean) @ axes).float()

    def extract(x: Tensor) -> Tensor:
        return torch.cat([project(block) for block in x.split(PROJECTED_AT_ONCE)])

    name = f"pca{COMPONENTS}#{sha8(rows.numpy().tobytes())}"
    return FeatureSpace(name, extract, precise=True)
