"""Causal convolutions over images, whole or one step at a time.

`VerticalConv` sees its own row and rows above, `HorizontalConv` its own column and columns to the
left. Both are plain convolutions with padding on one side, so they need no masks, and both can be
fed a row or a pixel at a time from a cache of what they saw last. `GatedLayer` is a layer of two
stacks of them (van den Oord et al. 2016).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class VerticalConv(nn.Conv2d):
    """Convolution over this row and the rows above it.

    Args:
        inputs, outputs: channels.
        height: rows seen, this one included.
        width: columns seen, odd, centred.

    >>> VerticalConv(1, 4, height=2, width=3)(torch.zeros(1, 1, 5, 5)).shape
    torch.Size([1, 4, 5, 5])
    """

    def __init__(self, inputs: int, outputs: int, height: int, width: int) -> None:
        super().__init__(inputs, outputs, (height, width), padding=(0, width // 2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        return super().forward(F.pad(x, (0, 0, self.kernel_size[0] - 1, 0)))

    def step(self, row: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """The output of one row, (W, B, outputs), and the next cache.

        Args:
            row: (W, B, inputs).
            cache: the rows before it, (height - 1, W, B, inputs).
        """
        seen = torch.cat([cache, row[None]])
        return super().forward(seen.permute(2, 3, 0, 1))[:, :, 0].permute(2, 0, 1), seen[1:]

    def empty(self, batch: int, columns: int) -> Tensor:
        """The cache before the first row.

        Args:
            batch: images.
            columns: of each.
        """
        return self.weight.new_zeros(self.kernel_size[0] - 1, columns, batch, self.in_channels)


class HorizontalConv(nn.Conv2d):
    """Convolution over this column and the columns to its left, within one row.

    Args:
        inputs: channels.
        outputs: channels.
        width: columns seen, this one included.

    >>> HorizontalConv(1, 4, width=2)(torch.zeros(1, 1, 5, 5)).shape
    torch.Size([1, 4, 5, 5])
    """

    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__(inputs, outputs, (1, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        return super().forward(F.pad(x, (self.kernel_size[1] - 1, 0, 0, 0)))

    def step(self, pixel: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """The output of one pixel, (B, outputs), and the next cache.

        Args:
            pixel: (B, inputs).
            cache: those before it, (B, inputs, width - 1).
        """
        seen = torch.cat([cache, pixel[:, :, None]], 2)
        return F.linear(seen.flatten(1), self.weight.flatten(1), self.bias), seen[:, :, 1:]

    def empty(self, batch: int) -> Tensor:
        """The cache at the left edge of a row."""
        return self.weight.new_zeros(batch, self.in_channels, self.kernel_size[1] - 1)


def pointwise(layer: nn.Conv2d, pixel: Tensor) -> Tensor:
    """A 1×1 convolution applied to single pixels, (…, outputs).

    Args:
        layer: of kernel size 1.
        pixel: (…, inputs).
    """
    return F.linear(pixel, layer.weight.flatten(1), layer.bias)


def gate(x: Tensor, channels: int = 1) -> Tensor:
    """tanh(a) ⊙ σ(b) of the two halves of the channels.

    Args:
        x: of twice as many channels.
        channels: the axis that they are.
    """
    a, b = x.chunk(2, channels)
    if x.dtype == torch.bfloat16 and not x.is_contiguous():
        b = b.clone()  # on two threads σ of a chunk takes 1.6 ms, of a copy 0.25 with copying
    return a.tanh() * b.sigmoid()


class GatedLayer(nn.Module):
    """One layer of both stacks, each with a residual connection.

    Args:
        width: channels of each stack.
        size: kernel width, odd; the kernel sees (size + 1) / 2 rows, this one included.
        classes: labels to condition on, 0 for none.
        dropout: share of activations dropped before each convolution.
    """

    def __init__(self, width: int, size: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.rows = VerticalConv(width, 2 * width, height=(size + 1) // 2, width=size)
        self.columns = HorizontalConv(width, 2 * width, width=(size + 1) // 2)
        self.link = nn.Conv2d(2 * width, 2 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        self.label = nn.Embedding(classes, 4 * width) if classes else None
        self.drop = nn.Dropout(dropout)

    def labelled(self, y: Tensor | None, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """Both stacks with what the class adds to them.

        Args:
            y: labels (B,), if the model is conditional.
            v: vertical stack, (B, 2 width, H, W) or (…, B, 2 width).
            h: horizontal stack, likewise.
        """
        if self.label is None or y is None:
            return v, h
        above, left = self.label(y)[(..., None, None) if v.dim() == 4 else ...].chunk(2, 1)
        return v + above, h + left

    def forward(self, v: Tensor, h: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """Both stacks, (B, width, H, W) each."""
        seen = self.rows(self.drop(v))
        above, left = self.labelled(y, seen, self.columns(self.drop(h)) + self.link(seen))
        return v + gate(above), h + self.out(gate(left))
