r"""Kernel density estimation with a Gaussian kernel (Rosenblatt 1956; Parzen 1962), bandwidth by
leave-one-out likelihood (Duin 1976).

    P(x) = (1/n) Σ_j Π_i k(x_i - c_ji),   k = N(0, h²)

The sum over all n remembered rows is exact. The kernel factorises over entries, so on discrete data
each factor is the mass of the bin of x_i, T[x_i, c_ji], and the masses of all data sum to one.
Either way the log kernel of a pair is an inner product of features plus a term for each side, so
one matrix product gives a block of pairs, and a running log-sum-exp over blocks keeps memory
bounded. For real data the features are x / h; for discrete data they come from the singular value
decomposition of the table T = U Vᵀ, kept to double precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import final

import torch
from torch import Tensor

from dalm.core import Autoregressive, Estimator, Spec
from dalm.errors import DalmError
from dalm.exact import Independent, KernelPredictor, PerClass, Predictor, kernel_masses
from dalm.probability import log_normal_mass

# pairs in a block: small enough for the cache, large enough for the matrix product
QUERIES = 256
ROWS = 1024
# features of remembered rows kept at once; beyond, they are made again for each block of queries,
# eight times as large
KEPT = 3e7
COST = 2e9  # entries of pairs that one step of the bandwidth search may look at
Features = tuple[Tensor, Tensor]


class RealKernel:
    """log N(x; c, h² I) as features."""

    rank = 1

    def __init__(self, width: float, rows: Tensor) -> None:
        self.width = width
        self.centre = rows.double().mean(0)

    def query(self, x: Tensor) -> Features:
        """Features (B, D) and terms (B,) of data."""
        scaled = (x.double() - self.centre) / self.width
        return scaled, -scaled.square().sum(1) / 2

    def row(self, x: Tensor) -> Features:
        """Features (N, D) and terms (N,) of remembered rows."""
        scaled, term = self.query(x)
        return scaled, term - x.shape[1] * math.log(self.width * math.sqrt(2 * math.pi))


class LevelKernel:
    """log T[x, c] summed over entries, as features."""

    def __init__(self, width: float, levels: int) -> None:
        grid = torch.arange(levels, dtype=torch.float64)
        table = log_normal_mass(
            grid[:, None], grid, torch.tensor(width, dtype=torch.float64), levels
        )
        u, s, vt = torch.linalg.svd(table)
        self.rank = r = int((s > s[0] * 1e-13).sum())
        self.left = u[:, :r] * s[:r].sqrt()
        self.right = (vt[:r] * s[:r, None].sqrt()).T.contiguous()

    def query(self, x: Tensor) -> Features:
        """Features (B, D rank) and terms (B,) of data."""
        return self._look(self.left, x)

    def row(self, x: Tensor) -> Features:
        """Features (N, D rank) and terms (N,) of remembered rows."""
        return self._look(self.right, x)

    def _look(self, table: Tensor, x: Tensor) -> Features:
        return table.to(x.device)[x.long()].flatten(1), torch.zeros(
            len(x), dtype=torch.float64, device=x.device
        )


Kernel = RealKernel | LevelKernel


def log_kernel_sums(kernel: Kernel, x: Tensor, rows: Tensor, own: Tensor | None = None) -> Tensor:
    """Log Σ_j kernel(x, row_j) of flat data, (B, D) and (N, D) -> (B,) float64, in blocks of
    bounded memory.

    Args:
        kernel: gives the features.
        x: data.
        rows: what was remembered.
        own: (B,) index of the row to leave out for each datum.
    """
    narrow = len(rows) * x.shape[1] * kernel.rank <= KEPT
    kept = [kernel.row(part) for part in rows.split(ROWS)] if narrow else None
    sums = []
    for queries in torch.arange(len(x), device=x.device).split(QUERIES if narrow else 8 * QUERIES):
        blocks = kept or (kernel.row(part) for part in rows.split(ROWS))
        sums.append(
            _log_sums(kernel.query(x[queries]), blocks, None if own is None else own[queries])
        )
    return torch.cat(sums) if sums else torch.zeros(0, dtype=torch.float64, device=x.device)


def _log_sums(query: Features, blocks: Iterable[Features], own: Tensor | None) -> Tensor:
    """Running log-sum-exp of one block of queries over all blocks of rows."""
    features, term = query
    top = torch.full_like(term, -torch.inf)
    total = torch.zeros_like(term)
    start = 0
    for others, offset in blocks:
        scores = torch.addmm(offset, features, others.T)
        if own is not None:
            inside = ((own >= start) & (own < start + len(others))).nonzero()[:, 0]
            scores[inside, own[inside] - start] = -torch.inf
        higher = torch.maximum(top, scores.amax(1)).clamp_min(-1e300)
        # Past the maximum single precision is enough: each summand is at most one. Below e^-80 it
        # would be denormal, and ten times as slow.
        summands = scores.sub_(higher[:, None]).float().clamp_min_(-80).exp_()
        total = total * (top - higher).exp() + summands.sum(1, dtype=torch.float64)
        top = higher
        start = start + len(others)
    return term + top + total.log()


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


@final
class KDE(Autoregressive, Estimator):
    """Gaussian-kernel density over remembered training rows.

    Args:
        spec: what one datum is.
        conditional: one density for each class, with a common bandwidth.
        bandwidth: h in the data's units; `None` chooses it by leave-one-out likelihood.

    >>> model = KDE(Spec((2,)), bandwidth=1.0)
    >>> model.passes(torch.zeros(1, 2), None, torch.Generator())
    >>> round(model.log_prob(torch.zeros(1, 2)).item(), 4)  # one standard normal: -log 2π
    -1.8379
    """

    family = "kde"
    year = 1956
    paper = "Rosenblatt, Remarks on some nonparametric estimates; Duin 1976 for the bandwidth"
    likelihood = "exact"
    rows: Tensor
    labels: Tensor
    width: Tensor

    def __init__(
        self, spec: Spec, conditional: bool = False, bandwidth: float | None = None
    ) -> None:
        super().__init__(spec, conditional)
        if bandwidth is not None and not (
            isinstance(bandwidth, int | float) and 0 < bandwidth < math.inf
        ):
            raise DalmError(
                f"kde's bandwidth is a positive number, got {bandwidth!r}; None chooses it"
            )
        if (spec.levels or 0) > 4096:
            raise DalmError(
                "kde keeps a table of all pairs of levels, at most 4096; these data have "
                f"{spec.levels}. Load them with fewer levels"
            )
        self.bandwidth = bandwidth
        self.register_buffer("rows", torch.zeros(1, spec.dims, dtype=spec.dtype))
        self.register_buffer("labels", torch.zeros(1, dtype=torch.long))
        self.register_buffer("width", torch.tensor(bandwidth or 1.0, dtype=torch.float64))

    def passes(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> None:
        """Remember (N, *spec.shape), and choose the bandwidth."""
        self.rows = x.flatten(1).to(self.rows)
        self.labels = (
            torch.zeros(len(x), dtype=torch.long, device=self.rows.device)
            if y is None
            else y.to(self.labels)
        )
        if self.conditional:
            self.prior = torch.bincount(self.labels, minlength=self.spec.classes).to(
                self.prior
            ) / len(x)
        if self.bandwidth is None:
            picked = torch.randperm(len(x), generator=generator)[
                : max(64, int(COST / x.numel()))
            ].to(self.rows.device)
            spread = max(self.rows.double().std(0).square().mean().sqrt().item(), 1e-6)
            levels = self.spec.levels is not None
            # Sparse levels spread little, but their kernel must be wide enough to reach the next
            # level.
            lowest, highest = (0.1, max(spread * 2, 1.0)) if levels else (spread * 1e-4, spread * 2)
            self.width.fill_(maximise(lambda h: self._left_out(h, picked), lowest, highest))

    def _left_out(self, width: float, picked: Tensor) -> float:
        """Mean leave-one-out log likelihood of the picked rows."""
        total = 0.0
        for members in self._groups():
            mine = picked[torch.isin(picked, members)]
            if len(mine) and len(members) > 1:
                rows = self.rows[members]
                total += (
                    log_kernel_sums(
                        self._kernel(width),
                        self.rows[mine],
                        rows,
                        torch.searchsorted(members, mine),
                    )
                    .sum()
                    .item()
                )
        return total

    def _groups(self) -> list[Tensor]:
        """Indices of the rows of each class, or of all rows."""
        if not self.conditional:
            return [torch.arange(len(self.rows), device=self.rows.device)]
        return [(self.labels == k).nonzero()[:, 0] for k in range(self.spec.classes)]

    def _kernel(self, width: float) -> Kernel:
        return (
            RealKernel(width, self.rows)
            if self.spec.levels is None
            else LevelKernel(width, self.spec.levels)
        )

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
            raise DalmError(
                f"kde saw no data of class {int(y[counts[y] == 0][0])}, so it cannot sample any"
            )
        order = self.labels.argsort(stable=True)
        return self.rows[order[(counts.cumsum(0) - counts)[y] + (place * counts[y]).long()]]

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        index = torch.rand(n, generator=generator, device=self.rows.device, dtype=torch.float64)
        chosen = self._pick(index, y).double()
        noisy = chosen + self.width * torch.randn(
            chosen.shape, generator=generator, device=chosen.device, dtype=torch.float64
        )
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
            self._predictor(tables, self.rows[self.labels == y[some[0]]], len(some))
            for some in mine
        ]
        return PerClass(parts, mine)

    def _predictor(self, tables: tuple[Tensor, Tensor], rows: Tensor, n: int) -> Predictor:
        """A class that was never seen gives every datum no probability; for the coder all levels
        are then alike.
        """
        return (
            KernelPredictor(tables, rows, n)
            if len(rows)
            else Independent(tables[0].new_ones(self.spec.dims, len(tables[0])), n)
        )
