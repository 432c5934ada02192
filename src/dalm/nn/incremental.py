"""Two gated stacks of causal convolutions, pixel by pixel from a cache of what they saw last."""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dalm.nn.causal import GatedLayer, HorizontalConv, VerticalConv, gate, pointwise


class GatedStacks(Protocol):
    """A network of two gated stacks over images (C, H, W)."""

    grid: tuple[int, int, int]
    above: VerticalConv
    left: HorizontalConv
    place: nn.Parameter
    layers: nn.ModuleList
    mix: nn.Conv2d
    head: nn.Conv2d

    @property
    def device(self) -> torch.device:
        """Where it lives."""

    def preprocess(self, x: Tensor) -> Tensor:
        """What it sees of levels (B, C, …)."""


TOGETHER = 128
"""Images of which a row is worked on at once: few enough for the processor's cache."""


class IncrementalDecoder:
    """Goes through images pixel by pixel, feeding one row, then one pixel at a time through the
    layers of a PixelCNN and keeping what each layer saw last.

    Args:
        net: the model.
        n: how many images at once.
        y: their labels, if the model is conditional.

    Attributes:
        x: the images as far as they are known, (n, C, H, W); the caller fills them in.
    """

    def __init__(self, net: GatedStacks, n: int, y: Tensor | None) -> None:
        self.net = net
        self.y = y
        self.layers = cast(list[GatedLayer], list(net.layers))
        self.x = torch.zeros(n, *net.grid, dtype=torch.long, device=net.device)
        most = TOGETHER if net.device.type == "cpu" else n
        self.parts = [slice(start, min(n, start + most)) for start in range(0, n, most)]
        sizes = [part.stop - part.start for part in self.parts]
        self.first = [net.above.empty(size, net.grid[2]) for size in sizes]
        self.above = [
            [layer.rows.empty(size, net.grid[2]) for layer in self.layers] for size in sizes
        ]
        self.links = [
            layer.link.weight.new_empty(net.grid[2], n, len(layer.link.weight))
            for layer in self.layers
        ]

    def params(self, i: int, j: int) -> Tensor:
        """Output parameters of a pixel, (n, size), for each pixel in its turn.

        Args:
            i: its row.
            j: its column.
        """
        if j == 0:
            previous = self._known(i - 1, slice(None)).permute(2, 0, 1)
            self.places = self.net.place[0, :, i].T
            for k in range(len(self.parts)):
                self._row(previous, k)
            self.left = [layer.columns.empty(len(self.x)) for layer in self.layers]
            self.start = self.net.left.empty(len(self.x))
        return self._pixel(self._known(i, j - 1), j)

    def _known(self, i: int, j: int | slice) -> Tensor:
        """Pixels as the network sees them, zero outside the image."""
        seen = self.net.preprocess(self.x[:, :, i, j])
        return seen if i >= 0 and (isinstance(j, slice) or j >= 0) else torch.zeros_like(seen)

    def _row(self, previous: Tensor, part: int) -> None:
        """Start a row of some of the images, given the row before it, (W, n, C) scaled."""
        rows = self.parts[part]
        above = self.above[part]
        y = None if self.y is None else self.y[rows]
        seen, self.first[part] = self.net.above.step(previous[:, rows], self.first[part])
        v = seen + self.places[:, None]
        for k, layer in enumerate(self.layers):
            seen, above[k] = layer.rows.step(v, above[k])
            gated, self.links[k][:, rows] = layer.labelled(y, seen, pointwise(layer.link, seen))
            v = v + gate(gated, 2)

    def _pixel(self, previous: Tensor, index: int) -> Tensor:
        """Parameters of pixel `index` of this row, (n, size), given the pixel before it, (n, C)
        scaled.
        """
        h, self.start = self.net.left.step(previous, self.start)
        h = h + self.places[index]
        for k, layer in enumerate(self.layers):
            seen, self.left[k] = layer.columns.step(h, self.left[k])
            h = h + pointwise(layer.out, gate(seen + self.links[k][index]))
        return pointwise(self.net.head, F.relu(pointwise(self.net.mix, F.relu(h))))
