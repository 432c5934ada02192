"""What a feature space is: a fixed function from data to vectors, with a name that pins it down."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dalm.errors import DalmError

EXTRACTED_AT_ONCE = 512
"""Data whose features are computed together, which bounds memory."""


@dataclass(frozen=True)
class FeatureSpace:
    """A named function from data to vectors.

    Args:
        name: what it is, with the hash of its content: `name#sha8`.
        extract: (B, *shape) float data in their own units to (B, d).
        precise: whether it gets real data as they are, in float64 perhaps; else float32, as nets
            want them.

    >>> FeatureSpace("sums", lambda x: x.sum(1, keepdim=True))(torch.ones(2, 3))
    tensor([[3.],
            [3.]], dtype=torch.float64)
    """

    name: str
    extract: Callable[[Tensor], Tensor]
    precise: bool = False

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """Features of data `x`, (B, *shape), as float64 (B, d) on the CPU.

        Raises:
            DalmError: a feature is infinite or NaN, because the data are too large.
        """
        blocks = torch.split(x, EXTRACTED_AT_ONCE)
        features = torch.cat([self.extract(self._seen(block)).double() for block in blocks])

        if not torch.isfinite(features).all():
            raise DalmError(
                f"features in {self.name} are not finite: the data hold numbers too large for it"
            )
        return features

    def _seen(self, x: Tensor) -> Tensor:
        return x.cpu() if self.precise and x.is_floating_point() else x.cpu().float()


def sha8(content: bytes) -> str:
    """The start of a SHA-256: enough to tell feature spaces apart.

    >>> sha8(b"")
    'e3b0c442'
    """
    return hashlib.sha256(content).hexdigest()[:8]
