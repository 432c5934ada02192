"""Families broken on purpose, one bug each, and the check that must catch it."""

import random
from dataclasses import dataclass, field
from typing import Any

import torch

from dalm.core import Generative, Player, Spec
from dalm.models import DCGAN, KDE, VAE, Discriminant, Gaussian, Histogram, PixelCNN
from dalm.options import option
from dalm.probability.kernels import Rows


@dataclass(frozen=True)
class Mutant:
    family: type[Generative]
    bug: str
    caught_by: str
    options: dict[str, Any] = field(default_factory=dict)


class Inflated(Gaussian):
    family = "inflated"

    def _log_prob(self, x, y, generator):
        return super()._log_prob(x, y, generator) + 0.01


class Bits(Gaussian):
    family = "bits"

    def _log_prob(self, x, y, generator):
        return super()._log_prob(x, y, generator) / 0.6931


class Wide(Gaussian):
    family = "wide"

    def _sample(self, n, y, generator):
        x = super()._sample(n, y, generator).float()
        return (
            (x + torch.randn(x.shape, generator=generator)).round().clamp(0, 2)
            if self.spec.levels
            else 1.2 * x
        )


class GlobalNoise(Gaussian):
    family = "global-noise"

    def _sample(self, n, y, generator):
        return super()._sample(n, y, None)


class Batched(Gaussian):
    family = "batched"

    def _log_prob(self, x, y, generator):
        scores = super()._log_prob(x, y, generator)
        return scores - 0.1 * (scores - scores.mean())


class Liar(Gaussian):
    family = "liar"
    ridge: float = option("never used", default=0.5)

    def setup(self) -> None:
        super().setup()
        self.ridge = 2 * self.ridge


class WrongShape(Gaussian):
    family = "wrong-shape"

    def _sample(self, n, y, generator):
        return super()._sample(n, y, generator).flatten(1)


class Forgetful(KDE):
    family = "forgetful"

    def passes(self, work):
        yield from super().passes(work)
        self.memory = self.rows
        self.rows = torch.zeros_like(self.rows)

    def _sample(self, n, y, generator):
        if hasattr(self, "memory"):
            self.rows = self.memory
        return super()._sample(n, y, generator)


class ClassBlind(KDE):
    family = "class-blind"

    def _sample(self, n, y, generator):
        return super()._sample(n, None, generator)


class UnevenPrior(Discriminant):
    family = "uneven-prior"

    def passes(self, work):
        super().passes(work)
        self.prior = self.prior * 1.01
        return ()


class Peeking(PixelCNN):
    family = "peeking"

    def params(self, x, y):
        params = super().params(x, y)
        return (
            params
            + self.preprocess(x.view(-1, *self.grid))[:, :1]
            * torch.linspace(-1, 1, params.shape[1])[:, None, None]
        )


class Frozen(PixelCNN):
    family = "frozen"

    def players(self):
        return {"model": Player(list(self.parameters())[1:])}


class Backwards(PixelCNN):
    family = "backwards"

    def turns(self, step):
        for turn in super().turns(step):
            yield turn._replace(loss=-turn.loss.clamp(max=3))


class FreeCode(VAE):
    family = "free-code"

    def bound(self, x, y, generator):
        mean, log_std = self.posterior(x, y)
        return self.log_likelihood(x, mean + 0 * log_std, y), torch.zeros(len(x))


class NoJacobian(VAE):
    family = "no-jacobian"

    def log_likelihood(self, x, z, y):
        return super().log_likelihood(x, z, y)

    def _volume(self, x):
        return torch.zeros(1)


class StaysInEvaluation(DCGAN):
    family = "stays-in-evaluation"

    def _sample(self, n, y, generator):
        x = super()._sample(n, y, generator)
        self.generator.add_module("late", torch.nn.Identity().eval())
        return x


class SlowLearner(Gaussian):
    family = "slow-learner"

    def predictor(self, n, y):
        predictor = super().predictor(n, y)
        predictor.weights = 0.9 * predictor.weights
        return predictor


class Crowded(Gaussian):
    family = "crowded"

    def predictor(self, n, y):
        predictor = super().predictor(n, y)
        predictor.std = predictor.std * (1 + n / 1e4)
        return predictor


class Careless(Gaussian):
    family = "careless"
    conditional: bool = option("never checked", default=False)

    def __init__(self, spec: Spec, **options: Any) -> None:
        asked = options.pop("conditional", False)
        super().__init__(spec, **options)
        self.conditional = asked
        self.register_buffer("prior", torch.ones(max(1, spec.classes)))


class Stubborn(VAE):
    family = "stubborn"

    def _importance_bound(self, x, y, samples, generator):
        return self._log_prob(x, y, generator)


class OneNoise(VAE):
    family = "one-noise"

    def bound(self, x, y, generator):
        mean, log_std = self.posterior(x, y)
        z = mean + log_std.exp() * torch.randn(1, self.latent, generator=generator)
        divergence = (mean.square() + (2 * log_std).exp() - 1).sum(1) / 2 - log_std.sum(1)
        return self.log_likelihood(x, z, y), divergence


class WrongClass(VAE):
    family = "wrong-class"

    def _sample(self, n, y, generator, options=None):
        return super()._sample(n, None if y is None else 1 - y, generator)


