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

from typing import final

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from dalm.core import Learner, Loss, Recipe, Spec, within
from dalm.errors import DalmError
from dalm.nn import Standardise, concat_condition, image_grid, one_hot, pyramid_sizes


def initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02²), as in the paper."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


@final
class DCGAN(Learner):
    """Convolutional generator and discriminator.

    Args:
        spec: what one datum is: an image of at least 4 × 4.
        conditional: learn P(x|y) for each class, by labels beside the inputs of both players (Mirza
            & Osindero 2014).
        latent: dimension of z.
        width: channels at full size.

    >>> DCGAN(Spec((1, 8, 8), levels=17), latent=8, width=8).sample(3).shape
    torch.Size([3, 1, 8, 8])
    """

    family = "dcgan"
    year = 2016
    paper = "Radford et al., Unsupervised representation learning with DCGANs"
    recipe = Recipe(
        lr=2e-4,
        betas=(0.5, 0.999),
        batch_size=64,
        clip=0.0,
        ema=0.99,
        schedule="constant",
        precision="bfloat16",
    )

    def __init__(
        self, spec: Spec, conditional: bool = False, latent: int = 64, width: int = 16
    ) -> None:
        super().__init__(spec, conditional)
        self.latent = latent
        self.width = width
        within(self.family, 1, latent=latent, width=width)
        channels, height, columns = image_grid(spec, self.family)
        if min(height, columns) < 4:
            raise DalmError(f"dcgan needs images of at least 4 × 4, got shape {spec.shape}")
        classes = spec.classes if conditional else 0
        sizes = pyramid_sizes(height, columns)
        self.grid = (channels, height, columns)
        self.sizes = sizes
        self.scale = Standardise(spec)
        self.generator = self._generator(channels, classes)
        self.discriminator = self._discriminator(channels, classes)
        self.apply(initialise)

    def _generator(self, channels: int, classes: int) -> nn.Sequential:
        """Noise (B, latent + classes, 1, 1) to images in (-1, 1), perhaps larger than asked."""
        top = len(self.sizes) - 1
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(self.latent + classes, self.width << top, self.sizes[-1], bias=False)
        ]
        for k in reversed(range(top)):
            wide = self.width << (k + 1)
            layers += [
                nn.BatchNorm2d(wide),
                nn.ReLU(),
                nn.ConvTranspose2d(wide, wide // 2, 4, 2, 1, bias=False),
            ]
        return nn.Sequential(
            *layers,
            nn.BatchNorm2d(self.width),
            nn.ReLU(),
            nn.ConvTranspose2d(self.width, channels, 3, 1, 1),
            nn.Tanh(),
        )

    def _discriminator(self, channels: int, classes: int) -> nn.Sequential:
        """Images (B, channels + classes, H, W) to logits (B, 1)."""
        layers: list[nn.Module] = [
            nn.Conv2d(channels + classes, self.width, 3, 1, 1),
            nn.LeakyReLU(0.2),
        ]
        for k in range(len(self.sizes) - 1):
            wide = self.width << (k + 1)
            layers += [
                nn.Conv2d(wide // 2, wide, 3, 2, 1, bias=False),
                nn.BatchNorm2d(wide),
                nn.LeakyReLU(0.2),
            ]
        return nn.Sequential(
            *layers, nn.Conv2d(self.width << (len(self.sizes) - 1), 1, self.sizes[-1]), nn.Flatten()
        )

    def adapt(self, x: Tensor, y: Tensor | None) -> None:
        """Take class frequencies, and the range of real data."""
        super().adapt(x, y)
        if self.spec.levels is None:
            low = x.amin(0)
            high = x.amax(0)
            self.scale.shift = ((low + high) / 2).to(self.scale.shift)
            self.scale.unit = ((high - low) / 2).clamp_min(1e-6).to(self.scale.unit)

    def generate(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """Fakes in (-1, 1), (n, C, H, W)."""
        z = torch.randn(n, self.latent, generator=generator, device=self.device, dtype=self.dtype)
        images: Tensor = self.generator(
            concat_condition(z, one_hot(y, self.spec.classes, z))[:, :, None, None]
        )
        return images[:, :, : self.grid[1], : self.grid[2]]

    def critic(self, images: Tensor, y: Tensor | None) -> Tensor:
        """Logit of being real, (B, 1)."""
        logits: Tensor = self.discriminator(
            concat_condition(images, one_hot(y, self.spec.classes, images))
        )
        return logits.to(self.dtype)

    def losses(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> list[Loss]:
        """Nats per image of the discriminator and of the generator, in this order."""
        real = self._continuous(x, generator)
        fake = self.generate(len(x), y, generator)

        def discriminate() -> Tensor:
            return (
                softplus(-self.critic(real, y)) + softplus(self.critic(fake.detach(), y))
            ).mean()

        def generator_loss() -> Tensor:
            return softplus(-self.critic(fake, y)).mean()

        return [
            (list(self.discriminator.parameters()), discriminate),
            (list(self.generator.parameters()), generator_loss),
        ]

    def _continuous(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Data in [-1, 1], levels spread uniformly over their share of it."""
        if self.spec.levels is None:
            return self.scale(x).view(-1, *self.grid)
        spread = x + torch.rand(x.shape, generator=generator, device=x.device, dtype=self.dtype)
        return (spread * (2 / self.spec.levels) - 1).view(-1, *self.grid)

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        x = self.generate(n, y, generator).view(n, *self.spec.shape)
        if self.spec.levels is None:
            return self.scale.inverse(x)
        return ((x + 1) * (self.spec.levels / 2)).floor().clamp(0, self.spec.levels - 1)
