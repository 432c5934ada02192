r"""Kernel density estimation with a Gaussian kernel (Rosenblatt 1956; Parzen 1962), bandwidth by
leave-one-out likelihood (Duin 1976).

    P(x) = (1/n) Σ_j k(x - c_j),   k = N(0, h² S)

The sum over all n remembered rows is exact. On discrete data S is the identity, and the kernel
factorises over entries: each factor is the mass of the bin of x_i, T[x_i, c_ji], and the masses of
all data sum to one. `dalm.probability.kernels` adds them up.

On real data, which come in standard units, S is the identity or the rows' own covariance, whichever
gives the validation rows more probability. No bandwidth suits both a crowd and rows far out, and a
few of these would decide it; so where h is searched for, a share ε of one Student distribution of
three degrees of freedom, as wide as the data, takes what lies far from all rows:

    P(x) = (1 - ε) (1/n) Σ_j k(x - c_j) + ε t₃(x)

with the ε that maximises the likelihood beside each h (EM, Dempster et al. 1977). A row is left out
together with all that equal it, or copies would draw the bandwidth to zero; on levels not where
copies occur by chance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Literal, final

import torch
from torch import Tensor, nn

from dalm.core import Autoregressive, Batch, Estimator, Work
from dalm.core.repetition import by_chance
from dalm.errors import DalmError
from dalm.exact import Independent, KernelPredictor, PerClass, Predictor, kernel_masses
from dalm.options import option
from dalm.probability.bandwidth import Choice, left_out, log_density, make_kernel
from dalm.probability.kernels import Rows, distinct
from dalm.probability.normal import ledoit_wolf
from dalm.probability.search import maximise, next_trial
from dalm.probability.student import student_sample

COST = 2e9
"""Entries of pairs that one trial of the bandwidth search may look at."""
MOST_LEVELS = 4096


@final
class KDE(Autoregressive, Estimator):
    """Gaussian-kernel density over remembered training rows.

    >>> from dalm.core import Spec
    >>> model = KDE(Spec((2,)), bandwidth=1.0)
    >>> trials = list(model.passes(Work(Batch(torch.zeros(1, 2)))))
    >>> round(model.log_prob(torch.zeros(1, 2)).item(), 4)  # one standard normal: -log 2π
    -1.8379
    """

    family = "kde"
    year = 1956
    paper = "Rosenblatt, Remarks on some nonparametric estimates; Duin 1976 for the bandwidth"
    likelihood = "exact"
    units = {
        "bandwidth": "standard deviations of real data, or levels",
        "left-one-out": "nats/datum",
    }
    added = frozenset({"counts", "factor", "share"})
    conditional: bool = option("one density for each class, with a common bandwidth", default=False)
    bandwidth: float | None = option(
        "h in standard deviations of real data, or in levels; none chooses it by leave-one-out "
        "likelihood",
        default=None,
        above=0,
    )
    covariance: Literal["auto", "diagonal", "full"] = option(
        "of the kernel on real data: independent entries, or the data's own; auto chooses by "
        "validation data",
        default="auto",
        later=True,
    )

    def setup(self) -> None:
        """Begin with one row of zeros."""
        spec = self.inner
        if (spec.levels or 0) > MOST_LEVELS:
            raise DalmError(
                f"kde keeps a table of all pairs of levels, at most {MOST_LEVELS}; these data have "
                f"{spec.levels}. Load them with fewer levels"
            )
        self.rows: Tensor = nn.Buffer(torch.zeros(1, spec.dims, dtype=spec.dtype))
        self.labels: Tensor = nn.Buffer(torch.zeros(1, dtype=torch.long))
        self.width: Tensor = nn.Buffer(torch.tensor(self.bandwidth or 1.0, dtype=torch.float64))
        if spec.levels is None:
            self.counts: Tensor = nn.Buffer(torch.ones(1, dtype=torch.float64))
            self.factor: Tensor = nn.Buffer(torch.eye(spec.dims, dtype=torch.float64))
            self.share: Tensor = nn.Buffer(torch.zeros((), dtype=torch.float64))

    def passes(self, work: Work) -> Iterator[Mapping[str, float]]:
        """Remember all rows, and choose the bandwidth, a pass for each that is tried."""
        support, place = self._remember(work.train)
        if self.bandwidth is not None:
            self._take(Choice(self.bandwidth, self._factor(self._shapes[0])))
            return
        if not work.number:
            order = torch.randperm(len(place), generator=work.generator)
            work.memory["rows"] = order[: max(64, int(COST / work.train.x.numel()))]
        picked = place[work.memory["rows"].to(place.device)]
        chosen = -math.inf
        for shape in self._shapes:
            factor = self._factor(shape)
            tried = _known(work.memory, shape)
            while (width := next_trial(_scores(tried), *self._reach)) is not None:
                tried[width] = left_out(Choice(width, factor), support, picked, self.spec.levels)
                work.memory[shape] = torch.tensor(
                    [[h, *found] for h, found in tried.items()], dtype=torch.float64
                )
                if chosen == -math.inf:  # what is kept if it is stopped here
                    best = max(tried, key=tried.__getitem__)
                    self._take(Choice(best, factor, tried[best][1]))
                yield {"bandwidth": width, "left-one-out": tried[width][0] / len(picked)}
            width = maximise(_scores(tried).__getitem__, *self._reach)
            found = Choice(width, factor, tried[width][1])
            score = self._validated(found, work)
            if score > chosen:
                chosen = score
                self._take(found)

    def _remember(self, batch: Batch) -> tuple[Rows, Tensor]:
        """Keep all rows; returns those that a search leaves out one by one, and the place of each
        datum among them.
        """
        x = batch.x.flatten(1).to(self.rows)
        y = self.condition(batch.y)
        nothing = torch.zeros(len(x), dtype=torch.long, device=x.device)
        labels = nothing if y is None else y.to(self.labels)
        if self.conditional:
            frequency = torch.bincount(labels, minlength=self.spec.classes)
            self.prior = frequency.to(self.prior) / len(labels)
        once, place = distinct(x, labels)
        if self.spec.levels is None:
            self.rows, self.labels, self.counts = once
            return once, place
        self.rows = x
        self.labels = labels
        counts = once.counts.cpu().numpy()
        if len(once.x) < len(x) and not by_chance(once.x.cpu().numpy(), counts):
            return once, place
        return self._rows(), torch.arange(len(x), device=x.device)

    def _rows(self) -> Rows:
        """All remembered rows."""
        once = torch.ones(len(self.rows), dtype=torch.float64, device=self.rows.device)
        counts = once if self.spec.levels is not None else self.counts.expand_as(once)
        return Rows(self.rows, self.labels, counts)

    @property
    def _shapes(self) -> tuple[str, ...]:
        """The covariances of the kernel that are tried."""
        if self.covariance != "auto":
            return (self.covariance,)
        few = self.bandwidth is not None or self.spec.levels is not None or self.inner.dims == 1
        return ("diagonal",) if few else ("diagonal", "full")

    def _factor(self, shape: str) -> Tensor:
        """L of a covariance of the kernel, but for its width: of the rows within their classes."""
        rows = self._rows()
        eye = torch.eye(self.inner.dims, dtype=torch.float64, device=self.rows.device)
        if shape == "diagonal" or self.spec.levels is not None or len(rows.x) < 2:
            return eye
        parts = [rows.of(int(k)) for k in rows.labels.unique()]
        centred = torch.cat([x - (counts @ x) / counts.sum() for x, _, counts in parts])
        weights = torch.cat([counts for _, _, counts in parts])
        covariance = (centred.T * weights) @ centred / weights.sum()
        kept = 1 - ledoit_wolf(centred)
        spread = covariance.trace() / len(covariance)
        return torch.linalg.cholesky(kept * covariance + (1 - kept) * spread * eye + 1e-9 * eye)

    @property
    def _reach(self) -> tuple[float, float]:
        """The narrowest and the widest bandwidth that may be tried."""
        std = self.rows.double().std(0, correction=min(1, len(self.rows) - 1))  # of one row, 0
        spread = max(std.square().mean().sqrt().item(), 1e-6)
        if self.spec.levels is None:
            return spread * 1e-4, spread * 2
        # Sparse levels spread little, but their kernel must be wide enough to reach the next level.
        return 0.1, max(spread * 2, 1.0)

    def _validated(self, choice: Choice, work: Work) -> float:
        """Mean log probability of validation rows, where there are others to be compared with."""
        if len(self._shapes) == 1:
            return 0.0
        batch = work.validation or work.train
        rows = min(len(batch.x), len(work.memory["rows"]))
        flat = batch.x[:rows].flatten(1)
        y = self.condition(None if batch.y is None else batch.y[:rows])
        scores = self._scores_of(choice, flat, y)
        return scores[torch.isfinite(scores)].mean().item()

    def _take(self, choice: Choice) -> None:
        self.width.fill_(choice.width)
        if self.spec.levels is None:
            self.factor = choice.factor.to(self.factor)
            self.share.fill_(choice.share)

    @property
    def _choice(self) -> Choice:
        real = self.spec.levels is None
        factor = self.factor if real else self.width
        return Choice(self.width.item(), factor, self.share.item() if real else 0.0)

    def _log_prob(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Tensor:
        return self._scores_of(self._choice, x.flatten(1), y)

    def _scores_of(self, choice: Choice, flat: Tensor, y: Tensor | None) -> Tensor:
        """Log probability under a choice, (B,)."""
        kernel = make_kernel(choice, self.rows, self.spec.levels)
        everything = self._rows()
        if y is None:
            return log_density(kernel, choice, flat, everything)
        scores = torch.full((len(flat),), -torch.inf, dtype=torch.float64, device=flat.device)
        for k in y.unique().tolist():
            rows = everything.of(k)
            if len(rows.x):
                scores[y == k] = log_density(kernel, choice, flat[y == k], rows)
        return scores

    def _pick(self, place: Tensor, y: Tensor | None) -> Tensor:
        """The remembered rows at places (n,) in [0, 1), each among those of its class."""
        rows = self._rows()
        if y is None:
            ends = rows.counts.cumsum(0)
            return self.rows[torch.searchsorted(ends, place * ends[-1], right=True)]
        counts = rows.counts.new_zeros(self.spec.classes).index_add(0, rows.labels, rows.counts)
        if not counts[y].all():
            missing = int(y[counts[y] == 0][0])
            raise DalmError(f"kde saw no data of class {missing}, so it cannot sample any")
        order = self.labels.argsort(stable=True)
        start = counts.cumsum(0) - counts
        ends = rows.counts[order].cumsum(0)
        at = torch.searchsorted(ends, start[y] + place * counts[y], right=True)
        return self.rows[order[at]]

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        device = self.rows.device
        choice = self._choice
        place = torch.rand(n, generator=generator, device=device, dtype=torch.float64)
        centres = self._pick(place, y).double()
        noise = torch.randn(centres.shape, generator=generator, device=device, dtype=torch.float64)
        if self.spec.levels is not None:
            noisy = (centres + self.width * noise).round().clamp(0, self.spec.levels - 1)
        else:
            noisy = centres + self.width * noise @ self.factor.T
        if choice.share:
            wide = student_sample(n, noisy, generator)
            lot = torch.rand(n, generator=generator, device=device, dtype=torch.float64)
            noisy = torch.where(lot[:, None] < choice.share, wide, noisy)
        return noisy.view(n, *self.inner.shape)

    def predictor_bytes(self) -> int:
        """A weight for each remembered row, and three numbers for each that counts."""
        return 28 * len(self.rows) // (self.spec.classes if self.conditional else 1)

    def predictor(self, n: int, y: Tensor | None) -> Predictor:
        """Conditionals of the mixture over all remembered rows of the class."""
        tables = kernel_masses(self.width.item(), self.spec.levels or 0)
        if y is None:
            return KernelPredictor(tables, self.rows, n)
        mine = [(y == k).nonzero()[:, 0] for k in y.unique().tolist()]
        parts = [
            self._predictor(tables, self.rows[self.labels == y[index[0]]], len(index))
            for index in mine
        ]
        return PerClass(parts, mine)

    def _predictor(self, tables: tuple[Tensor, Tensor], rows: Tensor, n: int) -> Predictor:
        """Of one class. One that was never seen gives every datum no probability; for the coder
        all levels are then alike.
        """
        if len(rows):
            return KernelPredictor(tables, rows, n)
        return Independent(tables[0].new_ones(self.inner.dims, len(tables[0])), n)


def _known(memory: Mapping[str, Tensor], shape: str) -> dict[float, tuple[float, float]]:
    """The bandwidths that were tried, and what came of them."""
    trials = memory.get(shape)
    rows = [] if trials is None else trials.tolist()
    return {width: (score, share) for width, score, share in rows}


def _scores(tried: Mapping[float, tuple[float, float]]) -> dict[float, float]:
    return {width: score for width, (score, _) in tried.items()}
