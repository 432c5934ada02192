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
from torch import Tensor, nn

from dalm.core import Autoregressive, Completer, Estimator, Generative, Work
from dalm.exact import Independent, Predictor, fixed
from dalm.options import option


@final
class Copycat(Estimator):
    """Returns remembered rows, each once before any twice. It has no density.

    With noise, or of a part of the rows alone, it shows whether the alarms for copies and for what
    is missing work on the data at hand.

    >>> from dalm.core import Batch, Spec
    >>> model = Copycat(Spec((1,)))
    >>> model.passes(Work(Batch(torch.tensor([[7.0]]))))
    ()
    >>> model.sample(2)
    tensor([[7.],
            [7.]], dtype=torch.float64)
    """

    family = "copycat"
    year = 1956
    seeded = False
    standardises = False
    paper = "the training set itself: a bootstrap sample"

    added = frozenset({"unit"})
    noise: float = option(
        "standard deviation of noise that is added, as a share of the range of levels or of a real "
        "entry's standard deviation",
        default=0.0,
        at_least=0,
        later=True,
    )
    share: float = option(
        "share of the rows that are remembered, those nearest to the first",
        default=1.0,
        above=0,
        at_most=1,
        later=True,
    )

    def setup(self) -> None:
        """Begin with one row of zeros."""
        self.rows: Tensor = nn.Buffer(torch.zeros(1, *self.inner.shape, dtype=self.spec.dtype))
        levels = self.spec.levels or 2
        unit = torch.full(self.inner.shape, levels - 1, dtype=torch.float64)
        self.unit: Tensor = nn.Buffer(unit)

    def passes(self, work: Work) -> tuple[()]:
        """Remember the rows."""
        x = work.train.x
        if self.spec.levels is None:
            self.unit = x.std(0, correction=0).to(self.unit)
        if self.share < 1:
            away = (x - x[0].to(torch.float64)).square().flatten(1).sum(1)
            x = x[away.argsort(stable=True)[: max(1, int(self.share * len(x)))]]
        self.rows = x.to(self.rows)
        return ()

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        rounds = [self._shuffled(generator) for _ in range(-(-n // len(self.rows)))]
        x = self.rows[torch.cat(rounds)[:n]] if n else self.rows[:0]
        if not self.noise:
            return x
        noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=torch.float64)
        noisy = x + self.noise * self.unit * noise
        levels = self.spec.levels
        return noisy if levels is None else noisy.round().clamp(0, levels - 1)

    def _shuffled(self, generator: torch.Generator | None) -> Tensor:
        return torch.randperm(len(self.rows), generator=generator, device=self.rows.device)


@final
class Histogram(Autoregressive, Completer, Estimator):
    """Independent entries, each with its own histogram, one count added to every bin (Laplace).

    Real entries have `bins` equal bins over the training range, mixed with 1 % of a normal of twice
    the spread, so that no datum is impossible.

    >>> from dalm.core import Batch, Spec
    >>> model = Histogram(Spec((1,), levels=2))
    >>> model.passes(Work(Batch(torch.tensor([[1], [1]], dtype=torch.uint8))))
    ()
    >>> model.log_prob(torch.tensor([[1]], dtype=torch.uint8)).exp()  # (2 + 1) / (2 + 2)
    tensor([0.7500], dtype=torch.float64)
    """

    family = "histogram"
    year = 1774
    seeded = False
    paper = "Laplace, rule of succession"
    likelihood = "exact"
    bins: int = option("bins of a real entry", default=64, at_least=1)

    def setup(self) -> None:
        """Begin with all bins alike."""
        dims = self.inner.dims
        count = self.spec.levels or self.bins
        mass = torch.full((dims, count), -math.log(count), dtype=torch.float64)
        self.log_mass: Tensor = nn.Buffer(mass)
        self.low: Tensor = nn.Buffer(torch.zeros(dims, dtype=torch.float64))
        self.step: Tensor = nn.Buffer(torch.ones(dims, dtype=torch.float64))
        normal = torch.stack([torch.zeros(dims), torch.ones(dims)]).double()
        self.normal: Tensor = nn.Buffer(normal)

    def passes(self, work: Work) -> tuple[()]:
        """Count all rows."""
        x = work.train.x
        blocks = x.flatten(1).split(4096)  # so that memory does not grow with the data
        if self.spec.levels is None:
            self._measure(x.flatten(1).to(self.low))
        counts = torch.ones_like(self.log_mass)
        for flat in blocks:
            index = self._bin(flat.to(self.low)).clamp(0, counts.shape[1] - 1).T
            counts.scatter_add_(1, index, torch.ones_like(index, dtype=counts.dtype))
        self.log_mass = (counts / counts.sum(1, keepdim=True)).log()
        return ()

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
        reached = (index >= 0) & (index < self.bins)
        inside = (inside - self.step.log()).where(reached, -torch.inf)
        tails = torch.distributions.Normal(*self.normal).log_prob(flat)
        return torch.logaddexp(inside + math.log(0.99), tails + math.log(0.01)).sum(1)

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        if not n:
            return self.low.new_zeros(0, *self.inner.shape)
        mass = self.log_mass.exp()
        index = torch.multinomial(mass, n, replacement=True, generator=generator).T
        if self.spec.levels is not None:
            return index.reshape(n, *self.inner.shape)
        place, choice, tail = torch.empty(3, n, self.inner.dims).to(self.low)
        place.uniform_(generator=generator)
        choice.uniform_(generator=generator)
        tail.normal_(generator=generator)
        inside = self.low + (index + place) * self.step
        outside = self.normal[0] + self.normal[1] * tail
        return torch.where(choice < 0.99, inside, outside).view(n, *self.inner.shape)

    def _complete(
        self, x: Tensor, known: Tensor, y: Tensor | None, generator: torch.Generator | None
    ) -> Tensor:
        """Entries know nothing of each other, so the unknown ones are drawn as ever."""
        return torch.where(known, x, self._sample(len(x), y, generator).to(x.dtype))

    def predictor(self, n: int, y: Tensor | None) -> Predictor:
        """The histograms."""
        mass = fixed.exp(self.log_mass - self.log_mass.amax(1, keepdim=True))
        return Independent(fixed.whole(mass), n)


@final
class Noise(Autoregressive, Completer, Estimator):
    """White noise: every level equally likely, or one normal for all real entries.

    >>> from dalm.core import Spec
    >>> Noise(Spec((3,), levels=2)).log_prob(torch.zeros(1, 3, dtype=torch.uint8)).exp()
    tensor([0.1250], dtype=torch.float64)
    """

    family = "noise"
    year = 1774
    seeded = False
    paper = "Laplace, principle of indifference"
    likelihood = "exact"

    def setup(self) -> None:
        """Begin as a standard normal."""
        self.mean: Tensor = nn.Buffer(torch.zeros((), dtype=torch.float64))
        self.spread: Tensor = nn.Buffer(torch.ones((), dtype=torch.float64))

    def passes(self, work: Work) -> tuple[()]:
        """Take mean and standard deviation of all entries of real data."""
        x = work.train.x
        if self.spec.levels is None:
            self.mean = x.mean().to(self.mean)
            self.spread = x.std().to(self.spread)
        return ()

    def _log_prob(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Tensor:
        if self.spec.levels is not None:
            return self.mean.new_full((len(x),), -self.inner.dims * math.log(self.spec.levels))
        normal = torch.distributions.Normal(self.mean, self.spread)
        return normal.log_prob(x).flatten(1).sum(1)

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        shape = (n, *self.inner.shape)
        if self.spec.levels is not None:
            return torch.randint(self.spec.levels, shape, generator=generator, device=self.device)
        noise = torch.randn(shape, generator=generator, device=self.device)
        return self.mean + self.spread * noise

    def _complete(
        self, x: Tensor, known: Tensor, y: Tensor | None, generator: torch.Generator | None
    ) -> Tensor:
        return torch.where(known, x, self._sample(len(x), y, generator).to(x.dtype))

    def predictor(self, n: int, y: Tensor | None) -> Predictor:
        """All levels alike."""
        weights = self.mean.new_ones(1, self.spec.levels or 1)
        return Independent(weights.expand(self.inner.dims, -1), n)


REFERENCES: tuple[type[Generative], ...] = (Copycat, Histogram, Noise)
"""The reference models, in the order in which a scoreboard shows them."""
