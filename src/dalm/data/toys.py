"""Points in the plane from distributions whose true density is known, so that a model can be held
against the truth.

Every one but the checkerboard is a mixture of isotropic Gaussians. Moons and spirals are a curve
c(t) blurred by Gaussian noise: p(x) = ∫ w(t) N(x; c(t), σ²I) dt. Gauss–Legendre quadrature turns
that integral into a finite mixture whose nodes lie so much closer than σ that the sum equals the
integral to about 1e-12.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from dalm.core import Spec
from dalm.data.options import Array, Options, blocks_of
from dalm.data.splits import Data, Split

PANELS = 64
HELD = 2000


class Toy(Protocol):
    """A distribution over the plane."""

    @property
    def classes(self) -> int:
        """Number of labels, 0 if there are none."""

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """`n` points (n, 2) and their labels (n,)."""

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density of points (B, 2) in nats, (B,) float64."""


def mixture_log_prob(x: Tensor, means: Tensor, weights: Tensor, std: float) -> Tensor:
    """Log Σ_k w_k N(x; m_k, σ²I) in the plane.

    Args:
        x: points (B, 2).
        means: m, (K, 2) float64.
        weights: w, (K,) float64, summing to 1.
        std: σ.

    Returns:
        (B,) float64 nats.

    >>> mixture_log_prob(torch.zeros(1, 2), torch.zeros(1, 2).double(), torch.ones(1).double(), 1.0).exp().mul(2 * math.pi).item()
    1.0
    """
    scores = torch.empty(len(x), dtype=torch.float64)
    for block in blocks_of(len(x), means.nbytes):
        distances = torch.cdist(
            x[block].double(), means, compute_mode="donot_use_mm_for_euclid_dist"
        )
        scores[block] = (weights.log() - distances.square() / (2 * std**2)).logsumexp(1)
    return scores - math.log(2 * math.pi * std**2)


@dataclass(frozen=True)
class Blobs:
    """Equally likely Gaussians; the label is the Gaussian.

    Args:
        means: (K, 2) float64.
        std: σ of each.
    """

    means: Tensor
    std: float

    @property
    def classes(self) -> int:
        """How many Gaussians."""
        return len(self.means)

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Points (n, 2) and labels (n,)."""
        y = rng.integers(self.classes, size=n)
        return self.means.numpy()[y] + self.std * rng.standard_normal((n, 2)), y

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density of points, (B, 2) -> (B,)."""
        weights = torch.full((self.classes,), 1 / self.classes, dtype=torch.float64)
        return mixture_log_prob(x, self.means, weights, self.std)


@dataclass(frozen=True)
class Curves:
    """Two equally likely arms blurred by Gaussian noise; the label is the arm.

    Args:
        arms: from parameters t (M,) to points (2, M, 2), one row per arm.
        length: t runs from 0 to `length`.
        power: t = length · u^(1/power) with u uniform, so that w(t) = power · t^(power - 1) /
            length^power.
        std: σ of the noise.
    """

    arms: Callable[[Array], Array]
    length: float
    power: int
    std: float
    classes: int = 2

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Points (n, 2) and labels (n,)."""
        y = rng.integers(2, size=n)
        t = self.length * rng.random(n) ** (1 / self.power)
        return self.arms(t)[y, np.arange(n)] + self.std * rng.standard_normal((n, 2)), y

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density of points, (B, 2) -> (B,)."""
        nodes, weights = np.polynomial.legendre.leggauss(16)
        t = self.length * (np.arange(PANELS)[:, None] + (nodes + 1) / 2).ravel() / PANELS
        w = (
            np.tile(weights / 2, PANELS)
            * self.power
            * (t / self.length) ** (self.power - 1)
            / PANELS
        )
        means = torch.from_numpy(self.arms(t).reshape(-1, 2))
        return mixture_log_prob(x, means, torch.from_numpy(np.tile(w / 2, 2)), self.std)


@dataclass(frozen=True)
class Checkerboard:
    """Uniform on the eight black squares, of side 2, of a board from -4 to 4."""

    classes: int = 0

    def sample(self, n: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """Points (n, 2) and labels (n,)."""
        column = rng.integers(4, size=n)
        row = rng.integers(2, size=n)
        corner = np.stack([column, 2 * row + column % 2], 1)
        # Midpoints of a fine grid are exact in float32: rounding would put a few points across an
        # edge, where the density is 0.
        inside = (rng.integers(2**20, size=(n, 2)) + 0.5) / 2**20
        return 2 * (corner + inside) - 4, column

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density of points, (B, 2) -> (B,)."""
        square = (x.double() / 2).floor()
        black = (square.sum(1) % 2 == 0) & (square >= -2).all(1) & (square < 2).all(1)
        return torch.full((len(x),), -math.log(32), dtype=torch.float64).masked_fill(
            ~black, -math.inf
        )


def _ring8() -> Blobs:
    angle = torch.arange(8, dtype=torch.float64) * (2 * math.pi / 8)
    return Blobs(2 * torch.stack([angle.cos(), angle.sin()], 1), 0.02)


def _grid25() -> Blobs:
    side = torch.arange(-4, 5, 2, dtype=torch.float64)
    return Blobs(torch.cartesian_prod(side, side), 0.05)


def _moon_arms(t: Array) -> Array:
    upper = np.stack([np.cos(t), np.sin(t)], 1)
    return np.stack([upper, [1, 0.5] - upper])


def _spiral_arms(t: Array) -> Array:
    arm = np.stack([-np.cos(t), np.sin(t)], 1) * t[:, None] / 3
    return np.stack([arm, -arm])


TOYS: dict[str, Callable[[], Toy]] = {
    "ring8": _ring8,
    "grid25": _grid25,
    "moons": lambda: Curves(_moon_arms, math.pi, 1, 0.1),
    "checkerboard": Checkerboard,
    "spirals": lambda: Curves(_spiral_arms, 3 * math.pi, 2, 0.1),
}
"""By name. ring8: Metz et al. 2017 (unrolled GAN). grid25: Srivastava et al. 2017 (VEEGAN) with the
σ of Lin et al. 2018 (PacGAN). moons: scikit-learn's `make_moons`. checkerboard and spirals:
Grathwohl et al. 2019 (FFJORD), the spirals without their uniform jitter."""


def load_toy(name: str, options: Options) -> Data:
    """Independent samples of a toy distribution, (2,), and its true `log_prob`.

    Raises:
        DalmError: if an option other than `n` and `seed` was given.

    >>> load_toy("moons", Options(n=500))
    Data('moons', 500 train, 2,000 val, 2,000 test, Spec(shape=(2,), levels=None, classes=2))
    """
    options.only(name, "n")
    toy = TOYS[name]()
    n = options.n or 10_000
    train, val, test = (
        _draw(toy, size, np.random.default_rng([options.seed, part]))
        for part, size in enumerate((n, HELD, HELD))
    )
    note = f"Three independent samples of a known density, from seed {options.seed}: {n:,} train, {HELD:,} val, {HELD:,} test."
    spec = Spec((2,), None, toy.classes)
    names = tuple(str(k) for k in range(toy.classes))
    return Data(
        name,
        name,
        options.given(),
        spec,
        train,
        val,
        test,
        names,
        (note,),
        partial(_checked, toy, spec),
    )


def _draw(toy: Toy, n: int, rng: np.random.Generator) -> Split:
    x, y = toy.sample(n, rng)
    return Split(torch.from_numpy(x).float(), torch.from_numpy(y) if toy.classes else None)


def _checked(toy: Toy, spec: Spec, x: Tensor) -> Tensor:
    spec.check(x)
    return toy.log_prob(x)
