r"""Variational autoencoder (Kingma & Welling 2014; Rezende et al. 2014).

    p(x) = ∫ p(x|z) p(z) dz,   p(z) = N(0, I),   q(z|x) = N(μ(x), diag σ(x)²)

The integral has no closed form, but Jensen's inequality gives the evidence lower bound, whose
gradient flows through z = μ + σ ε, ε ~ N(0, I):

    log p(x) ≥ E_q[log p(x|z)] - KL(q(z|x) ‖ p(z))

K importance samples tighten it (Burda et al. 2016): log p(x) ≥ E log (1/K) Σ_k p(x|z_k) p(z_k) /
q(z_k|x).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal, cast, final

import torch
from torch import Tensor, nn

from dalm.core import Learner, Recipe, Spec, Step, Turn, Variational
from dalm.errors import DalmError
from dalm.exact import ExactArithmetic, Predictor
from dalm.nn import (
    Down,
    Standardise,
    Up,
    concat_condition,
    image_grid,
    mlp,
    one_hot,
    pyramid_sizes,
)
from dalm.options import Options, option
from dalm.probability import LevelsHead, OutputHead, make_head, suited_head

WARM_UP = 0.25
"""Share of the steps in which the divergence comes to its full weight, for real data (Bowman et al.
2016): else a decoder that learns its own scale learns to do without the code, and never comes back.
"""

LARGE = 256
"""Pixels above which smaller batches and larger steps learn more in the same time."""


class Sampling(Options, owner="vae"):
    """What may be asked of a call of `sample`."""

    mean: bool = option("what the decoder expects of each code, without its noise", default=False)


@final
class VAE(Variational, Learner):
    """Latent-variable model with a Gaussian encoder.

    >>> model = VAE(Spec((1, 8, 8), levels=17), latent=4)
    >>> model.encode(model.sample(3)).shape
    torch.Size([3, 4])
    """

    family = "vae"
    year = 2014
    paper = "Kingma & Welling, Auto-encoding variational Bayes"
    recipe = Recipe(lr=2e-3, batch_size=64, precision="bfloat16")
    units = {
        "loss": "nats/entry",
        "reconstruction": "nats/entry",
        "divergence": "nats/entry",
    }
    sampling = Sampling
    conditional: bool = option("learn P(x|y) for each class", default=False)
    latent: int = option("dimension of z", default=16, at_least=1)
    net: Literal["auto", "mlp", "conv"] = option(
        "perceptron, convolutions (images), or the latter for images of at least 8 × 8",
        default="auto",
    )
    width: int = option(
        "hidden units of the perceptron, or channels of the convolutions at full size; 0 chooses",
        default=0,
        at_least=0,
    )
    depth: int = option("hidden layers of the perceptron", default=2, at_least=1)
    output: Literal["auto", "bernoulli", "categorical", "logistic", "normal"] = option(
        "distribution of an entry given z: two levels, any levels, discretised, real; auto suits "
        "the data",
        default="auto",
    )
    components: int = option("logistics in the mixture of that output", default=1, at_least=1)
    samples: int = option("draws of z that log_prob averages", default=4, at_least=1)

    def setup(self) -> None:
        """Build encoder and decoder."""
        self.grid = image_grid(self.inner, self.family)
        self.head = self._head(self.grid[0])
        self.scale = Standardise(self.inner)
        convolutional = self.net == "auto" and min(self.grid[1:]) >= 8
        if self.net == "conv" or convolutional:
            self._convolutions()
        else:
            self._perceptrons()

    @property
    def _classes(self) -> int:
        return self.spec.classes if self.conditional else 0

    def _convolutions(self) -> None:
        if self.grid[1] * self.grid[2] > LARGE:
            self.recipe = replace(self.recipe, lr=3e-3, batch_size=32)
        sizes = pyramid_sizes(*self.grid[1:], smallest=5)
        width = self.width or 32
        inputs = self.grid[0] + self._classes
        self.encoder: nn.Module = Down(inputs, 2 * self.latent, sizes, width)
        self.decoder: nn.Module = Up(self.latent + self._classes, self.head.size, sizes, width)

    def _perceptrons(self) -> None:
        hidden = self.depth * [self.width or 512]
        pixels = self.grid[1] * self.grid[2]
        inputs = self.inner.dims + self._classes * pixels
        self.encoder = nn.Sequential(nn.Flatten(), mlp([inputs, *hidden, 2 * self.latent]))
        self.decoder = nn.Sequential(
            mlp([self.latent + self._classes, *hidden, self.head.size * pixels]),
            nn.Unflatten(1, (self.head.size, *self.grid[1:])),
        )

    def _head(self, channels: int) -> OutputHead:
        levels = self.spec.levels
        suited = suited_head(levels)
        name = suited if self.output == "auto" else self.output
        if (name == "normal") != (levels is None) or (name == "bernoulli" and levels != 2):
            raise DalmError(
                f"vae's output {name!r} does not suit {levels or 'real'} levels; {suited!r} would "
                "work"
            )
        return make_head(name, channels, levels, self.components)

    @property
    def codes(self) -> Spec:
        """A vector of real numbers."""
        return Spec((self.latent,))

    def _label(self, y: Tensor | None, like: Tensor) -> Tensor:
        return one_hot(y, self.spec.classes, like)

    def posterior(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of q(z|x), (B, latent) each.

        Args:
            x: data, (B, *spec.shape).
            y: labels (B,), if the model is conditional.
        """
        scaled = self.scale(x).view(-1, *self.grid)
        outputs = self.encoder(concat_condition(scaled, self._label(y, scaled)))
        mean, log_std = outputs.to(scaled.dtype).chunk(2, 1)
        return mean, log_std.clamp(-7, 4)

    def _params(self, z: Tensor, y: Tensor | None) -> Tensor:
        """Parameters of the output at each pixel."""
        params: Tensor = self.decoder(concat_condition(z, self._label(y, z)))
        return params

    def log_likelihood(self, x: Tensor, z: Tensor, y: Tensor | None) -> Tensor:
        """Log p(x|z), (B,) nats in data space.

        Args:
            x: data, (B, *spec.shape).
            z: codes, (B, latent).
            y: labels (B,), if the model is conditional.
        """
        params = self._params(z, y).to(z.dtype)
        if self.spec.levels is not None:
            return self.head.log_prob(params, x.view(-1, *self.grid))
        scaled = self.scale(x).view(-1, *self.grid)
        return self.head.log_prob(params, scaled) + self.scale.log_volume()

    def bound(
        self, x: Tensor, y: Tensor | None, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The two terms of the evidence lower bound from one draw of z, (B,) nats each.

        Args:
            x: data, (B, *spec.shape).
            y: labels (B,), if the model is conditional.
            generator: of the draw.

        Returns:
            log p(x|z), and the divergence of the posterior from the prior in closed form; the bound
            is their difference.
        """
        mean, log_std = self.posterior(x, y)
        z = mean + log_std.exp() * noise(mean, generator)
        divergence = (mean.square() + (2 * log_std).exp() - 1).sum(1) / 2 - log_std.sum(1)
        return self.log_likelihood(x, z, y), divergence

    def turns(self, step: Step) -> Iterator[Turn]:
        """Minimise the negative bound."""
        x, y, _ = step.batch()
        likelihood, divergence = self.bound(x, self.condition(y), step.generator)
        reconstruction = -likelihood.mean() / self.inner.dims
        coded = divergence.mean() / self.inner.dims
        terms = {"reconstruction": reconstruction, "divergence": coded}
        if self.spec.levels is None:
            coded = coded * min(1.0, (step.progress + 1e-3) / WARM_UP)
        yield Turn("model", reconstruction + coded, terms)

    def _log_prob(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Tensor:
        draws = [self.bound(x, y, generator) for _ in range(self.samples)]
        return torch.stack([likelihood - divergence for likelihood, divergence in draws]).mean(0)

    def _importance_bound(
        self, x: Tensor, y: Tensor | None, samples: int, generator: torch.Generator
    ) -> Tensor:
        mean, log_std = self.posterior(x, y)
        total = torch.full((len(x),), -torch.inf, device=mean.device, dtype=mean.dtype)
        for _ in range(samples):
            total = torch.logaddexp(total, self._log_weight(x, y, mean, log_std, generator))
        return total - math.log(samples)

    def _log_weight(
        self, x: Tensor, y: Tensor | None, mean: Tensor, log_std: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Log p(x|z) + log p(z) - log q(z|x) of one draw of z."""
        eps = noise(mean, generator)
        z = mean + log_std.exp() * eps
        return (
            self.log_likelihood(x, z, y) + (eps.square() - z.square()).sum(1) / 2 + log_std.sum(1)
        )

    def _encode(self, x: Tensor, y: Tensor | None) -> Tensor:
        return self.posterior(x, y)[0]

    def _decode(self, z: Tensor, y: Tensor | None) -> Tensor:
        return self._units(self.head.mean(self._params(z, y)))

    def _sample(
        self,
        n: int,
        y: Tensor | None,
        generator: torch.Generator | None,
        options: Sampling | None = None,
    ) -> Tensor:
        z = noise(self.scale.shift.new_zeros(n, self.latent), generator)
        if options and options.mean:
            return self._decode(z, y)
        return self._units(self.head.sample(self._params(z, y), generator))

    def approximate_posterior(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of q(z|x), in exact arithmetic."""
        with ExactArithmetic(self.encoder):
            mean, log_std = self.posterior(x, y)
            return mean, log_std.exp()

    def predictor_given(self, z: Tensor, y: Tensor | None) -> Predictor:
        """All pixels of a channel at once, given the code."""
        with ExactArithmetic(self.decoder):
            params = self._params(z, y)
        return ChannelPredictor(cast(LevelsHead, self.head), params, self.grid[0])

    def _units(self, x: Tensor) -> Tensor:
        x = x.view(-1, *self.inner.shape)
        return self.scale.inverse(x) if self.spec.levels is None else x.round()


class ChannelPredictor:
    """Tables of one channel of an image after another, given all their parameters."""

    def __init__(self, head: LevelsHead, params: Tensor, channels: int) -> None:
        self.head = head
        self.params = params
        self.channel = 0
        self.x = torch.zeros(
            len(params), channels, *params.shape[2:], dtype=torch.long, device=params.device
        )

    def predict(self) -> Tensor:
        """(n, H W, levels)."""
        return self.head.table(self.params, self.x, self.channel).flatten(1, -2)

    def update(self, values: Tensor) -> None:
        """(n, H W)."""
        self.x[:, self.channel] = values.view(self.x[:, 0].shape)
        self.channel += 1


def noise(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal noise shaped like `like`."""
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)
