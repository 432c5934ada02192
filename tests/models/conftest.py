"""Data and models that tests of families share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dalm.core import Batch, Estimator, Generative, Spec, Work

Array = NDArray[Any]


@pytest.fixture
def correlated() -> Callable[..., tuple[Array, Array]]:
    """Correlated real data, and their classes, which differ in mean and covariance."""

    def draw(n: int = 400, d: int = 3, seed: int = 0, classes: int = 3) -> tuple[Array, Array]:
        random = np.random.default_rng(seed)
        y = np.repeat(np.arange(classes), n // classes + 1)[:n]
        mix = random.normal(size=(classes, d, d))
        noise = np.einsum("nd,nde->ne", random.normal(size=(n, d)), mix[y])
        return noise + 2 * random.normal(size=(classes, d))[y] + 10, y

    return draw


@pytest.fixture
def teach() -> Callable[..., Any]:
    """Let an estimator learn from arrays, in double precision."""

    def learn(model: Estimator, x: Array, y: Array | None = None) -> Estimator:
        labels = None if y is None else torch.as_tensor(y)
        for _ in model.double().passes(Work(Batch(torch.as_tensor(x), labels))):
            pass
        return model

    return learn


@pytest.fixture(scope="session")
def seeded() -> Callable[..., Any]:
    """A family's model of double precision, its weights from a fixed seed."""

    def build(family: type[Generative], spec: Spec, seed: int = 0, **options: Any) -> Generative:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return family(spec, **options).double()

    return build


class OneBatch:
    """A step that sees the same rows whatever it asks for."""

    number = 0

    def __init__(self, x: torch.Tensor, y: torch.Tensor | None = None, seed: int = 0) -> None:
        self.rows = Batch(x, y)
        self.generator = torch.Generator().manual_seed(seed)

    def batch(self, stream: str = "train") -> Batch:
        return self.rows


@pytest.fixture(scope="session")
def one_batch() -> type[OneBatch]:
    """A step that sees the rows that it is made of, with noise of a seed."""
    return OneBatch
