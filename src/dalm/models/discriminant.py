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
from torch import Tensor, nn

from dalm.core import Autoregressive, Estimator, Work
from dalm.errors import DalmError
from dalm.exact import NormalPredictor, PerClass, Predictor
from dalm.options import option
from dalm.probability import NormalChain, normal, scatter
from dalm.probability.normal import NormalLike


def ledoit_wolf(centred: Tensor) -> float:
    """The shrinkage that Ledoit & Wolf (2004) find for centred data (N, D)."""
    from sklearn.covariance import ledoit_wolf_shrinkage  # type: ignore[import-untyped]

    return float(ledoit_wolf_shrinkage(centred.cpu().numpy(), assume_centered=True))


@final
class Discriminant(Autoregressive, Estimator):
    """A normal distribution for each class; the data must have classes.

    >>> from dalm.core import Spec
    >>> model = Discriminant(Spec((2,), classes=3))
    >>> model.classify(torch.zeros(4, 2)).shape
    torch.Size([4])
    """

    family = "discriminant"
    year = 1936
    paper = "Fisher, The use of multiple measurements in taxonomic problems"
    likelihood = "exact"
    conditional = True
    kind: Literal["lda", "qda"] = option(
        "one covariance for all classes (lda), or one for each (qda)", default="qda"
    )
    shrinkage: float | None = option(
        "λ towards a multiple of the identity; none takes Ledoit and Wolf's",
        default=None,
        at_least=0,
        at_most=1,
    )

    def setup(self) -> None:
        """Begin with a standard normal for each class."""
        classes = self.spec.classes
        covariances = classes if self.kind == "qda" else 1
        eye = torch.eye(self.spec.dims, dtype=torch.float64)
        means = torch.zeros(classes, self.spec.dims, dtype=torch.float64)
        self.means: Tensor = nn.Buffer(means)
        self.factors: Tensor = nn.Buffer(eye.repeat(covariances, 1, 1))

    def passes(self, work: Work) -> tuple[()]:
        """Take class frequencies, means and covariances of labelled data."""
        x, y = self._labelled(work)
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
        squares = [square for _, square in moments]
        factors = (
            self._pooled(squares, centred)
            if self.kind == "lda"
            else [
                self._factor(square / len(rows), rows)
                for square, rows in zip(squares, centred, strict=True)
            ]
        )
        self.factors = torch.stack(factors).to(self.factors).contiguous()
        return ()

    def _labelled(self, work: Work) -> tuple[Tensor, Tensor]:
        x, y, _ = work.train
        if y is None:
            raise DalmError("discriminant learns from labelled data, but these have no labels")
        return x[y >= 0], y[y >= 0]

    def _pooled(self, squares: list[Tensor], centred: list[Tensor]) -> list[Tensor]:
        """One factor for all classes."""
        total = torch.stack(squares).sum(0)
        rows = torch.cat(centred)
        return [self._factor(total / len(rows), rows)]

    def _factor(self, covariance: Tensor, centred: Tensor) -> Tensor:
        shrinkage = ledoit_wolf(centred) if self.shrinkage is None else self.shrinkage
        eye = torch.eye(len(covariance)).to(covariance)
        isotropic = shrinkage * covariance.trace() / len(covariance) * eye
        factor, failed = torch.linalg.cholesky_ex((1 - shrinkage) * covariance + isotropic)
        if failed:
            raise DalmError(
                f"discriminant's covariance is singular at shrinkage {shrinkage:.3g} with "
                f"{len(centred)} data; a larger shrinkage would work"
            )
        return factor

    def _normal(self, k: int) -> NormalLike:
        return normal(*self._moments(k), self.spec.levels)

    def _moments(self, k: int) -> tuple[Tensor, Tensor]:
        return self.means[k], self.factors[k if self.kind == "qda" else 0]

    def _log_prob(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Tensor:
        assert y is not None
        flat = x.flatten(1).to(self.means)
        scores = self.means.new_zeros(len(x))
        for k in y.unique().tolist():
            scores[y == k] = self._normal(k).log_prob(flat[y == k])
        return scores

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        assert y is not None
        x = self.means.new_zeros(n, self.spec.dims)
        for k in y.unique().tolist():
            x[y == k] = self._normal(k).sample(int((y == k).sum()), generator)
        return x.view(n, *self.spec.shape)

    def predictor(self, n: int, y: Tensor | None) -> Predictor:
        """The conditionals of the chain rule, given the class."""
        assert y is not None
        parts: list[Predictor] = []
        rows = []
        for k in y.unique().tolist():
            rows.append((y == k).nonzero()[:, 0])
            chain = NormalChain(*self._moments(k), self.spec.levels or 0)
            parts.append(NormalPredictor(chain, len(rows[-1])))
        return PerClass(parts, rows)
