"""The promises: what a model can do, stated by inheritance.

A model is a `torch.nn.Module`. Its constructor signature is its configuration, so JSON,
command-line flags, `repr` and rebuilding all come from one place.
"""

from __future__ import annotations

import abc
import contextlib
import inspect
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

import torch
from torch import Tensor, nn

from dalm.core.checks import within
from dalm.core.spec import Spec, inside
from dalm.errors import DalmError, is_integer

Likelihood = Literal["exact", "bound", "estimate"]
Loss = tuple[list[nn.Parameter], Callable[[], Tensor]]


@dataclass(frozen=True)
class Recipe:
    """How a family likes to be trained: the defaults of `fit`, kept beside the paper that states
    them.

    Args:
        lr: peak learning rate of AdamW.
        betas: its moment decays.
        weight_decay: its decoupled weight decay.
        batch_size: data per step.
        clip: largest gradient norm; 0 turns clipping off.
        ema: decay of the averaged weights that are kept as the result; 0 keeps the last weights.
        schedule: `"cosine"` (short linear warm-up, then to zero) or `"constant"`.
        precision: `"bfloat16"` where half precision pays and the machine has it, else `"float32"`.
    """

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    batch_size: int = 64
    clip: float = 1.0
    ema: float = 0.999
    schedule: Literal["cosine", "constant"] = "cosine"
    precision: Literal["float32", "bfloat16"] = "float32"


families: dict[str, type[Generative]] = {}
"""Every family that has been imported, by name."""


