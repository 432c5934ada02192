"""`digits-cnn-v1`: a small convolutional net that knows scikit-learn's digits.

Its features are the 32 standardised activations of the last hidden layer. The weights beside this
file come from `scripts/train_digits_features.py`, which saw the first 1,100 rows only; the net
names 98.2 % of the last 500 rightly. Fingerprints of these rows are beside the weights.
"""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load
from torch import Tensor, nn

from dalm.core import Spec
from dalm.features.learned import count_learned
from dalm.features.space import FeatureSpace, sha8

WEIGHTS = Path(__file__).with_name("digits-cnn-v1.safetensors")
LEARNED = Path(__file__).with_name("digits-cnn-v1.rows.safetensors")
WIDTH = 32


class DigitsNet(nn.Module):
    """Classifier of 8×8 digits whose last hidden layer gives the features.

    That layer is standardised by a batch norm without parameters.

    >>> import torch
    >>> DigitsNet().eval().features(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5, 32])
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
            nn.Linear(512, WIDTH),
            nn.BatchNorm1d(WIDTH, affine=False),
        )
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(WIDTH, 10))

    def features(self, x: Tensor) -> Tensor:
        """Digits with levels 0 … 16, (B, 1, 8, 8), to (B, 32)."""
        return self.body(x / 16)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores, (B, 10)."""
        return self.head(self.features(x))


def digits_space(spec: Spec) -> FeatureSpace:
    """The features of the trained net, named by the hash of its weights.

    >>> digits_space(Spec((1, 8, 8), levels=17)).name.split("#")[0]
    'digits-cnn-v1'
    """
    content = WEIGHTS.read_bytes()
    net = DigitsNet()
    net.load_state_dict(load(content))
    return FeatureSpace(f"digits-cnn-v1#{sha8(content)}", net.eval().features)


def are_digits(spec: Spec) -> bool:
    """Whether data look like scikit-learn's digits: 8×8 pixels of 17 levels.

    >>> are_digits(Spec((1, 28, 28), levels=256))
    False
    """
    return spec.shape == (1, 8, 8) and spec.levels == 17


def learned_digits(x: Tensor) -> int:
    """How many digits (N, 1, 8, 8) the net learned from.

    >>> import torch
    >>> learned_digits(torch.zeros(5, 1, 8, 8))
    0
    """
    return count_learned(LEARNED, x)