class Misshapen(VAE):
    family = "misshapen"

    @property
    def codes(self):
        return Spec((self.latent, 1))


class Blurred(VAE):
    family = "blurred"

    def _sample(self, n, y, generator, options=None):
        return super()._sample(n, y, generator).flip(-1)


class Absentminded(KDE):
    family = "absent-minded"

    def passes(self, work):
        work.memory.pop("diagonal", None)
        yield from super().passes(work)


class OffTheRecord(KDE):
    family = "off-the-record"
    tried = None

    def passes(self, work):
        self.tried = self.tried or []
        for terms in super().passes(work):
            self.tried.append(terms["bandwidth"])
            yield terms
        self.width.fill_(self.tried[0] if self.tried else 9.0)


class Overwriting(Histogram):
    family = "overwriting"

    def _complete(self, x, known, y, generator):
        return self._sample(len(x), y, generator)


class Unseeded(VAE):
    family = "unseeded"

    def turns(self, step):
        for turn in super().turns(step):
            yield turn._replace(loss=turn.loss * (1 + random.random()))


class InRawUnits(Gaussian):
    family = "in-raw-units"
    standardises = False


class ChargesConstants(KDE):
    family = "charges-constants"
    standardises = False


class LeavesOneCopyOut(KDE):
    family = "leaves-one-copy-out"

    def _remember(self, batch):
        super()._remember(batch)
        x = batch.x.flatten(1)
        rows = Rows(x, torch.zeros(len(x)).long(), torch.ones(len(x)).double())
        return rows, torch.arange(len(x))


class Impatient(Histogram):
    family = "impatient"

    def passes(self, work):
        half = len(work.train.x) // 2
        work.train = work.train._replace(x=work.train.x[:half])
        return super().passes(work)


TINY_VAE = {"latent": 2, "width": 16, "depth": 1, "samples": 16}
TINY_CNN = {"width": 8, "depth": 2}
MUTANTS = [
    Mutant(Inflated, "masses sum to 1.01", "mass_sums_to_one"),
    Mutant(Bits, "bits where nats are promised", "mass_sums_to_one"),
    Mutant(Wide, "samples are wider than the density", "samples_follow_the_mass"),
    Mutant(Wide, "samples are wider than the density", "density_integrates_to_one"),
    Mutant(GlobalNoise, "ignores the generator", "randomness_is_the_generators"),
    Mutant(Batched, "scores depend on the batch", "rows_are_scored_alone"),
    Mutant(Liar, "does not store its argument", "keeps_its_configuration"),
    Mutant(WrongShape, "samples are flat", "samples_are_valid"),
    Mutant(Forgetful, "part of its state is not a buffer", "survives_saving", {"bandwidth": 0.7}),
    Mutant(ClassBlind, "samples ignore the class", "samples_follow_the_mass", {"bandwidth": 0.7}),
    Mutant(UnevenPrior, "class frequencies do not sum to one", "classes_add_up"),
    Mutant(Peeking, "a pixel's conditional sees the pixel", "mass_sums_to_one", TINY_CNN),
    Mutant(Frozen, "a parameter is never trained", "every_parameter_learns", TINY_CNN),
    Mutant(Backwards, "climbs the loss", "learning_helps", TINY_CNN),
    Mutant(FreeCode, "the code costs nothing", "mass_sums_to_one", TINY_VAE),
    Mutant(NoJacobian, "density in scaled units", "density_integrates_to_one", TINY_VAE),
    Mutant(
        StaysInEvaluation,
        "leaves a part in evaluation mode",
        "leaves_no_trace",
        {"latent": 4, "width": 4},
    ),
    Mutant(
        SlowLearner,
        "predicts from too little of what it was told",
        "predictions_are_the_likelihood",
    ),
    Mutant(Crowded, "predictions depend on the batch", "archives_give_the_data_back"),
    Mutant(Stubborn, "more samples change nothing", "more_samples_tighten", TINY_VAE),
    Mutant(OneNoise, "one draw of noise for all rows", "noise_is_independent", TINY_VAE),
    Mutant(WrongClass, "samples of the other class", "samples_follow_the_bound", TINY_VAE),
    Mutant(Misshapen, "codes are not what it says", "codes_have_their_shape", TINY_VAE),
    Mutant(Blurred, "samples are mirrored", "samples_follow_the_bound", TINY_VAE),
    Mutant(Absentminded, "forgets what it tried", "passes_can_be_resumed"),
    Mutant(OffTheRecord, "remembers outside its buffers", "passes_can_be_resumed"),
    Mutant(Overwriting, "known entries are drawn anew", "known_entries_stay"),
    Mutant(Unseeded, "noise that no seed decides", "steps_repeat_themselves", TINY_VAE),
    Mutant(InRawUnits, "shrinks in raw units", "units_do_not_matter", {"estimate": "map"}),
    Mutant(ChargesConstants, "a density of constants", "a_constant_entry_does_not_matter"),
    Mutant(LeavesOneCopyOut, "copies shrink its bandwidth", "copies_change_little"),
    Mutant(Impatient, "learns from the first half of the rows", "order_does_not_matter"),
    Mutant(Careless, "accepts classes that the data do not have", "refuses_bad_input"),
]
