"""Reference models that stand beside every comparison: a copycat, an independent histogram for each
entry, and noise.

They anchor the scales. A copycat has perfect samples and has learned nothing; the histogram knows
every entry and no relation between entries; noise knows nothing. Held-out real data, the ceiling,
is a copycat of the held-out rows.
"""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from dalm.core import Autoregressive, Estimator, Generative, Spec, within
from dalm.exact import Independent, Predictor, fixed


@final
class Copycat(Estimator):
    """Returns remembered rows, each once before any twice. It has no density.

    >>> model = Copycat(Spec((1,)))
    >>> model.passes(torch.tensor([[7.0]]), None, torch.Generator())
    >>> model.sample(2)
    tensor([[7.],
            [7.]])
    """

    family = "copycat"
    year = 1956
    paper = "the training set itself: a bootstrap sample"
    rows: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.register_buffer("rows", torch.zeros(1, *spec.shape, dtype=spec.dtype))

    def passes(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> None:
        """Remember (N, *spec.shape)."""
        self.rows = x.to(self.rows)

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        rounds = [
            torch.randperm(len(self.rows), generator=generator, device=self.rows.device)
            for _ in range(-(-n // len(self.rows)))
        ]
        return self.rows[torch.cat(rounds)[:n]] if n else self.rows[:0]


@final
class Histogram(Autoregressive, Estimator):
    """Independent entries, each with its own histogram, one count added to every bin (Laplace
    1774).

    Real entries have `bins` equal bins over the training range, mixed with 1 % of a normal of twice
    the spread, so that no datum is impossible.

    Args:
        spec: what one datum is.
        bins: bins of a real entry.

    >>> model = Histogram(Spec((1,), levels=2))
    >>> model.passes(torch.tensor([[1], [1]], dtype=torch.uint8), None, torch.Generator())
    >>> model.log_prob(torch.tensor([[1]], dtype=torch.uint8)).exp()  # (2 + 1) / (2 + 2)
    tensor([0.7500], dtype=torch.float64)
    """

    family = "histogram"
    year = 1774
    paper = "Laplace, rule of succession"
    likelihood = "exact"
    log_mass: Tensor
    low: Tensor
    step: Tensor
    normal: Tensor

    def __init__(self, spec: Spec, bins: int = 64) -> None:
        super().__init__(spec)
        within(self.family, 1, bins=bins)
        self.bins = bins
        count = spec.levels or bins
        self.register_buffer(
            "log_mass", torch.full((spec.dims, count), -math.log(count), dtype=torch.float64)
        )
        self.register_buffer("low", torch.zeros(spec.dims, dtype=torch.float64))
        self.register_buffer("step", torch.ones(spec.dims, dtype=torch.float64))
        self.register_buffer(
            "normal", torch.stack([torch.zeros(spec.dims), torch.ones(spec.dims)]).double()
        )

    def passes(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> None:
        """Count (N, *spec.shape)."""
        blocks = x.flatten(1).split(4096)  # so that memory does not grow with the data
        if self.spec.levels is None:
            self._measure(x.flatten(1).to(self.low))
        counts = torch.ones_like(self.log_mass)
        for flat in blocks:
            index = self._bin(flat.to(self.low)).clamp(0, counts.shape[1] - 1).T
            counts.scatter_add_(1, index, torch.ones_like(index, dtype=counts.dtype))
        self.log_mass = (counts / counts.sum(1, keepdim=True)).log()

    def _measure(self, flat: Tensor) -> None:
        """Take the range of each real entry."""
        self.low = flat.amin(0)
        self.step = ((flat.amax(0) - flat.amin(0)) / self.bins).clamp_min(1e-9)
        self.normal = torch.stack([flat.mean(0), 2 * flat.std(0).clamp_min(1e-9)])

    def _bin(self, flat: Tensor) -> Tensor:
        return ((flat - self.low) / self.step).floor().long()

    def _log_prob(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Tensor:
        flat = x.flatten(1).to(self.low)
        index = self._bin(flat)
        inside = self.log_mass.T.gather(0, index.clamp(0, self.log_mass.shape[1] - 1))
        if self.spec.levels is not None:
            return inside.sum(1)
        inside = (inside - self.step.log()).where((index >= 0) & (index < self.bins), -torch.inf)
        tails = torch.distributions.Normal(*self.normal).log_prob(flat)
        return torch.logaddexp(inside + math.log(0.99), tails + math.log(0.01)).sum(1)

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        if not n:
            return self.low.new_zeros(0, *self.spec.shape)
        index = torch.multinomial(self.log_mass.exp(), n, replacement=True, generator=generator).T
        if self.spec.levels is not None:
            return index.reshape(n, *self.spec.shape)
        place, choice, tail = torch.empty(3, n, self.spec.dims).to(self.low)
        (
            place.uniform_(generator=generator),
            choice.uniform_(generator=generator),
            tail.normal_(generator=generator),
        )
        x = torch.where(
            choice < 0.99,
            self.low + (index + place) * self.step,
            self.normal[0] + self.normal[1] * tail,
        )
        return x.view(n, *self.spec.shape)

    def predictor(self, n: int, y: Tensor | None) -> Predictor:
        """The histograms."""
        return Independent(
            fixed.whole(fixed.exp(self.log_mass - self.log_mass.amax(1, keepdim=True))), n
        )


@final
class Noise(Autoregressive, Estimator):
    """White noise: every level equally likely, or a normal with one mean and one spread for all
    real entries.

    >>> Noise(Spec((3,), levels=2)).log_prob(torch.zeros(1, 3, dtype=torch.uint8)).exp()
    tensor([0.1250], dtype=torch.float64)
    """

    family = "noise"
    year = 1774
    paper = "Laplace, principle of indifference"
    likelihood = "exact"
    mean: Tensor
    spread: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.register_buffer("mean", torch.zeros((), dtype=torch.float64))
        self.register_buffer("spread", torch.ones((), dtype=torch.float64))

    def passes(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> None:
        """Take mean and standard deviation of all entries of real data."""
        if self.spec.levels is None:
            self.mean = x.mean().to(self.mean)
            self.spread = x.std().to(self.spread)

    def _log_prob(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Tensor:
        if self.spec.levels is not None:
            return self.mean.new_full((len(x),), -self.spec.dims * math.log(self.spec.levels))
        return torch.distributions.Normal(self.mean, self.spread).log_prob(x).flatten(1).sum(1)

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        shape = (n, *self.spec.shape)
        if self.spec.levels is not None:
            return torch.randint(self.spec.levels, shape, generator=generator, device=self.device)
        return self.mean + self.spread * torch.randn(shape, generator=generator, device=self.device)

    def predictor(self, n: int, y: Tensor | None) -> Predictor:
        """All levels alike."""
        return Independent(
            self.mean.new_ones(1, self.spec.levels or 1).expand(self.spec.dims, -1), n
        )


REFERENCES: tuple[type[Generative], ...] = (Copycat, Histogram, Noise)
"""The reference models, in the order in which a scoreboard shows them."""
