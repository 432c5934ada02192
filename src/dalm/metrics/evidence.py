"""Evidence: the material that measures share, each part computed when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor

from dalm.core import Bound, Density, Generative, Spec
from dalm.errors import DalmError
from dalm.features import FeatureSpace, feature_space, learned_note, space_name, standardised_space

Need = Literal["samples", "features", "likelihood", "bound", "labels", "classifier", "proof"]
"""What a measure may need: samples, a feature space for them, a model with a likelihood, with a
bound that importance samples tighten, class labels of the held-out rows, a model that classifies,
or the archive that `prove` writes.
"""

SCORED_AT_ONCE = 500
"""Rows whose log probabilities are computed together."""
IMPORTANCE_ROWS = 500
"""Most held-out rows that importance samples are spent on."""
IMPORTANCE_SAMPLES = 128
IMPORTANCE_AT_ONCE = 250

T = TypeVar("T")


class Sets(NamedTuple):
    """The three sets of data in the same units or space."""

    samples: Tensor
    train: Tensor
    heldout: Tensor


@dataclass(frozen=True, eq=False, repr=False)
class Evidence:
    """What is known of one model: its samples, the data, and the model itself.

    Args:
        spec: what one datum is.
        train: (N, *shape) rows that the model learned from.
        heldout: (n, *shape) rows that it never saw.
        samples: (m, *shape) of the model; `None` if there are none.
        model: for measures of its likelihood; `None` if only its samples are known.
        labels: (n,) class labels of the held-out rows, or `None`.
        features: a feature space or its name; `None` chooses by the Spec.
        seed: of everything random in a measure.
        limit: most samples and most held-out rows that are used.
        size: most of each in measures that compare as many of both, since these depend on how
            many: the rows of a board should all use the same. `None` takes as many as there are.
        recorded: whether real numbers are recorded with a step, so that no density is ranked.
        classes: names of the classes.
        checked: what speaks for an exact likelihood, `"guarded"`, `"unchecked"` or `"impossible"`,
            and how that was found.
        likelihoods: most held-out rows whose likelihood is computed.
        importance_rows: most held-out rows that importance samples are spent on.

    Raises:
        DalmError: an unknown feature space, or one that does not suit the data.

    >>> x = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    >>> evidence = Evidence(Spec((2,)), x[:100], x[100:200], x[200:])
    >>> sorted(evidence.offers), evidence.space.name.split("#")[0]
    (['features', 'samples'], 'raw/std')
    """

    spec: Spec
    train: Tensor
    heldout: Tensor
    samples: Tensor | None = None
    model: Generative | None = None
    labels: Tensor | None = None
    features: str | FeatureSpace | None = None
    seed: int = 0
    limit: int = 10_000
    size: int | None = None
    recorded: bool = False
    classes: tuple[str, ...] = ()
    checked: tuple[str, str] | None = None
    likelihoods: int = 10_000
    importance_rows: int = IMPORTANCE_ROWS
    _results: dict[Callable[[Evidence], Any], Any] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        # A wrong name is the caller's mistake; found later it would look like a score's failure.
        if not isinstance(self.features, FeatureSpace):
            space_name(self.spec, self.features)

    @cached_property
    def offers(self) -> frozenset[Need]:
        """The needs that it meets."""
        density = self.model if isinstance(self.model, Density) else None
        met: dict[Need, bool] = {
            "samples": self.samples is not None,
            "features": self.samples is not None,
            "likelihood": density is not None,
            "bound": isinstance(self.model, Bound),
            "labels": self.labels is not None,
            "classifier": density is not None and density.conditional,
        }
        return frozenset(need for need, is_met in met.items() if is_met)

    def once(self, compute: Callable[[Evidence], T]) -> T:
        """What a function of the evidence gives, computed at the first call: measures share it.

        >>> evidence = Evidence(Spec((1,)), torch.zeros(3, 1), torch.zeros(3, 1))
        >>> evidence.once(lambda it: len(it.train))
        3
        """
        if compute not in self._results:
            self._results[compute] = compute(self)
        return self._results[compute]

    # Samples beside data

    @cached_property
    def sets(self) -> Sets:
        """The data in their own units, samples and held-out rows drawn at random beyond the limit.

        Raises:
            DalmError: one of them is empty or does not fit the Spec.
        """
        if self.samples is None:
            raise DalmError("there are no samples")
        self._check("samples", self.samples)
        self._check("training rows", self.train)
        self._check("held-out rows", self.heldout)

        samples = random_rows(self.samples, self.limit, self.seed)
        heldout = random_rows(self.heldout, self.limit, self.seed)
        return Sets(samples, self.train, heldout)

    def _check(self, name: str, x: Tensor) -> None:
        try:
            self.spec.check(x)
        except DalmError as error:
            raise DalmError(f"{name}: {error}") from None
        if not len(x):
            raise DalmError(f"there are no {name}")

    def equally_many(self, samples: Tensor, heldout: Tensor) -> tuple[Tensor, Tensor]:
        """As many rows of each, `size` at most, drawn at random.

        Args:
            samples: (m, ...).
            heldout: (n, ...).
        """
        size = min(len(samples), len(heldout), self.size or self.limit)
        return random_rows(samples, size, self.seed), random_rows(heldout, size, self.seed)

    @cached_property
    def plain_space(self) -> FeatureSpace:
        """The data's own numbers, real vectors in units of their spread in training."""
        return standardised_space(self.sets.train, self.spec)

    @cached_property
    def plain_sets(self) -> Sets:
        """The data in these units, in their own shape."""

        def scaled(x: Tensor) -> Tensor:
            return self.plain_space.extract(x.cpu()).reshape(len(x), *self.spec.shape)

        return Sets(*map(scaled, self.sets))

    @cached_property
    def space(self) -> FeatureSpace:
        """The feature space: the caller's own, which gets the data as they are, or a chosen one."""
        if isinstance(self.features, FeatureSpace):
            return self.features
        name = space_name(self.spec, self.features, self.heldout)
        return self.plain_space if name == "raw" else feature_space(self.spec, name)

    @cached_property
    def space_note(self) -> str:
        """What is to be said of the feature space; mostly nothing."""
        return learned_note(self.spec, self.space.name.split("#")[0], self.heldout)

    @cached_property
    def vectors(self) -> tuple[Tensor, Tensor]:
        """Features of samples, (m, d), and of held-out rows, (n, d)."""
        return self.space(self.sets.samples), self.space(self.sets.heldout)

    @cached_property
    def equal_vectors(self) -> tuple[Tensor, Tensor]:
        """As many features of each, (k, d)."""
        return self.equally_many(*self.vectors)

    # Likelihood

    @cached_property
    def density(self) -> Density:
        """The model, if it gives log probabilities.

        Raises:
            DalmError: it does not, or there is none.
        """
        if not isinstance(self.model, Density):
            raise DalmError("there is no model that gives log probabilities")
        return self.model

    @cached_property
    def scored(self) -> Tensor:
        """Places of the held-out rows whose log probability is taken, (n,)."""
        return even_places(len(self.heldout), self.likelihoods)

    @cached_property
    def tightened(self) -> Tensor:
        """Places of the held-out rows that importance samples are spent on, (n,)."""
        return even_places(len(self.heldout), self.importance_rows)

    @cached_property
    def log_probs(self) -> Tensor:
        """Log probability of held-out rows in nats, (n,)."""
        if self.density.conditional:
            return self.class_log_probs.logsumexp(1)
        return self._scored_by(self.density.log_prob)

    @cached_property
    def class_log_probs(self) -> Tensor:
        """Log P(x, y) of held-out rows for each class of a conditional model, (n, classes)."""
        return self._scored_by(self.density.class_log_probs)

    def _scored_by(self, score: Callable[..., Tensor]) -> Tensor:
        """What a method of the model says of the held-out rows."""
        noise = self._noise(self.density)
        rows = self.heldout[self.scored].split(SCORED_AT_ONCE)
        with torch.no_grad():
            return torch.cat([score(x, generator=noise).cpu() for x in rows])

    @cached_property
    def importance_bounds(self) -> Tensor:
        """The bound with 128 importance samples for each of some held-out rows, in nats."""
        model = self.model
        if not isinstance(model, Bound):
            raise DalmError("the model is no bound that importance samples could tighten")
        rows = self.heldout[self.tightened].split(IMPORTANCE_AT_ONCE)
        noise = self._noise(model)
        bounds = [
            model.importance_bound(x, samples=IMPORTANCE_SAMPLES, generator=noise) for x in rows
        ]
        return torch.cat([bound.cpu() for bound in bounds])

    def _noise(self, model: Generative) -> torch.Generator:
        """One stream for all parts of the data: their noise is independent."""
        return torch.Generator(model.device).manual_seed(self.seed)


def random_rows(x: Tensor, limit: int, seed: int) -> Tensor:
    """At most `limit` rows on the CPU, drawn at random if there are more.

    Args:
        x: (N, ...).
        limit: most rows.
        seed: of the draw.

    >>> random_rows(torch.arange(3), 5, seed=0)
    tensor([0, 1, 2])
    """
    x = x.detach().cpu()
    if len(x) <= limit:
        return x
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    return x[order[:limit]]


def even_places(n: int, limit: int) -> Tensor:
    """At most `limit` of n places, spread evenly, so that an order by class or by time does no
    harm.

    Args:
        n: how many there are.
        limit: most places.

    >>> even_places(6, 3)
    tensor([0, 2, 4])
    """
    if n <= limit:
        return torch.arange(n)
    return torch.arange(limit) * n // limit
