r"""Linear and quadratic discriminant analysis as the generative models they are (Fisher 1936; Rao
1948).

    P(x, y) = P(y) N(x; μ_y, Σ_y)

Each class is a normal distribution; LDA gives all classes one covariance, QDA each its own. Bayes'
rule turns the joint into a classifier, whose boundaries are then lines or quadrics. A covariance
from few data is singular or wild, so it is shrunk towards a multiple of the identity,

    Σ ← (1 - λ) Σ + λ (tr Σ / D) I,

by hand or with the λ of Ledoit & Wolf (2004), which minimises the expected squared error. Discrete
data as in `dalm.models.gaussian`.
"""

from __future__ import annotations

from typing import Literal, final

import torch
from torch import Tensor

from dalm.core import Autoregressive, Estimator, Spec, within
from dalm.errors import DalmError
from dalm.exact import NormalPredictor, PerClass, Predictor
from dalm.probability import NormalChain, normal, scatter


def ledoit_wolf(centred: Tensor) -> float:
    """The shrinkage that Ledoit & Wolf (2004) find for centred data (N, D)."""
    from sklearn.covariance import ledoit_wolf_shrinkage  # type: ignore[import-untyped]

    return float(ledoit_wolf_shrinkage(centred.cpu().numpy(), assume_centered=True))


@final
class Discriminant(Autoregressive, Estimator):
    """A normal distribution for each class.

    Args:
        spec: what one datum is; must have classes.
        kind: `"lda"` (one covariance for all classes) or `"qda"` (one for each).
        shrinkage: λ between 0 and 1, or `None` for Ledoit and Wolf's.

    >>> model = Discriminant(Spec((2,), classes=3))
    >>> model.classify(torch.zeros(4, 2)).shape
    torch.Size([4])
    """

    family = "discriminant"
    year = 1936
    paper = "Fisher, The use of multiple measurements in taxonomic problems"
    likelihood = "exact"
    means: Tensor
    factors: Tensor

    def __init__(
        self, spec: Spec, kind: Literal["lda", "qda"] = "qda", shrinkage: float | None = None
    ) -> None:
        if not spec.classes:
            raise DalmError(
                "discriminant models each class, and the data have no class labels; give labels, "
                "or use gaussian"
            )
        super().__init__(spec, conditional=True)
        if kind not in ("lda", "qda"):
            raise DalmError(f"discriminant's kind is 'lda' or 'qda', got {kind!r}")
        if shrinkage is not None:
            within(self.family, 0.0, 1.0, shrinkage=shrinkage)
        self.kind = kind
        self.shrinkage = shrinkage
        self.register_buffer("means", torch.zeros(spec.classes, spec.dims, dtype=torch.float64))
        self.register_buffer(
            "factors",
            torch.eye(spec.dims, dtype=torch.float64).repeat(
                spec.classes if kind == "qda" else 1, 1, 1
            ),
        )

    def passes(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> None:
        """Take class frequencies, means and covariances of (N, *spec.shape) and (N,) labels."""
        if y is None:
            raise DalmError("discriminant learns from labelled data, but these have no labels")
        counts = torch.bincount(y, minlength=self.spec.classes)
        if not counts.all():
            raise DalmError(
                "discriminant needs data of every class; there are none of class "
                f"{int(counts.argmin())}"
            )
        parts = [x[y == k] for k in range(self.spec.classes)]
        moments = [scatter(part, self.spec.levels) for part in parts]
        centred = [part.flatten(1) - mean for part, (mean, _) in zip(parts, moments, strict=True)]
        self.prior = counts.to(self.prior) / len(y)
        self.means = torch.stack([mean for mean, _ in moments]).to(self.means)
        if self.kind == "lda":
            pooled = torch.stack([s for _, s in moments]).sum(0)
            self.factors = (
                self._factor(pooled / len(x), torch.cat(centred))[None]
                .to(self.factors)
                .contiguous()
            )
        else:
            factors = [
                self._factor(s / len(rows), rows)
                for (_, s), rows in zip(moments, centred, strict=True)
            ]
            self.factors = torch.stack(factors).to(self.factors).contiguous()

    def _factor(self, covariance: Tensor, centred: Tensor) -> Tensor:
        shrink = ledoit_wolf(centred) if self.shrinkage is None else self.shrinkage
        eye = torch.eye(len(covariance)).to(covariance)
        factor, failed = torch.linalg.cholesky_ex(
            (1 - shrink) * covariance + shrink * covariance.trace() / len(covariance) * eye
        )
        if failed:
            raise DalmError(
                f"discriminant's covariance is singular at shrinkage {shrink:.3g} with "
                f"{len(centred)} data; a larger shrinkage would work"
            )
        return factor

    def _of(self, k: int) -> tuple[Tensor, Tensor]:
        return self.means[k], self.factors[k if self.kind == "qda" else 0]

    def _log_prob(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Tensor:
        assert y is not None
        flat = x.flatten(1).to(self.means)
        scores = self.means.new_zeros(len(x))
        for k in y.unique().tolist():
            scores[y == k] = normal(*self._of(k), self.spec.levels).log_prob(flat[y == k])
        return scores

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        assert y is not None
        x = self.means.new_zeros(n, self.spec.dims)
        for k in y.unique().tolist():
            x[y == k] = normal(*self._of(k), self.spec.levels).sample(
                int((y == k).sum()), generator
            )
        return x.view(n, *self.spec.shape)

    def predictor(self, n: int, y: Tensor | None) -> Predictor:
        """The conditionals of the chain rule, given the class."""
        assert y is not None
        rows = [(y == k).nonzero()[:, 0] for k in y.unique().tolist()]
        chains = [NormalChain(*self._of(k), self.spec.levels or 0) for k in y.unique().tolist()]
        return PerClass(
            [NormalPredictor(chain, len(mine)) for chain, mine in zip(chains, rows, strict=True)],
            rows,
        )