class Generative(nn.Module, abc.ABC):
    """A distribution over data of one Spec, conditional on the class or not.

    A conditional model is the joint P(y) P(x|y): without `y` it samples the class first, and scores
    by summing over classes.

    Args:
        spec: what one datum is.
        conditional: learn P(x|y) for each class.
    """

    family: ClassVar[str]
    year: ClassVar[int]
    paper: ClassVar[str]
    prior: Tensor

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "family" in cls.__dict__:
            families[cls.family] = cls

    def __init__(self, spec: Spec, conditional: bool = False) -> None:
        super().__init__()
        if not isinstance(spec, Spec):
            raise DalmError(
                f"{self.family} is built from the Spec of data, such as data.spec; got {spec!r}"
            )
        if conditional and not spec.classes:
            raise DalmError(
                f"{self.family} was asked to be conditional, but the data have no class labels; "
                "give labels, or leave it out"
            )
        self.spec = spec
        self.conditional = conditional
        if conditional:
            self.register_buffer("prior", torch.full((spec.classes,), 1 / spec.classes))

    @abc.abstractmethod
    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor: ...

    @final
    @torch.no_grad()
    def sample(
        self, n: int, y: int | Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw `n` data, (n, *spec.shape) in the data's own units and dtype.

        Args:
            n: how many.
            y: class label or (n,) labels; `None` draws them from the class prior. Only for
                conditional models.
            generator: source of randomness, on the model's device.
        """
        if not (is_integer(n) and n >= 0):
            raise DalmError(f"the number of samples is a whole number from 0, got {n!r}")
        n = int(n)
        labels = self._labels(y, n)
        if self.conditional and labels is None:
            labels = (
                torch.multinomial(self.prior, n, replacement=True, generator=generator)
                if n
                else self.prior.new_zeros(0, dtype=torch.long)
            )
        with evaluating(self):
            return self._sample(n, labels, generator).to(self.spec.dtype)

    def _labels(self, y: int | Tensor | None, n: int) -> Tensor | None:
        if y is None:
            return None
        if not self.conditional:
            raise DalmError(
                f"{self.family} was not built conditional, so it takes no class; conditional=True "
                "(--conditional) builds one that can"
            )
        try:
            labels = torch.as_tensor(y, device=self.device)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            raise DalmError(
                f"there is no such class: classes are 0 to {self.spec.classes - 1}, got {y!r}"
            ) from None
        if (
            labels.is_floating_point()
            or labels.is_complex()
            or not inside(labels, self.spec.classes)
        ):
            raise DalmError(
                f"there is no such class: classes are 0 to {self.spec.classes - 1}, got "
                f"{labels.unique().tolist()[:9]}"
            )
        if labels.shape not in ((), (n,)):
            raise DalmError(
                f"expected one class label or {n} of them, one for each datum, got "
                f"{tuple(labels.shape)}"
            )
        return labels.long().expand(n)

    def _given(self, x: Tensor, y: int | Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Data and labels on the model's device, checked."""
        self.spec.check(x)
        return x.to(self.device), self._labels(y, len(x))

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return next(self._tensors(), torch.zeros(())).device

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type of its state."""
        return next((t for t in self._tensors() if t.is_floating_point()), torch.zeros(())).dtype

    def _tensors(self) -> Iterator[Tensor]:
        return itertools.chain(self.parameters(), self.buffers())

    def extra_repr(self) -> str:
        """The configuration, so that `repr` shows it."""
        return ", ".join(
            f"{name}={getattr(self, name)!r}" for name in signature(type(self)) if name != "spec"
        )


class Density(Generative):
    """A model that gives each datum a log probability (discrete data) or log density (real data)."""

    likelihood: ClassVar[Likelihood]

    @abc.abstractmethod
    def _log_prob(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Tensor: ...

    @final
    def log_prob(
        self, x: Tensor, y: int | Tensor | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Log probability of each datum in nats, (B,), always in data space.

        Discrete data get a log mass that sums to 1 over all data, real data a log density in their
        own units.

        Args:
            x: data, (B, *spec.shape).
            y: class label or (B,) labels for log P(x|y); `None` gives log P(x).
            generator: noise of a stochastic bound; by default the same noise at each call.
        """
        x, labels = self._given(x, y)
        if self.conditional and labels is None:
            return self.class_log_probs(x, generator).logsumexp(1)
        with evaluating(self):
            return self._log_prob(
                x, labels, generator or torch.Generator(self.device).manual_seed(0)
            )

    @final
    def class_log_probs(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Log P(x, y) for every class, (B, classes) in nats. Only for conditional models."""
        if not self.conditional:
            raise DalmError(
                f"{self.family} was not built conditional, so it knows no classes; "
                "conditional=True (--conditional) builds one that can"
            )
        generator = generator or torch.Generator(self.device).manual_seed(0)
        scores = torch.stack([self.log_prob(x, k, generator) for k in range(self.spec.classes)], 1)
        return scores + self.prior.log().to(scores.dtype)

    @final
    def classify(self, x: Tensor) -> Tensor:
        """The most probable class of each datum by Bayes' rule, (B,)."""
        return self.class_log_probs(x).argmax(1)


class Bound(Density):
    """A density known through a lower bound that importance samples tighten (Burda et al. 2016)."""

    likelihood = "bound"

    @abc.abstractmethod
    def _importance_bound(
        self, x: Tensor, y: Tensor | None, samples: int, generator: torch.Generator
    ) -> Tensor: ...

    @final
    @torch.no_grad()
    def importance_bound(
        self,
        x: Tensor,
        y: int | Tensor | None = None,
        samples: int = 128,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The bound with `samples` importance samples, (B,) nats; it grows towards log P(x) with
        their number.

        Args:
            x: data, (B, *spec.shape).
            y: class label or (B,) labels; `None` sums over the classes of a conditional model.
            samples: importance samples for each datum.
            generator: their noise; by default the same at each call.
        """
        within(self.family, 1, samples=samples)
        x, labels = self._given(x, y)
        generator = generator or torch.Generator(self.device).manual_seed(0)
        if self.conditional and labels is None:
            bounds = [
                self.importance_bound(x, k, samples, generator) for k in range(self.spec.classes)
            ]
            return (torch.stack(bounds, 1) + self.prior.log().to(bounds[0].dtype)).logsumexp(1)
        with evaluating(self):
            return self._importance_bound(x, labels, samples, generator)


class Latent(Generative):
    """A model with a code for each datum, of `latent` numbers."""

    latent: int

    @abc.abstractmethod
    def _encode(self, x: Tensor, y: Tensor | None) -> Tensor: ...

    @abc.abstractmethod
    def _decode(self, z: Tensor, y: Tensor | None) -> Tensor: ...

    @final
    @torch.no_grad()
    def encode(self, x: Tensor, y: int | Tensor | None = None) -> Tensor:
        """Codes of data (B, *spec.shape), (B, latent); a conditional model needs the labels."""
        self._need(y)
        x, labels = self._given(x, y)
        with evaluating(self):
            return self._encode(x, labels)

    @final
    @torch.no_grad()
    def decode(self, z: Tensor, y: int | Tensor | None = None) -> Tensor:
        """Most typical data of codes (B, latent), (B, *spec.shape); a conditional model needs the
        labels.
        """
        self._need(y)
        if (
            not isinstance(z, Tensor)
            or z.shape[1:] != (self.latent,)
            or not torch.isfinite(z).all()
        ):
            got = f"{tuple(z.shape)} of {z.dtype}" if isinstance(z, Tensor) else type(z).__name__
            raise DalmError(f"expected finite codes, a tensor (B, {self.latent}), got {got}")
        labels = self._labels(y, len(z))
        with evaluating(self):
            return self._decode(z.to(self.device, self.dtype), labels).to(self.spec.dtype)

    def _need(self, y: int | Tensor | None) -> None:
        if self.conditional and y is None:
            raise DalmError(
                f"the codes of a conditional {self.family} depend on the class; give the labels y"
            )


class Learner(Generative):
    """A model that learns by gradients."""

    recipe: Recipe = Recipe()

    def adapt(self, x: Tensor, y: Tensor | None) -> None:
        """Take scales and class frequencies from the training data, once, before the first step."""
        self._count(y)

    def _count(self, y: Tensor | None) -> None:
        if self.conditional and y is not None:
            self.prior = torch.bincount(y.long(), minlength=self.spec.classes).to(self.prior) / len(
                y
            )

    @abc.abstractmethod
    def losses(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> list[Loss]:
        """What to minimise: one (parameters, closure) pair per player, stepped in this order."""


class Estimator(Generative):
    """A model that learns in closed form, or by remembering."""

    @abc.abstractmethod
    def passes(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> None:
        """Learn from all training data at once."""


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Hold a model in evaluation mode, then put every part back as it was."""
    before = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in before.items():
            module.training = mode


def signature(cls: type) -> dict[str, inspect.Parameter]:
    """The constructor's parameters by name, with types resolved."""
    return dict(inspect.signature(cls, eval_str=True).parameters)
