"""What a model must promise so that its likelihood can become a file.

Everything here happens in exact arithmetic (`dalm.exact`), on a copy of the model in double
precision, so that what one machine writes another can read. A table is what
`dalm.exact.fixed.table` makes: parts of 2²⁴ for each level.
"""

from __future__ import annotations

import abc

import torch
from torch import Tensor

from dalm.core.density import Bound, Density
from dalm.core.latent import Latent
from dalm.core.spec import Spec
from dalm.exact.predictors import Predictor


class Autoregressive(Density):
    """A density that is a product of conditionals, one entry after another."""

    @abc.abstractmethod
    def predictor(self, n: int, y: Tensor | None) -> Predictor:
        """Predict data entry by entry.

        Args:
            n: how many data.
            y: their labels (n,), if the model is conditional.
        """

    def order(self) -> Tensor:
        """In which order the entries of a flat datum are predicted, (dims,)."""
        return torch.arange(self.spec.dims)

    def predictor_bytes(self) -> int:
        """About how many bytes a predictor keeps for each datum, from which follows how many data
        are coded together.
        """
        return 64 * self.spec.dims


class Variational(Bound, Latent):
    """A density with a standard normal code and a normal approximation of its posterior.

    That is what bits-back coding needs.
    """

    @property
    @abc.abstractmethod
    def codes(self) -> Spec:
        """What a code is: real numbers."""

    @abc.abstractmethod
    def approximate_posterior(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of q(z|x), (B, codes.dims) each, in exact arithmetic.

        Args:
            x: data, (B, *spec.shape).
            y: labels (B,), if the model is conditional.
        """

    @abc.abstractmethod
    def predictor_given(self, z: Tensor, y: Tensor | None) -> Predictor:
        """Predict the data of codes, their entries in the order of a flat datum.

        Args:
            z: codes, (B, codes.dims).
            y: labels (B,), if the model is conditional.
        """
