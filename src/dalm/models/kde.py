r"""Kernel density estimation with a Gaussian kernel (Rosenblatt 1956; Parzen 1962), bandwidth by
leave-one-out likelihood (Duin 1976).

    P(x) = (1/n) Σ_j Π_i k(x_i - c_ji),   k = N(0, h²)

The sum over all n remembered rows is exact. The kernel factorises over entries, so on discrete data
each factor is the mass of the bin of x_i, T[x_i, c_ji], and the masses of all data sum to one.
`dalm.probability.kernels` adds them up.

The bandwidth search halves from above until it is past the peak, then closes in by Brent's method.
It is asked again after each trial what to try next, so it can be stopped and resumed between any
two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import final

import torch
from torch import Tensor, nn

from dalm.core import Autoregressive, Batch, Estimator, Work
from dalm.errors import DalmError
from dalm.exact import Independent, KernelPredictor, PerClass, Predictor, kernel_masses
from dalm.options import option
from dalm.probability.kernels import Kernel, LevelKernel, RealKernel, log_kernel_sums

COST = 2e9
"""Entries of pairs that one trial of the bandwidth search may look at."""
MOST_LEVELS = 4096


def maximise(objective: Callable[[float], float], low: float, high: float) -> float:
    """The argument at which `objective` is largest, to 1 %: halved from `high` on until twice past
    the peak, then by Brent's method.

    >>> round(maximise(lambda h: -math.log(h / 3) ** 2, 0.01, 100.0), 1)
    3.0
    """
    from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

    tried = [high]
    scores = [objective(high)]
    while tried[-1] > low and len(scores) - scores.index(max(scores)) < 3:
        tried.append(tried[-1] / 2)
        scores.append(objective(tried[-1]))
    peak = math.log(tried[scores.index(max(scores))])
    around = (peak - math.log(2), peak + math.log(2))
    return math.exp(
        minimize_scalar(
            lambda t: -objective(math.exp(t)),
            bounds=around,
            method="bounded",
            options={"xatol": 0.01},
        ).x
    )


def next_trial(scores: Mapping[float, float], low: float, high: float) -> float | None:
    """The argument that `maximise` would look at next, or `None` if it knows all it asks for.

    Args:
        scores: what is known of the objective, by argument.
        low: where the search ends.
        high: where it begins.

    >>> next_trial({}, 0.1, 8.0), next_trial({8.0: -3.0}, 0.1, 8.0)
    (8.0, 4.0)
    """
    try:
        maximise(scores.__getitem__, low, high)
    except KeyError as unknown:
        return float(unknown.args[0])
    return None


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
    units = {"bandwidth": "the data's units", "left-one-out": "nats/datum"}
    conditional: bool = option("one density for each class, with a common bandwidth", default=False)
    bandwidth: float | None = option(
        "h in the data's units; none chooses it by leave-one-out likelihood", default=None, above=0
    )

    def setup(self) -> None:
        """Begin with one row of zeros."""
        spec = self.spec
        if (spec.levels or 0) > MOST_LEVELS:
            raise DalmError(
                f"kde keeps a table of all pairs of levels, at most {MOST_LEVELS}; these data have "
                f"{spec.levels}. Load them with fewer levels"
            )
        self.rows: Tensor = nn.Buffer(torch.zeros(1, spec.dims, dtype=spec.dtype))
        self.labels: Tensor = nn.Buffer(torch.zeros(1, dtype=torch.long))
        self.width: Tensor = nn.Buffer(torch.tensor(self.bandwidth or 1.0, dtype=torch.float64))

    def passes(self, work: Work) -> Iterator[Mapping[str, float]]:
        """Remember all rows, and choose the bandwidth, a pass for each that is tried."""
        self._remember(work.train)
        if self.bandwidth is not None:
            return
        if not work.number:
            order = torch.randperm(len(self.rows), generator=work.generator)
            work.memory["rows"] = order[: max(64, int(COST / self.rows.numel()))]
        rows = work.memory["rows"].to(self.rows.device)
        low, high = self._reach()
        scores = _known(work.memory)
        while (width := next_trial(scores, low, high)) is not None:
            scores[width] = self._left_out(width, rows)
            work.memory["trials"] = torch.tensor(list(scores.items()), dtype=torch.float64)
            self.width.fill_(max(scores, key=scores.__getitem__))
            yield {"bandwidth": width, "left-one-out": scores[width] / len(rows)}
        self.width.fill_(maximise(scores.__getitem__, low, high))

    def _remember(self, batch: Batch) -> None:
        y = self.condition(batch.y)
        self.rows = batch.x.flatten(1).to(self.rows)
        nothing = torch.zeros(len(self.rows), dtype=torch.long, device=self.rows.device)
        self.labels = nothing if y is None else y.to(self.labels)
        if self.conditional:
            counts = torch.bincount(self.labels, minlength=self.spec.classes)
            self.prior = counts.to(self.prior) / len(self.labels)

    def _reach(self) -> tuple[float, float]:
        """The narrowest and the widest bandwidth that may be tried."""
        spread = max(self.rows.double().std(0).square().mean().sqrt().item(), 1e-6)
        if self.spec.levels is None:
            return spread * 1e-4, spread * 2
        # Sparse levels spread little, but their kernel must be wide enough to reach the next level.
        return 0.1, max(spread * 2, 1.0)

    def _left_out(self, width: float, picked: Tensor) -> float:
        """Total leave-one-out log likelihood of the picked rows."""
        total = 0.0
        kernel = self._kernel(width)
        for members in self._groups():
            mine = picked[torch.isin(picked, members)]
            if len(mine) and len(members) > 1:
                own = torch.searchsorted(members, mine)
                sums = log_kernel_sums(kernel, self.rows[mine], self.rows[members], own)
                total += sums.sum().item()
        return total

    def _groups(self) -> list[Tensor]:
        """Indices of the rows of each class, or of all rows."""
        if not self.conditional:
            return [torch.arange(len(self.rows), device=self.rows.device)]
        return [(self.labels == k).nonzero()[:, 0] for k in range(self.spec.classes)]

    def _kernel(self, width: float) -> Kernel:
        if self.spec.levels is None:
            return RealKernel(width, self.rows)
        return LevelKernel(width, self.spec.levels)

    def _log_prob(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Tensor:
        kernel = self._kernel(self.width.item())
        flat = x.flatten(1)
        if y is None:
            return log_kernel_sums(kernel, flat, self.rows) - math.log(len(self.rows))
        scores = torch.full((len(x),), -torch.inf, dtype=torch.float64, device=x.device)
        for k in y.unique().tolist():
            rows = self.rows[self.labels == k]
            if len(rows):
                scores[y == k] = log_kernel_sums(kernel, flat[y == k], rows) - math.log(len(rows))
        return scores

    def _pick(self, place: Tensor, y: Tensor | None) -> Tensor:
        """The remembered rows at places (n,) in [0, 1), each among those of its class."""
        if y is None:
            return self.rows[(place * len(self.rows)).long()]
        counts = torch.bincount(self.labels, minlength=self.spec.classes)
        if not counts[y].all():
            missing = int(y[counts[y] == 0][0])
            raise DalmError(f"kde saw no data of class {missing}, so it cannot sample any")
        order = self.labels.argsort(stable=True)
        start = counts.cumsum(0) - counts
        return self.rows[order[start[y] + (place * counts[y]).long()]]

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        device = self.rows.device
        place = torch.rand(n, generator=generator, device=device, dtype=torch.float64)
        centres = self._pick(place, y).double()
        noise = torch.randn(centres.shape, generator=generator, device=device, dtype=torch.float64)
        noisy = centres + self.width * noise
        if self.spec.levels is not None:
            noisy = noisy.round().clamp(0, self.spec.levels - 1)
        return noisy.view(n, *self.spec.shape)

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
        return Independent(tables[0].new_ones(self.spec.dims, len(tables[0])), n)


def _known(memory: Mapping[str, Tensor]) -> dict[float, float]:
    """The bandwidths that were tried, and what came of them."""
    trials = memory.get("trials")
    return {} if trials is None else dict(trials.tolist())
