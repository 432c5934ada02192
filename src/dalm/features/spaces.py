"""Feature spaces: fixed functions from data to vectors, in which distances mean something.

A score depends on the space it is computed in, so each space is frozen and carries the SHA-256 of
its content in its name; scores with different names must not be compared. None of them is the
Inception network, so nothing here may be called FID.

- `digits-cnn-v1`: 32 standardised activations of the last hidden layer of a small convolutional net
  that knows scikit-learn's digits (written by `scripts/train_digits_features.py`, which saw the
  first 1,100 rows only; 98.2 % right on the last 500).
- `random-conv-v1`: random convolutions at up to three scales, pooled to means over quadrants and to
  standard deviations. Untrained features rank models sensibly without a trained net (Ulyanov et al.
  2018; Naeem et al. 2020 use random nets for data unlike ImageNet).
- `raw`: the numbers themselves, for vectors. Real ones are divided by the standard deviation of
  each entry in training, and their space is then called `raw/std`, with the hash of these
  deviations.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load
from torch import Tensor, nn

from dalm.core import Spec
from dalm.errors import DalmError, did_you_mean

WEIGHTS = Path(__file__).with_name("digits-cnn-v1.safetensors")


@dataclass(frozen=True)
class FeatureSpace:
    """A named function from data to vectors.

    Args:
        name: what it is, with the hash of its content: `name#sha8`.
        extract: (B, *shape) float data in their own units to (B, d).
    """

    name: str
    extract: Callable[[Tensor], Tensor]

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """Features of data `x`, (B, *shape), as float64 (B, d) on the CPU, in blocks so that memory
        stays bounded.

        Raises:
            DalmError: a feature is infinite or NaN, because the data are too large.
        """
        features = torch.cat(
            [self.extract(block.cpu().float()).double() for block in torch.split(x, 512)]
        )
        if not torch.isfinite(features).all():
            raise DalmError(
                f"features in {self.name} are not finite: the data hold numbers too large for it"
            )
        return features


class DigitsNet(nn.Module):
    """Classifier of 8x8 digits whose last hidden layer, standardised by a batch norm without
    parameters, gives the features.
    """

    def __init__(self) -> None:
        super().__init__()
        narrow = nn.Conv2d(1, 16, 3, padding=1)
        wide = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.body = nn.Sequential(
            narrow,
            nn.ReLU(),
            wide,
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(512, 32),
            nn.BatchNorm1d(32, affine=False),
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(32, 10))

    def features(self, x: Tensor) -> Tensor:
        """Digits with levels 0 … 16, (B, 1, 8, 8), to (B, 32)."""
        return self.body(x / 16)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores, (B, 10)."""
        return self.head(self.features(x))


class RandomConv(nn.Module):
    """Random 5x5 convolutions on an image pyramid: means over quadrants (where things are) and
    standard deviations (texture).

    Args:
        spec: an image Spec; discrete levels are scaled to [0, 1].
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        channels, height, width = spec.shape
        self.scale = 1.0 if spec.levels is None else 1.0 / (spec.levels - 1)
        self.scales = sum(min(height, width) >= 4 * 2**s for s in range(3)) or 1
        generator = torch.Generator().manual_seed(20170907)
        fan_in = 25 * channels
        self.register_buffer(
            "filters",
            torch.randn(self.scales, 8, channels, 5, 5, generator=generator) * (2 / fan_in) ** 0.5,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images, (B, C, H, W), to (B, scales * 40)."""
        parts: list[Tensor] = []
        for filters in self.get_buffer("filters"):
            h = nn.functional.conv2d(x * self.scale, filters, padding=2).relu()
            parts += [
                nn.functional.adaptive_avg_pool2d(h, 2).flatten(1),
                h.flatten(2).std(2, correction=0),
            ]
            x = nn.functional.avg_pool2d(x, 2) if min(x.shape[2:]) > 1 else x
        return torch.cat(parts, 1)


def _digits(spec: Spec) -> FeatureSpace:
    content = WEIGHTS.read_bytes()
    net = DigitsNet()
    net.load_state_dict(load(content))
    return FeatureSpace(f"digits-cnn-v1#{sha8(content)}", net.eval().features)


def _random_conv(spec: Spec) -> FeatureSpace:
    net = RandomConv(spec)
    content = repr((spec.shape, spec.levels)).encode() + net.get_buffer("filters").numpy().tobytes()
    return FeatureSpace(f"random-conv-v1#{sha8(content)}", net)


def _raw(spec: Spec) -> FeatureSpace:
    return FeatureSpace("raw", lambda x: x.flatten(1))


def sha8(content: bytes) -> str:
    """The start of a SHA-256: enough to tell feature spaces apart."""
    return hashlib.sha256(content).hexdigest()[:8]


SPACES: dict[str, tuple[Callable[[Spec], FeatureSpace], Callable[[Spec], bool]]] = {
    "digits-cnn-v1": (_digits, lambda spec: spec.shape == (1, 8, 8) and spec.levels == 17),
    "random-conv-v1": (_random_conv, lambda spec: len(spec.shape) == 3),
    "raw": (_raw, lambda spec: True),
}
"""Every feature space, most telling first: how to make it, and whether it suits a Spec."""


def feature_space(spec: Spec, name: str | None = None) -> FeatureSpace:
    """The feature space called `name`, or the most telling one that suits the data.

    Args:
        spec: what one datum is.
        name: `digits-cnn-v1`, `random-conv-v1` or `raw`; `None` chooses.

    Raises:
        DalmError: an unknown name, or a space that does not suit the data.

    >>> feature_space(Spec((2,))).name
    'raw'
    >>> feature_space(Spec((3, 32, 32), levels=256)).name.split("#")[0]
    'random-conv-v1'
    """
    if name is not None and name not in SPACES:
        raise DalmError(f"there is no feature space {name!r}. {did_you_mean(name, SPACES)}")
    for choice, (make, suits) in SPACES.items():
        if name in (None, choice) and suits(spec):
            return make(spec)
    raise DalmError(
        f"the feature space {name} does not suit data of shape {spec.shape} with levels "
        f"{spec.levels}"
    )
