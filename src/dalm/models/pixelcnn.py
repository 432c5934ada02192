r"""Gated PixelCNN (van den Oord et al. 2016, "Conditional image generation with PixelCNN
decoders").

An image is a sequence of pixels, row by row, and the chain rule makes its probability a product:

    P(x) = Π_i P(x_i | x_1 … x_{i-1})

Two stacks of causal convolutions compute every factor at once. The vertical stack sees the rows
above, the horizontal stack the pixels to the left and, through the vertical one, the rows above:
together they see every earlier pixel within their reach of `depth` + 3 rows or columns, without a
blind spot. The input is shifted by one row for the first stack and by one column for the second, so
no convolution needs a mask. Each layer is gated, tanh(a) ⊙ σ(b).

Sampling feeds one row and one pixel at a time through the same layers and keeps what they saw last,
so that an image costs one pass in all instead of one pass for each pixel.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dalm.core import Autoregressive, Completer, Learner, Recipe, Step, Turn
from dalm.errors import DalmError
from dalm.exact import ExactArithmetic, Predictor
from dalm.nn import GatedLayer, HorizontalConv, IncrementalDecoder, VerticalConv, image_grid
from dalm.options import Options, option
from dalm.probability import LevelsHead, make_levels_head


class Sampling(Options, owner="pixelcnn"):
    """What may be asked of a call of `sample`."""

    temperature: float = option(
        "of each pixel's distribution: below 1 nearer to the likeliest level", default=1.0, above=0
    )


@final
class PixelCNN(Autoregressive, Completer, Learner):
    """Autoregressive model of discrete images (C, H, W), (H, W) or vectors (D,).

    >>> from dalm.core import Spec
    >>> model = PixelCNN(Spec((1, 2, 2), levels=3), width=8, depth=1)
    >>> model.sample(5, temperature=0.5).shape
    torch.Size([5, 1, 2, 2])
    """

    family = "pixelcnn"
    year = 2016
    paper = "van den Oord et al., Conditional image generation with PixelCNN decoders"
    likelihood = "exact"
    recipe = Recipe(lr=4e-3, batch_size=16, precision="bfloat16")
    units = {"loss": "nats/entry"}
    sampling = Sampling
    conditional: bool = option("learn P(x|y) for each class", default=False)
    width: int = option(
        "channels of each stack; 0 chooses 64 up to 256 pixels, else 32", default=0, at_least=0
    )
    depth: int = option("gated layers; 0 chooses 5 or 7, likewise", default=0, at_least=0)
    kernel: int = option("width of their kernels, odd", default=3, at_least=1)
    output: Literal["auto", "categorical", "logistic"] = option(
        "levels of one channel, a mixture of discretised logistics, or what suits", default="auto"
    )
    components: int = option("logistics in the mixture", default=10, at_least=1)
    dropout: float | None = option(
        "share of activations dropped in training; none chooses 0.3 or 0, likewise",
        default=None,
        at_least=0,
        at_most=0.99,
    )

    def setup(self) -> None:
        """Build both stacks."""
        if self.kernel % 2 == 0:
            raise DalmError(
                f"pixelcnn needs an odd kernel, got {self.kernel}; {self.kernel + 1} would work"
            )
        if self.spec.levels is None:
            raise DalmError(
                "pixelcnn needs discrete data, got real numbers; bring them to levels, or use a vae"
            )
        self.grid = image_grid(self.spec, self.family)
        self.levels = self.spec.levels
        channels, height, columns = self.grid
        small = height * columns <= 256
        width = self.width or (64 if small else 32)
        depth = self.depth or (5 if small else 7)
        dropout = 0.3 * small if self.dropout is None else self.dropout
        if small:
            self.recipe = replace(self.recipe, lr=2e-3)
        self.output_head = self._output_head(channels)
        seen = channels if self.levels == 2 else 3 * channels
        self.above = VerticalConv(seen, width, height=3, width=2 * self.kernel + 1)
        self.left = HorizontalConv(seen, width, width=self.kernel + 1)
        self.place = nn.Parameter(torch.zeros(1, width, height, columns))
        classes = self.spec.classes if self.conditional else 0
        layers = (GatedLayer(width, self.kernel, classes, dropout) for _ in range(depth))
        self.layers = nn.ModuleList(layers)
        self.mix = nn.Conv2d(width, 2 * width, 1)
        self.head = nn.Conv2d(2 * width, self.output_head.size, 1)

    def _output_head(self, channels: int) -> LevelsHead:
        if self.output == "categorical" and channels > 1:
            raise DalmError(
                f"pixelcnn's categorical output needs one channel, got {channels}; use "
                "output='logistic' (--output logistic)"
            )
        many = self.output == "auto" and self.levels > 256
        name = "bernoulli" if self.levels == 2 else "categorical"
        if self.output == "logistic" or channels > 1 or many:
            name = "logistic"
        return make_levels_head(name, channels, self.levels, self.components)

    def preprocess(self, x: Tensor) -> Tensor:
        """What the network sees of levels (B, C, …): numbers in [-1, 1], and whether they are the
        end ones of more than two.
        """
        scaled = x.to(self.dtype) * (2 / (self.levels - 1)) - 1
        if self.levels == 2:
            return scaled
        ends = [(x == end).to(scaled) for end in (0, self.levels - 1)]
        return torch.cat([scaled, *ends], 1)

    def params(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Output parameters of every pixel given the pixels before it, (B, size, H, W).

        Args:
            x: levels, (B, *spec.shape).
            y: labels (B,), if the model is conditional.
        """
        seen = self.preprocess(x.view(-1, *self.grid))
        # The place keeps both stacks in half precision where autocast chose it for convolutions.
        v = self.above(F.pad(seen, (0, 0, 1, 0))[:, :, :-1])
        h = self.left(F.pad(seen, (1, 0))[:, :, :, :-1])
        place = self.place.to(v.dtype)
        v = v + place
        h = h + place
        for layer in self.layers:
            v, h = layer(v, h, y)
        return self.head(F.relu(self.mix(F.relu(h)))).to(self.dtype)

    def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
        """Log probability of each datum, (B,).

        Network and output are one graph, because compiling them together pays.

        Args:
            x: levels, (B, *spec.shape).
            y: labels (B,), if the model is conditional.
        """
        return self.output_head.log_prob(self.params(x, y), x.view(-1, *self.grid))

    def _log_prob(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Tensor:
        return cast(Tensor, self(x, y))

    def turns(self, step: Step) -> Iterator[Turn]:
        """Minimise the negative log likelihood."""
        x, y, _ = step.batch()
        yield Turn("model", -self(x, self.condition(y)).mean() / self.spec.dims)

    def _sample(
        self,
        n: int,
        y: Tensor | None,
        generator: torch.Generator | None,
        options: Sampling = Sampling(),
    ) -> Tensor:
        known = torch.zeros(self.grid, dtype=torch.bool)
        return self._drawn(IncrementalDecoder(self, n, y), known, generator, options.temperature)

    def _complete(
        self,
        x: Tensor,
        known: Tensor,
        y: Tensor | None,
        generator: torch.Generator | None,
        options: Sampling = Sampling(),
    ) -> Tensor:
        flags = known.flatten()[self.order().to(known.device)].long()
        if (flags.diff() > 0).any():
            raise DalmError(
                "pixelcnn draws pixels row by row, so what is given must come before what is "
                "drawn, such as the upper half of an image"
            )
        decoder = IncrementalDecoder(self, len(x), y)
        decoder.x[:] = x.view(decoder.x.shape)
        return self._drawn(decoder, known.view(self.grid), generator, options.temperature)

    def _drawn(
        self,
        decoder: IncrementalDecoder,
        known: Tensor,
        generator: torch.Generator | None,
        temperature: float,
    ) -> Tensor:
        """The decoder's images, their unknown entries drawn pixel by pixel."""
        for i, j in itertools.product(range(self.grid[1]), range(self.grid[2])):
            params = decoder.params(i, j)[:, :, None, None]
            if temperature != 1:
                params = self.output_head.at_temperature(params, temperature)
            pixel = self.output_head.sample(params, generator)[:, :, 0, 0]
            before = decoder.x[:, :, i, j]
            decoder.x[:, :, i, j] = torch.where(known[:, i, j].to(before.device), before, pixel)
        return decoder.x.view(len(decoder.x), *self.spec.shape)

    def order(self) -> Tensor:
        """Pixel by pixel, the channels of each in turn."""
        return torch.arange(self.spec.dims).view(self.grid[0], -1).T.flatten()

    def predictor_bytes(self) -> int:
        """Some numbers for each channel of the last row in each layer."""
        return 56 * self.grid[2] * self.place.shape[1] * (len(self.layers) + 1)

    def predictor(self, n: int, y: Tensor | None) -> Predictor:
        """One pass in all, in exact arithmetic."""
        return PixelPredictor(self, n, y)


class PixelPredictor:
    """Tables of one entry at a time."""

    def __init__(self, model: PixelCNN, n: int, y: Tensor | None) -> None:
        self.walk = IncrementalDecoder(model, n, y)
        self.exact = ExactArithmetic(model)
        self.output_head = model.output_head
        self.places = itertools.product(
            range(model.grid[1]), range(model.grid[2]), range(model.grid[0])
        )

    def predict(self) -> Tensor:
        """(n, 1, levels)."""
        self.i, self.j, self.channel = next(self.places)
        if self.channel == 0:
            with self.exact:
                self.params = self.walk.params(self.i, self.j)[:, :, None]
        return self.output_head.table(
            self.params, self.walk.x[:, :, self.i, self.j, None], self.channel
        )

    def update(self, values: Tensor) -> None:
        """(n, 1)."""
        self.walk.x[:, self.channel, self.i, self.j] = values[:, 0]
