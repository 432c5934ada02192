r"""Linear and quadratic discriminant analysis as the generative models they are (Fisher 1936; Rao
1948).

    P(x, y) = P(y) N(x; μ_y, Σ_y)

Each class is a normal distribution; LDA gives all classes one covariance, QDA each its own. Bayes'
rule turns the joint into a classifier, whose boundaries are then lines or quadrics. A covariance
from few data is singular or wild, so it is shrunk towards a multiple of the identity,

    Σ ← (1 - λ) Σ + λ (tr Σ / D) I,

by hand or with the λ of Ledoit & Wolf (2004), which minimises the expected squared error; that one
in units of the class's own standard deviations where data are real. There a class's covariance may
be mixed with the common one, (1 - γ) Σ_y + γ Σ (Friedman 1989), with the γ of the best
cross-validated density of the data, whatever their class. Discrete data as in
`dalm.models.gaussian`.
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
from dalm.probability.normal import NormalLike, ledoit_wolf

FOLDS = 5
POOLINGS = (0.0, 0.125, 0.25, 0.5, 1.0)
"""Shares of the common covariance that are tried."""
NO_NOISE = torch.Generator()
"""For an exact density, which draws nothing."""


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
    seeded = False
    paper = "Fisher, The use of multiple measurements in taxonomic problems"
    likelihood = "exact"
    conditional = True
    kind: Literal["auto", "lda", "qda"] = option(
        "one covariance for all classes (lda), one for each (qda), or on real data a mixture of "
        "both by cross-validation; on levels auto is qda",
        default="auto",
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
        covariances = 1 if self.kind == "lda" else classes
        eye = torch.eye(self.inner.dims, dtype=torch.float64)
        means = torch.zeros(classes, self.inner.dims, dtype=torch.float64)
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
        self.prior = counts.to(self.prior) / len(y)
        self._learn(x, y, self._pooling(x, y, int(counts.min())))
        return ()

    def _labelled(self, work: Work) -> tuple[Tensor, Tensor]:
        x, y, _ = work.train
        if y is None:
            raise DalmError("discriminant learns from labelled data, but these have no labels")
        return x[y >= 0], y[y >= 0]

    def _pooling(self, x: Tensor, y: Tensor, fewest: int) -> float:
        """The share γ of the common covariance: given by the kind, or by cross-validation."""
        if self.kind != "auto" or self.spec.levels is not None:
            return float(self.kind == "lda")
        if fewest < 2 * FOLDS:
            return 1.0
        # The order of a class's rows is random, so every fifth of them is a fair fold.
        fold = torch.zeros_like(y)
        for k in range(self.spec.classes):
            fold[y == k] = torch.arange(int((y == k).sum()), device=y.device) % FOLDS
        scores = {share: self._cross_validated(x, y, fold, share) for share in POOLINGS}
        return max(scores, key=scores.__getitem__)

    def _cross_validated(self, x: Tensor, y: Tensor, fold: Tensor, share: float) -> float:
        """Total log p(x) of rows, whatever their class, by models that learned from the other
        folds. What is likely under another class needs no wide tail in its own.
        """
        total = 0.0
        for k in range(FOLDS):
            self._learn(x[fold != k], y[fold != k], share)
            rows = x[fold == k]
            classes = torch.arange(self.spec.classes, device=y.device)
            joint = [self._log_prob(rows, label.repeat(len(rows)), NO_NOISE) for label in classes]
            total += (torch.stack(joint, 1) + self.prior.log()).logsumexp(1).sum().item()
        return total

    def _learn(self, x: Tensor, y: Tensor, share: float) -> None:
        """Means and factors, with a share of the common covariance in each class's own."""
        parts = [x[y == k] for k in range(self.spec.classes)]
        moments = [scatter(part, self.spec.levels) for part in parts]
        centred = [part.flatten(1) - mean for part, (mean, _) in zip(parts, moments, strict=True)]
        squares = [square for _, square in moments]
        self.means = torch.stack([mean for mean, _ in moments]).to(self.means)
        covariances = []
        if self.kind != "lda":
            covariances = [self._shrunk(*pair) for pair in zip(squares, centred, strict=True)]
        if share:
            common = self._shrunk(torch.stack(squares).sum(0), torch.cat(centred))
            covariances = [one.lerp(common, share) for one in covariances] or [common]
        factors = [self._factor(one) for one in covariances]
        self.factors = torch.stack(factors).to(self.factors).contiguous()

    def _shrunk(self, squares: Tensor, centred: Tensor) -> Tensor:
        """A covariance from its sum of squares, shrunk."""
        covariance = squares / len(centred)
        scale = self._scale(covariance)
        shrinkage = ledoit_wolf(centred / scale) if self.shrinkage is None else self.shrinkage
        units = torch.outer(scale, scale)
        inside = covariance.div_(units)
        isotropic = shrinkage * inside.trace() / len(covariance)
        inside.mul_(1 - shrinkage).diagonal().add_(isotropic)
        return inside.mul_(units)

    def _scale(self, covariance: Tensor) -> Tensor:
        """The units in which a covariance is shrunk, (D,)."""
        if self.spec.levels is not None or self.shrinkage is not None:
            return torch.ones(len(covariance)).to(covariance)
        own = covariance.diagonal().sqrt()
        return own.where(own > 1e-8, 1.0)

    def _factor(self, covariance: Tensor) -> Tensor:
        factor, failed = torch.linalg.cholesky_ex(covariance)
        if failed:
            raise DalmError(
                "discriminant's covariance of a class is singular; a larger shrinkage (up to 1) or "
                "kind='lda' (--kind lda) would work"
            )
        return factor

    def _normal(self, k: int) -> NormalLike:
        return normal(*self._moments(k), self.spec.levels)

    def _moments(self, k: int) -> tuple[Tensor, Tensor]:
        return self.means[k], self.factors[0 if self.kind == "lda" else k]

    def _log_prob(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Tensor:
        assert y is not None
        flat = x.flatten(1).to(self.means)
        scores = self.means.new_zeros(len(x))
        for k in y.unique().tolist():
            scores[y == k] = self._normal(k).log_prob(flat[y == k])
        return scores

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        assert y is not None
        x = self.means.new_zeros(n, self.inner.dims)
        for k in y.unique().tolist():
            x[y == k] = self._normal(k).sample(int((y == k).sum()), generator)
        return x.view(n, *self.inner.shape)

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
