"""How data of any shape are laid out as images, and scaled."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dalm.core import Spec
from dalm.errors import DalmError


def image_grid(spec: Spec, asker: str) -> tuple[int, int, int]:
    """(C, H, W) of a Spec: images as they are, (H, W) as one channel, a vector as one row.

    Args:
        spec: what one datum is.
        asker: who needs an image, for the error.

    >>> image_grid(Spec((5,), levels=2), "pixelcnn")
    (1, 1, 5)
    """
    if len(spec.shape) > 3:
        raise DalmError(f"{asker} needs data of one, two or three axes, got shape {spec.shape}")
    channels, height, width = (1, 1, 1, *spec.shape)[-3:]
    return channels, height, width


class Standardise(nn.Module):
    """Brings data to about unit size and back: levels to [-1, 1], real entries by a shift and a
    unit of each, which are 0 and 1 unless a family sets them: its data come in standard units.

    >>> Standardise(Spec((1,), levels=3))(torch.tensor([[0], [1], [2]]))
    tensor([[-1.],
            [ 0.],
            [ 1.]])
    """

    shift: Tensor
    unit: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        half = 1.0 if spec.levels is None else (spec.levels - 1) / 2
        self.fixed = spec.levels is not None
        self.register_buffer(
            "shift", torch.full(spec.shape if not self.fixed else (), half if self.fixed else 0.0)
        )
        self.register_buffer("unit", torch.full(spec.shape if not self.fixed else (), half))

    def forward(self, x: Tensor) -> Tensor:
        """Data to scaled data."""
        return (x.to(self.shift.dtype) - self.shift) / self.unit

    def inverse(self, x: Tensor) -> Tensor:
        """Scaled data to data, real."""
        return x * self.unit + self.shift

    def log_volume(self) -> Tensor:
        """Log |dx_scaled / dx| of one real datum: what a density in scaled units must add."""
        return -self.unit.log().sum()
