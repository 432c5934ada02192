"""The base of every model: a distribution over data of one Spec.

A model is a `torch.nn.Module`. Its options are declared in the class body, each once, so that the
constructor, JSON, command-line flags, `repr` and rebuilding all come from one place.
"""

from __future__ import annotations

import abc
import contextlib
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, final

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dalm.core.scaler import Scaler
from dalm.core.spec import Spec, inside
from dalm.core.stage import Stage
from dalm.errors import DalmError, check_seed, is_integer
from dalm.options import Declared, Options, option

Label = int | Tensor | NDArray[Any] | None
"""The class of all data, of each of them, or none."""
families: dict[str, type[Generative]] = {}
"""Every family that has been imported, by name."""


class Generative(nn.Module, Declared, abc.ABC):
    """A distribution over data of one Spec, conditional on the class or not.

    A conditional model is the joint P(y) P(x|y): without `y` it samples the class first, and scores
    by summing over classes. A family that can be conditional declares the option `conditional`.

    Args:
        spec: what one datum is.
        **options: those that the family declares.
    """

    family: ClassVar[str]
    year: ClassVar[int]
    paper: ClassVar[str]
    sampling: ClassVar[type[Options]] = Options
    """What one may ask of a single call of `sample`, such as a temperature."""
    spec: Spec = option("what one datum is", kw_only=False)
    conditional = False
    partial_labels = False
    """Whether a conditional model also learns from rows without a label."""
    added: ClassVar[frozenset[str]] = frozenset()
    """Names of buffers that earlier versions did not save; as they begin, nothing changes."""
    logarithmic = False
    """Whether the units are logarithms where that is possible, as the data ask (`log`)."""
    standardises: ClassVar[bool] = True
    """Whether real data are seen in standard units; a family that returns rows wants them as they
    are."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "family" in cls.__dict__:
            families[cls.family] = cls

    def __init__(self, spec: Spec, **options: Any) -> None:
        super().__init__()
        self.scaler: Scaler | None = None
        if not isinstance(spec, Spec):
            raise DalmError(
                f"{self.family} is built from the Spec of data, such as data.spec; got {spec!r}"
            )
        for name, value in self.checked(self.family, {"spec": spec} | options).items():
            setattr(self, name, value)
        if self.conditional and not spec.classes:
            raise DalmError(
                f"{self.family} is to learn each class, but the data have no class labels; give "
                "labels, or use a model that is not conditional"
            )
        self.prior: Tensor
        if self.conditional:
            self.register_buffer("prior", torch.full((spec.classes,), 1 / spec.classes))
        self.setup()

    def setup(self) -> None:
        """Build what the options ask for; they are checked and stored by then. Its size is that of
        `inner`; it is called anew where training data have entries that others determine.

        Raises:
            DalmError: the options do not suit each other, or the Spec.
        """

    @abc.abstractmethod
    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """Draw (n, *inner.shape); a family with sampling options takes them as `options`."""

    @final
    @torch.no_grad()
    def sample(
        self,
        n: int,
        y: Label = None,
        generator: torch.Generator | None = None,
        *,
        seed: int | None = None,
        given: tuple[Tensor, Tensor] | None = None,
        **options: Any,
    ) -> Tensor:
        """Draw `n` data, (n, *spec.shape) in the data's own units and dtype.

        Args:
            n: how many.
            y: class label or (n,) labels; `None` draws them from the class prior. Only for
                conditional models.
            generator: source of randomness, on the model's device.
            seed: of a source of randomness of its own, in place of `generator`.
            given: known entries, for models that can fill in the rest: values, (*spec.shape) or
                (n, *spec.shape), and a mask (*spec.shape) that is true where they are known.
            **options: those of the family's `sampling`.

        Raises:
            DalmError: the number, the classes or an option do not suit.
        """
        if not (is_integer(n) and n >= 0):
            raise DalmError(f"the number of samples is a whole number from 0, got {n!r}")
        n = int(n)
        if seed is not None:
            generator = self._seeded(seed, generator)
        if options and self.sampling is Options:
            raise DalmError(f"{self.family} has no options of sampling, got {options}")
        asked = self.sampling(**options)
        if given is not None and self.conditional and y is None:
            raise DalmError(
                f"a conditional {self.family} fills in the entries of a class: give its label y"
            )
        labels = self._labels_or_drawn(n, y, generator)
        with evaluating(self):
            if given is not None:
                samples = self._fill_in(n, labels, generator, given, asked)
            elif self.sampling is Options:
                samples = self._sample(n, labels, generator)
            else:
                samples = self._sample(  # type: ignore[call-arg]
                    n, labels, generator, options=asked
                )
            return self._own_units(samples)

    def _seeded(self, seed: int, generator: torch.Generator | None) -> torch.Generator:
        if generator is not None:
            raise DalmError("sample takes a seed or a generator, got both")
        return torch.Generator(self.device).manual_seed(check_seed(seed))

    def _labels_or_drawn(
        self, n: int, y: Label, generator: torch.Generator | None
    ) -> Tensor | None:
        labels = self._labels(y, n)
        if not self.conditional or labels is not None:
            return labels
        if not n:
            return self.prior.new_zeros(0, dtype=torch.long)
        return torch.multinomial(self.prior, n, replacement=True, generator=generator)

    def _fill_in(
        self,
        n: int,
        labels: Tensor | None,
        generator: torch.Generator | None,
        given: tuple[Tensor, Tensor],
        options: Options,
    ) -> Tensor:
        raise DalmError(
            f"{self.family} cannot be sampled given some entries; families that can say so in "
            "`dalm families`"
        )

    @property
    def inner(self) -> Spec:
        """The Spec of what the family itself sees: in standard units where data are real, without
        entries that the others determine.
        """
        return self.spec if self.scaler is None else self.scaler.inner(self.spec)

    def measure(self, x: Tensor) -> None:
        """Take the units of real training data, once, before anything is learned.

        Args:
            x: all training data, (N, *spec.shape), in their own units.
        """
        if self.standardises and self.spec.levels is None and len(x):
            self.use_scaler(Scaler.of(x, self.spec, self.logarithmic))

    def use_scaler(self, scaler: Scaler) -> None:
        """See data in these units; what `setup` built is built anew if its size changes."""
        device = self.device
        before = self.inner
        self.scaler = scaler
        if self.inner != before:
            self._build_anew()
        self.to(device)

    def _build_anew(self) -> None:
        """Build the parts for another size; their first weights follow from those they replace."""
        content = b"".join(p.detach().cpu().numpy().tobytes() for p in self.parameters())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int.from_bytes(hashlib.blake2b(content, digest_size=7).digest()))
            self.setup()

    def standard(self, x: Tensor) -> Tensor:
        """Data as the family sees them: real ones in standard units and the model's precision.

        Args:
            x: data (B, *spec.shape).
        """
        if self.spec.levels is not None:
            return x
        return (x if self.scaler is None else self.scaler.standard(x)).to(self.dtype)

    def _own_units(self, x: Tensor) -> Tensor:
        """The opposite of `standard`, in the data's own dtype."""
        if self.scaler is not None:
            x = self.scaler.own(x, self.spec.shape)
        return x.to(self.spec.dtype)

    def stages(self) -> Sequence[Stage]:
        """The parts in which the family is fitted, in order; all at once unless it says else."""
        return (Stage("model", self),)

    def condition(self, y: Tensor | None) -> Tensor | None:
        """The labels if the model is conditional, else none: it then learns without them."""
        return y if self.conditional else None

    def _labels(self, y: Label, n: int) -> Tensor | None:
        if y is None:
            return None
        if not self.conditional:
            raise DalmError(
                f"{self.family} was not built conditional, so it takes no class; conditional=True "
                "(--conditional) builds one that can"
            )
        classes = f"classes are 0 to {self.spec.classes - 1}"
        try:
            labels = torch.as_tensor(y, device=self.device)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            raise DalmError(f"there is no such class: {classes}, got {y!r}") from None
        numbers = labels.is_floating_point() or labels.is_complex()
        if numbers or not inside(labels, self.spec.classes):
            raise DalmError(
                f"there is no such class: {classes}, got {labels.unique().tolist()[:9]}"
            )
        if labels.shape not in ((), (n,)):
            raise DalmError(
                f"expected one class label or {n} of them, one for each datum, got "
                f"{tuple(labels.shape)}"
            )
        return labels.long().expand(n)

    def _on_device(self, x: Tensor, y: Label) -> tuple[Tensor, Tensor | None]:
        """Data as the family sees them, and labels, on the model's device, checked."""
        self.spec.check(x)
        return self.standard(x.to(self.device)), self._labels(y, len(x))

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return next(self._tensors(), torch.zeros(())).device

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type of its parameters, or the widest of its buffers."""
        numbers = [tensor for tensor in self.parameters() if tensor.is_floating_point()]
        if numbers:
            return numbers[0].dtype
        state = [tensor.dtype for tensor in self.buffers() if tensor.is_floating_point()]
        return max(state, key=lambda dtype: dtype.itemsize, default=torch.float32)

    def _tensors(self) -> Iterator[Tensor]:
        return itertools.chain(self.parameters(), self.buffers())

    def extra_repr(self) -> str:
        """The configuration, so that `repr` shows it."""
        names = [name for name in self.declared() if name != "spec"]
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)


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
