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
from dalm.data.dataset import Array, Data, Split, blocks_of
from dalm.data.options import DataOptions
from dalm.data.source import Source, named_source
from dalm.options import option

QUADRATURE_PANELS = 64
"""Pieces of a curve; each gets 16 nodes."""
TRAIN_POINTS = 10_000
"""How many there are where nothing is said."""
HELD_OUT_POINTS = 2000
"""In val and in test."""


class ToyOptions(DataOptions):
    """What toy distributions take.

    >>> ToyOptions(n=77)
    ToyOptions(n=77)
    """

    n: int | None = option(
        f"number of training points of a toy distribution, {TRAIN_POINTS:,} by default",
        default=None,
        at_least=1,
        at_most=10**8,
    )


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

    >>> origin = torch.zeros(1, 2, dtype=torch.float64)
    >>> log_p = mixture_log_prob(origin, origin, torch.ones(1, dtype=torch.float64), std=1.0)
    >>> log_p.exp().mul(2 * math.pi).item()
    1.0
    """
    log_sums = torch.empty(len(x), dtype=torch.float64)
    for block in blocks_of(len(x), means.nbytes):
        points = x[block].double()
        # The faster way, by a matrix product, cancels where points are close to a mean.
        distances = torch.cdist(points, means, compute_mode="donot_use_mm_for_euclid_dist")
        log_terms = weights.log() - distances.square() / (2 * std**2)
        log_sums[block] = log_terms.logsumexp(1)
    return log_sums - math.log(2 * math.pi * std**2)


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
        noise = self.std * rng.standard_normal((n, 2))
        return self.means.numpy()[y] + noise, y

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
        noise = self.std * rng.standard_normal((n, 2))
        return self.arms(t)[y, np.arange(n)] + noise, y

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density of points, (B, 2) -> (B,)."""
        nodes, node_weights = np.polynomial.legendre.leggauss(16)
        panels = np.arange(QUADRATURE_PANELS)[:, None]
        u = (panels + (nodes + 1) / 2).ravel()
        t = self.length * u / QUADRATURE_PANELS
        slope = self.power * (t / self.length) ** (self.power - 1)
        weights = np.tile(node_weights / 2, QUADRATURE_PANELS) * slope / QUADRATURE_PANELS

        means = torch.from_numpy(self.arms(t).reshape(-1, 2))
        of_both_arms = torch.from_numpy(np.tile(weights / 2, 2))
        return mixture_log_prob(x, means, of_both_arms, self.std)


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
        on_board = (square >= -2).all(1) & (square < 2).all(1)
        black = (square.sum(1) % 2 == 0) & on_board
        log_p = torch.full((len(x),), -math.log(32), dtype=torch.float64)
        return log_p.masked_fill(~black, -math.inf)


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


def load_toy(name: str, toy: Toy, options: ToyOptions) -> Data:
    """Independent samples of a toy distribution, (2,), and its true `log_prob`.

    Args:
        name: its name.
        toy: the distribution.
        options: how many training points, and the seed.

    >>> load_toy("board", Checkerboard(), ToyOptions(n=500))
    Data('board', 500 train, 2,000 val, 2,000 test, Spec(shape=(2,), levels=None, classes=0))
    """
    n = options.n or TRAIN_POINTS
    splits = []
    for number, points in enumerate((n, HELD_OUT_POINTS, HELD_OUT_POINTS)):
        rng = np.random.default_rng([options.seed, number])
        splits.append(_draw(toy, points, rng))
    train, val, test = splits

    spec = Spec((2,), None, toy.classes)
    note = (
        f"Three independent samples of a known density, from seed {options.seed}: {n:,} train, "
        f"{HELD_OUT_POINTS:,} val, {HELD_OUT_POINTS:,} test."
    )
    return Data(
        name=name,
        source=name,
        options=options.recorded(),
        spec=spec,
        train=train,
        val=val,
        test=test,
        classes=tuple(str(k) for k in range(toy.classes)),
        notes=(note,),
        log_prob=partial(_checked_log_prob, toy, spec),
    )


def _draw(toy: Toy, n: int, rng: np.random.Generator) -> Split:
    x, y = toy.sample(n, rng)
    return Split(torch.from_numpy(x).float().double(), torch.from_numpy(y) if toy.classes else None)


def _checked_log_prob(toy: Toy, spec: Spec, x: Tensor) -> Tensor:
    spec.check(x)
    return toy.log_prob(x)


def toy_source(name: str, about: str, toy: Toy) -> Source[ToyOptions]:
    """A toy distribution as something that `load_data` knows by name.

    Args:
        name: its name.
        about: what it looks like.
        toy: the distribution.

    >>> toy_source("board", "a board", Checkerboard()).about
    'points of the plane: a board; true density known'
    """
    sentence = f"points of the plane: {about}; true density known"
    return named_source(name, sentence, ToyOptions, partial(load_toy, name, toy))


# Metz et al. 2017 (unrolled GAN).
RING8 = toy_source("ring8", "8 narrow Gaussians on a circle", _ring8())
# Srivastava et al. 2017 (VEEGAN) with the σ of Lin et al. 2018 (PacGAN).
GRID25 = toy_source("grid25", "25 narrow Gaussians on a 5×5 grid", _grid25())
# scikit-learn's `make_moons`.
MOONS = toy_source(
    "moons", "two interleaved half circles, blurred", Curves(_moon_arms, math.pi, 1, 0.1)
)
# Grathwohl et al. 2019 (FFJORD), the spirals without their uniform jitter.
CHECKERBOARD = toy_source(
    "checkerboard", "uniform on the black squares of a 4×4 board", Checkerboard()
)
SPIRALS = toy_source(
    "spirals", "two spiral arms, blurred", Curves(_spiral_arms, 3 * math.pi, 2, 0.1)
)
