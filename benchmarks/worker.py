"""Fits a family in a process of its own, which another benchmark kills or starts twice.

    python benchmarks/worker.py trio digits --steps 300 --out runs/trio

Beside those of dalm it knows two families that the package does not have: `trio`, with three
players, and `em-mixture`, an estimator that makes a pass for each step. An existing folder is
resumed.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import dalm  # before torch: it chooses how OpenMP threads wait

import torch  # isort: skip
from torch import Tensor, nn
from torch.nn import functional as F

from dalm.core import Density, Estimator, Learner, Player, Recipe, Step, Turn, Work
from dalm.nn import Standardise, mlp
from dalm.options import option
from dalm.train import Listener, Session, fit
from dalm.train.step import Played
from dalm.verbs.models import make


class Trio(Learner):
    """A GAN with an encoder that learns to tell the noise behind a sample."""

    family = "trio"
    year = 2026
    paper = "this benchmark; an encoder as in Chen et al. 2016, InfoGAN"
    recipe = Recipe(lr=2e-3, batch_size=64, clip=0.0, ema=0.99, schedule="constant")
    units = {"loss": "nats/image"}
    latent: int = option("dimension of the noise", default=8, at_least=1)

    def setup(self) -> None:
        """Three perceptrons."""
        dims = self.spec.dims
        self.scale = Standardise(self.spec)
        self.generator = mlp([self.latent, 64, dims])
        self.critic = mlp([dims, 64, 1])
        self.encoder = mlp([dims, 64, self.latent])

    def players(self) -> dict[str, Player]:
        """Each perceptron is a player, with settings of its own."""
        return {
            "critic": Player(self.critic.parameters(), betas=(0.5, 0.9)),
            "generator": Player(self.generator.parameters(), lr=0.5, ema=0.9),
            "encoder": Player(self.encoder.parameters(), optimiser="SGD", betas=None, lr=5.0),
        }

    def turns(self, step: Step) -> Iterator[Turn]:
        """Critic, generator, encoder, on the same noise."""
        real = self.scale(step.batch().x).flatten(1)
        z = torch.randn(len(real), self.latent, generator=step.generator, device=self.device)
        fake = self.generator(z)
        losses = F.softplus(-self.critic(real)) + F.softplus(self.critic(fake.detach()))
        yield Turn("critic", losses.mean())
        yield Turn("generator", F.softplus(-self.critic(fake)).mean())
        yield Turn("encoder", (self.encoder(fake.detach()) - z).square().mean())

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        z = torch.randn(n, self.latent, generator=generator, device=self.device)
        x = self.scale.inverse(self.generator(z)).view(n, *self.spec.shape)
        return x.round().clamp(0, (self.spec.levels or 1) - 1)


class EMMixture(Density, Estimator):
    """A mixture of products of levels, by EM (Dempster, Laird & Rubin 1977)."""

    family = "em-mixture"
    year = 1977
    paper = "Dempster, Laird & Rubin, Maximum likelihood from incomplete data"
    likelihood = "exact"
    units = {"log likelihood": "nats/datum"}
    components: int = option("how many", default=100, at_least=1)

    def setup(self) -> None:
        """Begin with all components alike."""
        shape = (self.components, self.spec.dims, self.spec.levels or 1)
        shares = torch.full((self.components,), 1 / self.components, dtype=torch.float64)
        self.shares: Tensor = nn.Buffer(shares)
        self.levels: Tensor = nn.Buffer(torch.full(shape, 1 / shape[2], dtype=torch.float64))

    def passes(self, work: Work) -> Iterator[Mapping[str, float]]:
        """A pass of EM each; it ends when the caller has had enough."""
        x = self._one_hot(work.train.x)
        if not work.number:
            noise = torch.rand(self.levels.shape, generator=work.generator, dtype=torch.float64)
            self.levels = (noise + 1) / (noise + 1).sum(2, keepdim=True)
        while True:
            joint = self._joint(x)
            total = joint.logsumexp(1)
            weights = (joint - total[:, None]).exp()
            self.shares = weights.mean(0)
            counts = torch.einsum("nk,ndl->kdl", weights, x) + 0.1
            self.levels = counts / counts.sum(2, keepdim=True)
            yield {"log likelihood": total.mean().item()}

    def _one_hot(self, x: Tensor) -> Tensor:
        return F.one_hot(x.flatten(1).long(), self.spec.levels or 1).double()

    def _joint(self, x: Tensor) -> Tensor:
        return torch.einsum("ndl,kdl->nk", x, self.levels.log()) + self.shares.log()

    def _log_prob(self, x: Tensor, y: Tensor | None, generator: torch.Generator) -> Tensor:
        return self._joint(self._one_hot(x)).logsumexp(1)

    def _sample(self, n: int, y: Tensor | None, generator: torch.Generator | None) -> Tensor:
        which = torch.multinomial(self.shares, n, replacement=True, generator=generator)
        chances = self.levels[which].flatten(0, 1)
        return torch.multinomial(chances, 1, generator=generator).view(n, *self.spec.shape)


class Losses(Listener):
    """Keeps the losses of every step.

    Args:
        path: where they are written.
    """

    name = "losses"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.losses: list[dict[str, float]] = []

    def on_step(self, session: Session, played: Sequence[Played]) -> None:
        """Read them, though that waits for the accelerator."""
        self.losses.append({turn.player: turn.loss.item() for turn in played})

    def on_end(self, session: Session, outcome: str) -> None:
        """Write them."""
        assert all(math.isfinite(loss) for losses in self.losses for loss in losses.values())
        self.path.write_text(json.dumps(self.losses))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family")
    parser.add_argument("data")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--checkpoint", type=float, default=30.0)
    parser.add_argument("--shards", type=int, default=None)
    parser.add_argument("--precision", default=None)
    parser.add_argument("--losses", type=Path, default=None)
    options = parser.parse_args()
    data = dalm.load_data(options.data)
    model = make(options.family, data, 0)
    fit(
        model,
        data,
        out=options.out,
        resume=True,
        progress=False,
        device="cpu",
        steps=options.steps,
        checkpoint=options.checkpoint,
        shards=options.shards,
        precision=options.precision,
        listeners=[Losses(options.losses)] if options.losses else [],
    )


if __name__ == "__main__":
    main()
