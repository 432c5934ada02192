"""Models that can be sampled given some of a datum's entries."""

from __future__ import annotations

import abc

import torch
from torch import Tensor

from dalm.core.model import Generative
from dalm.errors import DalmError
from dalm.options import Options


class Completer(Generative):
    """A model that draws the unknown entries of a datum given the known ones, exactly."""

    @abc.abstractmethod
    def _complete(
        self, x: Tensor, known: Tensor, y: Tensor | None, generator: torch.Generator | None
    ) -> Tensor:
        """Draw what is unknown; a family with sampling options takes them as `options`.

        Args:
            x: data (n, *inner.shape), whose unknown entries mean nothing.
            known: which entries are known, (*inner.shape), the same for all.
            y: labels (n,), if the model is conditional.
            generator: source of randomness.

        Raises:
            DalmError: these entries cannot be conditioned on.
        """

    def _fill_in(
        self,
        n: int,
        labels: Tensor | None,
        generator: torch.Generator | None,
        given: tuple[Tensor, Tensor],
        options: Options,
    ) -> Tensor:
        if not isinstance(given, tuple | list) or len(given) != 2:
            raise DalmError(f"what is given are values and a mask; got {type(given).__name__}")
        values, known = given
        self._check_given(n, values, known)
        values = values.to(self.device)
        known = known.to(self.device)
        shape = self.spec.shape
        x = values.where(known, torch.zeros_like(values)).expand(n, *shape)
        self.spec.check(x)
        x = self.standard(x).clone()
        known = self._seen_mask(known)
        if self.sampling is Options:
            return self._complete(x, known, labels, generator)
        return self._complete(  # type: ignore[call-arg]
            x, known, labels, generator, options=options
        )

    def _seen_mask(self, known: Tensor) -> Tensor:
        """The mask of what the family sees; what others determine needs none."""
        if self.scaler is None:
            return known
        return known.flatten()[self.scaler.kept].view(self.inner.shape)

    def _check_given(self, n: int, values: Tensor, known: Tensor) -> None:
        shape = self.spec.shape
        if not (isinstance(values, Tensor) and isinstance(known, Tensor)):
            got = f"{type(values).__name__} and {type(known).__name__}"
            raise DalmError(f"what is given are two tensors, values and a mask; got {got}")
        if known.dtype != torch.bool or tuple(known.shape) != shape:
            raise DalmError(
                f"what is given needs a mask of booleans of shape {shape}, true where entries are "
                f"known; got {tuple(known.shape)} of {known.dtype}"
            )
        if tuple(values.shape) not in (shape, (1, *shape), (n, *shape)):
            raise DalmError(
                f"given values have the shape of a datum, {shape}, or of {n} of them; got "
                f"{tuple(values.shape)}"
            )
