"""Models with a code for each datum."""

from __future__ import annotations

import abc
from typing import Any, final

import torch
from torch import Tensor

from dalm.core.model import Generative, evaluating
from dalm.core.spec import Spec
from dalm.errors import DalmError

Codes = Spec | tuple[Spec, ...]
"""What codes are: one Spec (a vector, a grid, levels), or one for each of several layers."""
Code = Tensor | tuple[Tensor, ...]
"""Codes of data: (B, *codes.shape), or one such tensor for each layer."""


class Latent(Generative):
    """A model with a code for each datum.

    A prior over codes is any family built for `model.codes`.
    """

    @property
    @abc.abstractmethod
    def codes(self) -> Codes:
        """What a code is."""

    @abc.abstractmethod
    def _encode(self, x: Tensor, y: Tensor | None) -> Code: ...

    @abc.abstractmethod
    def _decode(self, z: Any, y: Tensor | None) -> Tensor: ...

    @final
    @torch.no_grad()
    def encode(self, x: Tensor, y: int | Tensor | None = None) -> Code:
        """Codes of data (B, *spec.shape), (B, *codes.shape), or one such tensor for each layer.

        Args:
            x: data.
            y: class label or (B,) labels, which a conditional model needs.
        """
        self._need(y)
        x, labels = self._on_device(x, y)
        with evaluating(self):
            return self._encode(x, labels)

    @final
    @torch.no_grad()
    def decode(self, z: Code, y: int | Tensor | None = None) -> Tensor:
        """Most typical data of codes, (B, *spec.shape).

        Args:
            z: codes, as `encode` gives them.
            y: class label or (B,) labels, which a conditional model needs.
        """
        self._need(y)
        several = isinstance(self.codes, tuple)
        specs = self.codes if isinstance(self.codes, tuple) else (self.codes,)
        layers = z if isinstance(z, tuple) else (z,)
        if len(layers) != len(specs):
            raise DalmError(f"expected codes of {len(specs)} layers, got {len(layers)}")
        checked = tuple(self._layer(*pair) for pair in zip(layers, specs, strict=True))
        if len({len(layer) for layer in checked}) > 1:
            sizes = ", ".join(str(len(layer)) for layer in checked)
            raise DalmError(f"every layer holds codes of as many data, got {sizes}")
        labels = self._labels(y, len(checked[0]))
        with evaluating(self):
            return self._own_units(self._decode(checked if several else checked[0], labels))

    def _layer(self, z: Tensor, spec: Spec) -> Tensor:
        """One layer of codes on the model's device, checked."""
        wanted = f"(B, {', '.join(map(str, spec.shape))})"
        finite = isinstance(z, Tensor) and bool(torch.isfinite(z).all())
        if not finite or tuple(z.shape[1:]) != spec.shape:
            got = f"{tuple(z.shape)} of {z.dtype}" if isinstance(z, Tensor) else type(z).__name__
            raise DalmError(f"expected finite codes, a tensor {wanted}, got {got}")
        if spec.levels is not None:
            spec.check(z)
            return z.to(self.device)
        return z.to(self.device, self.dtype)

    def _need(self, y: int | Tensor | None) -> None:
        if self.conditional and y is None:
            raise DalmError(
                f"the codes of a conditional {self.family} depend on the class; give the labels y"
            )
