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
from typing import Literal, cast, final

import torch
from torch import Tensor, nn

from dalm.core import Latent, Learner, Loss, Recipe, Spec, Variational, among, within
from dalm.errors import DalmError
from dalm.exact import ExactArithmetic, Predictor
from dalm.nn import Down, Standardise, Up, concat_condition, image_grid, mlp, one_hot, pyramid_sizes
from dalm.probability import (
    BernoulliHead,
    CategoricalHead,
    LevelsHead,
    LogisticMixtureHead,
    NormalHead,
    OutputHead,
)


@final
class VAE(Variational, Latent, Learner):
    """Latent-variable model with a Gaussian encoder.

    Args:
        spec: what one datum is.
        conditional: learn P(x|y) for each class.
        latent: dimension of z.
        net: `"mlp"`, `"conv"` (images), or `"auto"`: conv for images of at least 8 × 8.
        width: hidden units of the perceptron, or channels of the convolutions at full size.
        depth: hidden layers of the perceptron.
        output: `"bernoulli"` (two levels), `"categorical"`, `"logistic"` (discretised), `"normal"`
            (real), or `"auto"`.
        components: logistics in the mixture of the logistic output.
        samples: draws of z that `log_prob` averages.

    >>> model = VAE(Spec((1, 8, 8), levels=17), latent=4)
    >>> model.encode(model.sample(3)).shape
    torch.Size([3, 4])
    """

    family = "vae"
    year = 2014
    paper = "Kingma & Welling, Auto-encoding variational Bayes"
    recipe = Recipe(lr=2e-3, batch_size=64, precision="bfloat16")

    def __init__(
        self,
        spec: Spec,
        conditional: bool = False,
        latent: int = 16,
        net: Literal["auto", "mlp", "conv"] = "auto",
        width: int = 0,
        depth: int = 2,
        output: Literal["auto", "bernoulli", "categorical", "logistic", "normal"] = "auto",
        components: int = 1,
        samples: int = 4,
    ) -> None:
        super().__init__(spec, conditional)
        self.latent = latent
        self.net = net
        self.width = width
        self.depth = depth
        self.output = output
        self.components = components
        self.samples = samples
        within(self.family, 1, latent=latent, depth=depth, components=components, samples=samples)
        within(self.family, 0, width=width)
        among(self.family, "auto", "mlp", "conv", net=net)
        among(self.family, "auto", "bernoulli", "categorical", "logistic", "normal", output=output)
        self.grid = image_grid(spec, self.family)
        self.output_head = self._output(self.grid[0])
        self.scale = Standardise(spec)
        classes = spec.classes if conditional else 0
        if net == "conv" or (net == "auto" and min(self.grid[1:]) >= 8):
            sizes = pyramid_sizes(*self.grid[1:], smallest=5)
            self.encoder: nn.Module = Down(self.grid[0] + classes, 2 * latent, sizes, width or 32)
            self.decoder: nn.Module = Up(
                latent + classes, self.output_head.size, sizes, width or 32
            )
        else:
            hidden = depth * [width or 512]
            pixels = self.grid[1] * self.grid[2]
            self.encoder = nn.Sequential(
                nn.Flatten(), mlp([spec.dims + classes * pixels, *hidden, 2 * latent])
            )
            self.decoder = nn.Sequential(
                mlp([latent + classes, *hidden, self.output_head.size * pixels]),
                nn.Unflatten(1, (self.output_head.size, *self.grid[1:])),
            )

    def _output(self, channels: int) -> OutputHead:
        levels = self.spec.levels or 0
        auto = (
            "normal"
            if not levels
            else "bernoulli"
            if levels == 2
            else "categorical"
            if levels <= 32
            else "logistic"
        )
        name = auto if self.output == "auto" else self.output
        if (name == "normal") != (levels == 0) or (name == "bernoulli" and levels != 2):
            raise DalmError(
                f"vae's output {name!r} does not suit {levels or 'real'} levels; {auto!r} would "
                "work"
            )
        if name == "normal":
            return NormalHead(channels)
        if name == "bernoulli":
            return BernoulliHead(channels)
        return (
            CategoricalHead(channels, levels)
            if name == "categorical"
            else LogisticMixtureHead(channels, levels, self.components)
        )

    def adapt(self, x: Tensor, y: Tensor | None) -> None:
        """Take class frequencies, and the scale of real data."""
        super().adapt(x, y)
        self.scale.learn(x)

    def _label(self, y: Tensor | None, like: Tensor) -> Tensor:
        return one_hot(y, self.spec.classes, like)

    def posterior(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of q(z|x), (B, latent) each."""
        scaled = self.scale(x).view(-1, *self.grid)
        mean, log_std = (
            self.encoder(concat_condition(scaled, self._label(y, scaled)))
            .to(scaled.dtype)
            .chunk(2, 1)
        )
        return mean, log_std.clamp(-7, 4)

    def log_likelihood(self, x: Tensor, z: Tensor, y: Tensor | None) -> Tensor:
        """Log p(x|z), (B,) nats in data space."""
        params = self.decoder(concat_condition(z, self._label(y, z))).to(z.dtype)
        if self.spec.levels is not None:
            return self.output_head.log_prob(params, x.view(-1, *self.grid))
        return (
            self.output_head.log_prob(params, self.scale(x).view(-1, *self.grid))
            + self.scale.log_volume()
        )

    def elbo(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Tensor:
        """Evidence lower bound of each datum from one draw of z, the divergence in closed form,
        (B,) nats.
        """
        mean, log_std = self.posterior(x, y)
        z = mean + log_std.exp() * noise(mean, generator)
        divergence = (mean.square() + (2 * log_std).exp() - 1).sum(1) / 2 - log_std.sum(1)
        return self.log_likelihood(x, z, y) - divergence

    def losses(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> list[Loss]:
        """Negative bound in nats per entry."""
        return [
            (list(self.parameters()), lambda: -self.elbo(x, y, generator).mean() / self.spec.dims)
        ]

    def _log_prob(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Tensor:
        return torch.stack([self.elbo(x, y, generator) for _ in range(self.samples)]).mean(0)

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
        return self._units(
            self.output_head.mean(self.decoder(concat_condition(z, self._label(y, z))))
        )

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        z = noise(self.scale.shift.new_zeros(n, self.latent), generator)
        return self._units(
            self.output_head.sample(self.decoder(concat_condition(z, self._label(y, z))), generator)
        )

    def approximate_posterior(self, x: Tensor, y: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of q(z|x), in exact arithmetic."""
        with ExactArithmetic(self.encoder):
            mean, log_std = self.posterior(x, y)
            return mean, log_std.exp()

    def predictor_given(self, z: Tensor, y: Tensor | None) -> Predictor:
        """All pixels of a channel at once, given the code."""
        with ExactArithmetic(self.decoder):
            return ChannelPredictor(
                cast(LevelsHead, self.output_head),
                self.decoder(concat_condition(z, self._label(y, z))),
                self.grid[0],
            )

    def _units(self, x: Tensor) -> Tensor:
        x = x.view(-1, *self.spec.shape)
        return self.scale.inverse(x) if self.spec.levels is None else x.round().to(self.spec.dtype)


class ChannelPredictor:
    """Tables of one channel of an image after another, given all their parameters."""

    def __init__(self, output_head: LevelsHead, params: Tensor, channels: int) -> None:
        self.output_head = output_head
        self.params = params
        self.channel = 0
        self.x = torch.zeros(
            len(params), channels, *params.shape[2:], dtype=torch.long, device=params.device
        )

    def predict(self) -> Tensor:
        """(n, H W, levels)."""
        return self.output_head.table(self.params, self.x, self.channel).flatten(1, -2)

    def update(self, values: Tensor) -> None:
        """(n, H W)."""
        self.x[:, self.channel] = values.view(self.x[:, 0].shape)
        self.channel += 1


def noise(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal noise shaped like `like`."""
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)
