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
            x: data (n, *spec.shape), whose unknown entries mean nothing.
            known: which entries are known, (*spec.shape), the same for all.
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
        values, known = (part.to(self.device) for part in given)
        shape = self.spec.shape
        if known.dtype != torch.bool or tuple(known.shape) != shape:
            raise DalmError(
                f"what is given needs a mask of booleans of shape {shape}, true where entries are "
                f"known; got {tuple(known.shape)} of {known.dtype}"
            )
        if tuple(values.shape[-len(shape) :]) != shape or values.dim() > len(shape) + 1:
            raise DalmError(
                f"given values have the shape of a datum, {shape}, or of {n} of them; got "
                f"{tuple(values.shape)}"
            )
        x = torch.where(known, values, 0).to(self.spec.dtype).expand(n, *shape).clone()
        self.spec.check(x)
        if self.sampling is Options:
            return self._complete(x, known, labels, generator)
        return self._complete(x, known, labels, generator, options=options)  # type: ignore[call-arg]
