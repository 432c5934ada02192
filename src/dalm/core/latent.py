"""Models with a code for each datum."""

from __future__ import annotations

import abc
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dalm.core.arrays import tensor
from dalm.core.model import Generative, Label, evaluating
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
    def encode(self, x: Tensor | NDArray[Any], y: Label = None) -> Any:
        """Codes of data (B, *spec.shape), (B, *codes.shape), or one such tensor for each layer;
        arrays if the data came as one.

        Args:
            x: data, a tensor or an array.
            y: class label or (B,) labels, which a conditional model needs.
        """
        self._need(y)
        seen, labels = self._on_device(tensor(x, self.spec), y)
        with evaluating(self):
            codes = self._encode(seen, labels)
        if isinstance(x, Tensor):
            return codes
        layers = codes if isinstance(codes, tuple) else (codes,)
        arrays = tuple(layer.cpu().numpy() for layer in layers)
        return arrays if isinstance(codes, tuple) else arrays[0]

    @final
    @torch.no_grad()
    def decode(self, z: Any, y: Label = None) -> Any:
        """Most typical data of codes, (B, *spec.shape), an array if they are arrays.

        Args:
            z: codes, as `encode` gives them.
            y: class label or (B,) labels, which a conditional model needs.
        """
        self._need(y)
        several = isinstance(self.codes, tuple)
        specs = self.codes if isinstance(self.codes, tuple) else (self.codes,)
        given = z if isinstance(z, tuple) else (z,)
        layers = tuple(torch.as_tensor(z) if isinstance(z, np.ndarray) else z for z in given)
        if len(layers) != len(specs):
            raise DalmError(f"expected codes of {len(specs)} layers, got {len(layers)}")
        checked = tuple(self._layer(*pair) for pair in zip(layers, specs, strict=True))
        if len({len(layer) for layer in checked}) > 1:
            sizes = ", ".join(str(len(layer)) for layer in checked)
            raise DalmError(f"every layer holds codes of as many data, got {sizes}")
        labels = self._labels(y, len(checked[0]))
        with evaluating(self):
            x = self._own_units(self._decode(checked if several else checked[0], labels))
        return x.cpu().numpy() if isinstance(given[0], np.ndarray) else x

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

    def _need(self, y: Label) -> None:
        if self.conditional and y is None:
            raise DalmError(
                f"the codes of a conditional {self.family} depend on the class; give the labels y"
            )
