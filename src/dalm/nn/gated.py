"""Gated layers of two stacks of causal convolutions (van den Oord et al. 2016)."""

from __future__ import annotations

from torch import Tensor, nn

from dalm.nn.causal import HorizontalConv, VerticalConv


def gate(x: Tensor, channels: int = 1) -> Tensor:
    """tanh(a) ⊙ σ(b) of the two halves of the channels.

    Args:
        x: of twice as many channels.
        channels: the axis that they are.
    """
    a, b = x.chunk(2, channels)
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
