"""Plain perceptrons and strided convolution stacks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

Size = tuple[int, int]


def mlp(sizes: Sequence[int], activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers with an activation between them.

    Args:
        sizes: of the input, the hidden layers and the output.
        activation: class of the module between two layers.

    >>> mlp([4, 8, 2])(torch.zeros(3, 4)).shape
    torch.Size([3, 2])
    """
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


def pyramid_sizes(height: int, width: int, smallest: int = 4) -> list[Size]:
    """Sizes of an image that is halved, rounding up, while its shorter side is large enough.

    Args:
        height: of the image.
        width: of the image.
        smallest: the shorter side, at least.

    >>> pyramid_sizes(28, 28)
    [(28, 28), (14, 14), (7, 7), (4, 4)]
    """
    sizes = [(height, width)]
    while min(-(-s // 2) for s in sizes[-1]) >= smallest:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    return sizes


class Residual(nn.Module):
    """x + conv(act(conv(act(x)))), He et al. 2016, without normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) -> the same."""
        out: Tensor = x + self.body(x)
        return out


class Down(nn.Module):
    """Image (B, inputs, H, W) to a vector (B, outputs): a residual block at each size below the
    first, twice the width at each.

    Args:
        inputs: channels of the image.
        outputs: entries of the vector.
        sizes: of the image at each level, as `pyramid_sizes` gives them.
        width: channels at full size.

    >>> Down(1, 6, sizes=pyramid_sizes(8, 8), width=4)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 6])
    """

    def __init__(self, inputs: int, outputs: int, sizes: list[Size], width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, width, 3, stride=1 if len(sizes) == 1 else 2, padding=1),
            Residual(width),
        ]
        for k in range(len(sizes) - 2):
            layers += [
                nn.SiLU(),
                nn.Conv2d(width << k, width << (k + 1), 3, stride=2, padding=1),
                Residual(width << (k + 1)),
            ]
        self.body = nn.Sequential(*layers, nn.SiLU(), nn.Flatten())
        self.end = nn.Linear(
            (width << max(0, len(sizes) - 2)) * sizes[-1][0] * sizes[-1][1], outputs
        )

    def forward(self, x: Tensor) -> Tensor:
        """The vector."""
        out: Tensor = self.end(self.body(x))
        return out


class Up(nn.Module):
    """Vector (B, inputs) to an image (B, outputs, H, W): the mirror image of `Down`.

    Args:
        inputs: entries of the vector.
        outputs: channels of the image.
        sizes: as in `Down`.
        width: channels at full size.

    >>> Up(6, 2, sizes=pyramid_sizes(8, 8), width=4)(torch.zeros(2, 6)).shape
    torch.Size([2, 2, 8, 8])
    """

    def __init__(self, inputs: int, outputs: int, sizes: list[Size], width: int) -> None:
        super().__init__()
        top = width << max(0, len(sizes) - 2)
        self.shape = (top, *sizes[-1])
        self.start = nn.Linear(inputs, top * sizes[-1][0] * sizes[-1][1])
        layers: list[nn.Module] = [Residual(top), nn.SiLU()]
        for k in reversed(range(len(sizes) - 2)):
            layers += [
                PixelShuffleUp(width << (k + 1), width << k, sizes[k + 1]),
                Residual(width << k),
                nn.SiLU(),
            ]
        end = (
            nn.Conv2d(width, outputs, 3, padding=1)
            if len(sizes) == 1
            else PixelShuffleUp(width, outputs, sizes[0])
        )
        self.body = nn.Sequential(*layers, end)

    def forward(self, z: Tensor) -> Tensor:
        """The image."""
        out: Tensor = self.body(self.start(z).unflatten(1, self.shape))
        return out


class PixelShuffleUp(nn.Module):
    """Doubles an image by rearranging channels (Shi et al. 2016), cropped to `size`."""

    def __init__(self, inputs: int, outputs: int, size: Size) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, 4 * outputs, 3, padding=1)
        self.shuffle = nn.PixelShuffle(2)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, *size)."""
        out: Tensor = self.shuffle(self.conv(x))
        return out[:, :, : self.size[0], : self.size[1]]


def one_hot(y: Tensor | None, classes: int, like: Tensor) -> Tensor:
    """Labels as (B, classes), one where the class is; no classes without labels.

    Args:
        y: labels (B,), or `None`.
        classes: how many there are.
        like: (B, …), whose type and device it gets.
    """
    if y is None:
        return like.new_zeros(len(like), 0)
    return torch.nn.functional.one_hot(y, classes).to(like)


def concat_condition(x: Tensor, label: Tensor) -> Tensor:
    """Put a label beside data as further features, or as constant channels of an image.

    Args:
        x: data, (B, D) or (B, C, H, W).
        label: (B, K).

    >>> concat_condition(torch.zeros(2, 3, 4, 4), torch.ones(2, 5)).shape
    torch.Size([2, 8, 4, 4])
    """
    return torch.cat([x, label[(...,) + (None,) * (x.dim() - 2)].expand(-1, -1, *x.shape[2:])], 1)
