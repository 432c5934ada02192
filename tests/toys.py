"""Toy families, each the smallest that uses one part of the contract."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import nn

from dalm.core import (
    Batch,
    Density,
    Estimator,
    Generative,
    Latent,
    Learner,
    Player,
    Recipe,
    Stage,
    Turn,
)
from dalm.data import load_data
from dalm.options import option

MOONS = load_data("moons", n=200)
BOX = 0.1
"""Largest weight of the critic of `Duel`."""


class Mean(Density, Learner):
    """Learns the mean of each entry."""

    family = "test-mean"
    year = 2026
    paper = "this test"
    likelihood = "exact"
    recipe = Recipe(lr=0.1, batch_size=8, ema=0.0, clip=0.0, schedule="constant")
    units = {"loss": "squared units"}

    def setup(self):
        self.mean = nn.Parameter(torch.zeros(self.spec.dims))

    def loss(self, x):
        return (self.mean - x.flatten(1).float()).square().mean()

    def turns(self, step):
        yield Turn("model", self.loss(step.batch().x))

    def _log_prob(self, x, y, generator):
        return -(self.mean - x.flatten(1).float()).square().sum(1)

    def _sample(self, n, y, generator):
        x = self.mean.detach().repeat(n, 1).view(n, *self.spec.shape)
        return x if self.spec.levels is None else x.round().clamp(0, self.spec.levels - 1)


class Fragile(Mean):
    """Meets a number that is none at step `at`."""

    family = "test-fragile"
    at: int = option("the step that fails", default=13)
    how: Literal["loss", "infinite", "gradient"] = option("what is no number", default="loss")

    def turns(self, step):
        loss = self.loss(step.batch().x)
        if step.number + 1 == self.at:
            loss = self._broken(loss)
        yield Turn("model", loss)

    def _broken(self, loss):
        if self.how == "gradient":
            return loss + (0 * self.mean.sum()).sqrt()  # 0 forwards, 0 · ∞ backwards
        return loss * {"loss": math.nan, "infinite": math.inf}[self.how]


class Streamed(Mean):
    """Pulled to labelled rows at every other step, and to unlabelled ones twice at each."""

    family = "test-streamed"

    def turns(self, step):
        loss = self.loss(step.batch("unlabelled").x) + self.loss(step.batch("unlabelled").x)
        if step.number % 2 == 0:
            loss = loss + self.loss(step.batch("labelled").x)
        yield Turn("model", loss)


class Duel(Learner):
    """A critic with clipped weights plays several rounds before the generator's one (WGAN)."""

    family = "test-duel"
    year = 2017
    paper = "Arjovsky et al., Wasserstein GAN"
    recipe = Recipe(lr=0.05, batch_size=8, ema=0.0, clip=0.0, schedule="constant")
    units = {"loss": "units", "distance": "units"}
    rounds: int = option("the critic's turns in a step", default=3, at_least=1)

    def setup(self):
        self.critic = nn.Linear(self.spec.dims, 1)
        self.generator = nn.Linear(2, self.spec.dims)

    def players(self):
        return {
            "critic": Player(
                self.critic.parameters(), optimiser="SGD", betas=None, lr=2.0, clip=0.5
            ),
            "generator": Player(
                self.generator.parameters(), betas=(0.5, 0.9), ema=0.9, weight_decay=0.1
            ),
        }

    def turns(self, step):
        for _ in range(self.rounds):
            x, _, _ = step.batch()
            fake = self._sample(len(x), None, step.generator)
            gap = self.critic(x).mean() - self.critic(fake.detach()).mean()
            yield Turn("critic", -gap, {"distance": gap})
            self.clip_weights()
        yield Turn("generator", -self.critic(fake).mean())

    @torch.no_grad()
    def clip_weights(self):
        for parameter in self.critic.parameters():
            parameter.clamp_(-BOX, BOX)

    def _sample(self, n, y, generator):
        return self.generator(torch.randn(n, 2, generator=generator, device=self.device))


class Mixture(Density, Estimator):
    """Mixture of unit normals by expectation and maximisation (Dempster et al. 1977)."""

    family = "test-mixture"
    year = 1977
    paper = "Dempster et al., Maximum likelihood from incomplete data via the EM algorithm"
    likelihood = "exact"
    units = {"log-likelihood": "nats/datum"}
    components: int = option("normals", default=4, at_least=1)
    tolerance: float = option("least gain of a pass, in nats", default=1e-9, at_least=0)

    def setup(self):
        self.means = nn.Buffer(torch.zeros(self.components, self.spec.dims))
        self.shares = nn.Buffer(torch.full((self.components,), 1 / self.components))

    def passes(self, work):
        x = work.train.x.flatten(1).to(self.means)
        if not work.number:
            order = torch.randperm(len(x), generator=work.generator)
            self.means = x[order[: self.components]]
        while True:
            before = work.memory.get("log-likelihood", torch.tensor(-math.inf))
            now = self._improve(x)
            work.memory["log-likelihood"] = now
            yield {"log-likelihood": now.item()}
            if now - before < self.tolerance:
                return

    def _improve(self, x):
        """One pass; returns the mean log likelihood before it."""
        joint = self._joint(x)
        weights = joint.softmax(1)
        self.means = weights.T @ x / weights.sum(0)[:, None]
        self.shares = weights.mean(0)
        return joint.logsumexp(1).mean()

    def _joint(self, x):
        distances = (x[:, None] - self.means).square().sum(2)
        constant = self.spec.dims / 2 * math.log(2 * math.pi)
        return self.shares.log() - distances / 2 - constant

    def _log_prob(self, x, y, generator):
        return self._joint(x.flatten(1).to(self.means)).logsumexp(1)

    def _sample(self, n, y, generator):
        index = torch.multinomial(self.shares, n, replacement=True, generator=generator)
        noise = torch.randn(n, self.spec.dims, generator=generator)
        return (self.means[index] + noise).view(n, *self.spec.shape)


class Coded(Latent):
    """Codes data by one family, then learns the codes by another, a stage for each."""

    family = "test-coded"
    year = 2017
    paper = "van den Oord et al., Neural discrete representation learning"
    coder: Generative = option("what codes")
    prior_of_codes: Generative = option("a family built for its codes")

    def stages(self):
        return (
            Stage("codes", self.coder),
            Stage("prior", self.prior_of_codes, self._see),
        )

    def _see(self, batch):
        with torch.no_grad():
            return Batch(self.coder.encode(batch.x))

    @property
    def codes(self):
        return self.coder.codes

    def _encode(self, x, y):
        return self.coder.encode(x)

    def _decode(self, z, y):
        return self.coder.decode(z)

    def _sample(self, n, y, generator):
        return self.coder.decode(self.prior_of_codes.sample(n, generator=generator))
