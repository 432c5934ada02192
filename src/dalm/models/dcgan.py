r"""Deep convolutional generative adversarial network (Goodfellow et al. 2014; Radford et al. 2016).

A generator G turns noise z into data, a discriminator D tells data from fakes, and each learns
against the other:

    max_D E log D(x) + E log(1 - D(G(z))),   max_G E log D(G(z))

the second being the non-saturating form. The rules of the DCGAN paper: strided convolutions in D
and fractionally-strided ones in G, no pooling and no hidden dense layers; batch normalisation
everywhere but at G's output and D's input; ReLU and tanh in G, LeakyReLU in D. There is no
likelihood. Levels are dequantised uniformly, so that D cannot win by looking for round numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from dalm.core import Learner, Player, Recipe, Step, Turn
from dalm.errors import DalmError
from dalm.nn import Standardise, concat_condition, image_grid, one_hot, pyramid_sizes
from dalm.options import option


def initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02²), as in the paper."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


@final
class DCGAN(Learner):
    """Convolutional generator and discriminator of images of at least 4 × 4.

    >>> from dalm.core import Spec
    >>> DCGAN(Spec((1, 8, 8), levels=17), latent=8, width=8).sample(3).shape
    torch.Size([3, 1, 8, 8])
    """

    family = "dcgan"
    year = 2016
    paper = "Radford et al., Unsupervised representation learning with DCGANs"
    recipe = Recipe(
        lr=2e-4,
        batch_size=64,
        clip=0.0,
        ema=0.99,
        schedule="constant",
        precision="bfloat16",
    )
    units = {"loss": "nats/image", "D(x)": "probability", "D(G(z))": "probability"}
    conditional: bool = option(
        "learn P(x|y) for each class, by labels beside the inputs of both players "
        "(Mirza & Osindero 2014)",
        default=False,
    )
    latent: int = option("dimension of z", default=64, at_least=1)
    width: int = option("channels at full size", default=16, at_least=1)

    def setup(self) -> None:
        """Build both players."""
        channels, height, columns = image_grid(self.inner, self.family)
        if min(height, columns) < 4:
            raise DalmError(f"dcgan needs images of at least 4 × 4, got shape {self.inner.shape}")
        classes = self.spec.classes if self.conditional else 0
        self.grid = (channels, height, columns)
        self.sizes = pyramid_sizes(height, columns)
        self.scale = Standardise(self.inner)
        self.generator = self._generator(channels, classes)
        self.discriminator = self._discriminator(channels, classes)
        self.apply(initialise)

    def _generator(self, channels: int, classes: int) -> nn.Sequential:
        """Noise (B, latent + classes, 1, 1) to images in (-1, 1), perhaps larger than asked."""
        top = len(self.sizes) - 1
        inputs = self.latent + classes
        first = nn.ConvTranspose2d(inputs, self.width << top, self.sizes[-1], bias=False)
        layers: list[nn.Module] = [first]
        for k in reversed(range(top)):
            wide = self.width << (k + 1)
            layers += [nn.BatchNorm2d(wide), nn.ReLU()]
            layers += [nn.ConvTranspose2d(wide, wide // 2, 4, 2, 1, bias=False)]
        layers += [nn.BatchNorm2d(self.width), nn.ReLU()]
        return nn.Sequential(*layers, nn.ConvTranspose2d(self.width, channels, 3, 1, 1), nn.Tanh())

    def _discriminator(self, channels: int, classes: int) -> nn.Sequential:
        """Images (B, channels + classes, H, W) to logits (B, 1)."""
        top = len(self.sizes) - 1
        first = nn.Conv2d(channels + classes, self.width, 3, 1, 1)
        layers: list[nn.Module] = [first, nn.LeakyReLU(0.2)]
        for k in range(top):
            wide = self.width << (k + 1)
            layers += [nn.Conv2d(wide // 2, wide, 3, 2, 1, bias=False)]
            layers += [nn.BatchNorm2d(wide), nn.LeakyReLU(0.2)]
        last = nn.Conv2d(self.width << top, 1, self.sizes[-1])
        return nn.Sequential(*layers, last, nn.Flatten())

    def adapt(self, x: Tensor, y: Tensor | None) -> None:
        """Take class frequencies, and the range of real data."""
        super().adapt(x, y)
        if self.spec.levels is None:
            low = x.amin(0)
            high = x.amax(0)
            self.scale.shift = ((low + high) / 2).to(self.scale.shift)
            self.scale.unit = ((high - low) / 2).clamp_min(1e-6).to(self.scale.unit)

    def generate(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """Fakes in (-1, 1), (n, C, H, W).

        Args:
            n: how many.
            y: their labels (n,), if the model is conditional.
            generator: of the noise.
        """
        shape = (n, self.latent)
        z = torch.randn(shape, generator=generator, device=self.device, dtype=self.dtype)
        inputs = concat_condition(z, one_hot(y, self.spec.classes, z))
        images: Tensor = self.generator(inputs[:, :, None, None])
        return images[:, :, : self.grid[1], : self.grid[2]]

    def critic(self, images: Tensor, y: Tensor | None) -> Tensor:
        """Logit of being real, (B, 1).

        Args:
            images: in [-1, 1], (B, C, H, W).
            y: their labels (B,), if the model is conditional.
        """
        inputs = concat_condition(images, one_hot(y, self.spec.classes, images))
        logits: Tensor = self.discriminator(inputs)
        return logits.to(self.dtype)

    def players(self) -> dict[str, Player]:
        """Discriminator and generator, with the moments of the paper."""
        betas = (0.5, 0.999)
        return {
            "discriminator": Player(self.discriminator.parameters(), betas=betas),
            "generator": Player(self.generator.parameters(), betas=betas),
        }

    def turns(self, step: Step) -> Iterator[Turn]:
        """The discriminator's turn, then the generator's on the same fakes."""
        x, y, _ = step.batch()
        y = self.condition(y)
        real = self._continuous(x, step.generator)
        fake = self.generate(len(x), y, step.generator)
        on_real = self.critic(real, y)
        on_fake = self.critic(fake.detach(), y)
        beliefs = {"D(x)": on_real.detach(), "D(G(z))": on_fake.detach()}
        terms = {name: logits.sigmoid().mean() for name, logits in beliefs.items()}
        yield Turn("discriminator", (softplus(-on_real) + softplus(on_fake)).mean(), terms)
        yield Turn("generator", softplus(-self.critic(fake, y)).mean())

    def _continuous(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Data in [-1, 1], levels spread uniformly over their share of it."""
        if self.spec.levels is None:
            return self.scale(x).view(-1, *self.grid)
        spread = x + torch.rand(x.shape, generator=generator, device=x.device, dtype=self.dtype)
        return (spread * (2 / self.spec.levels) - 1).view(-1, *self.grid)

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        x = self.generate(n, y, generator).view(n, *self.inner.shape)
        if self.spec.levels is None:
            return self.scale.inverse(x)
        return ((x + 1) * (self.spec.levels / 2)).floor().clamp(0, self.spec.levels - 1)
