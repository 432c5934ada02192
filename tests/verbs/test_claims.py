"""Claims of likelihood: right ones are guarded, wrong ones named, and nothing said where too little
is known.
"""

from __future__ import annotations

import math

import pytest
import torch
from tiny import DIGITS
from torch import nn

from dalm.core import Density, Estimator
from dalm.data import load_data
from dalm.metrics import evaluate
from dalm.models import KDE, VAE, Copycat, Discriminant, Gaussian, Histogram, Noise
from dalm.testing.cases import learn
from dalm.verbs.claims import check_claim

BITS = load_data(torch.randint(2, (600, 6), generator=torch.Generator().manual_seed(0)).numpy())
SOURCES = {
    "levels": DIGITS,
    "few": BITS,
    **{name: load_data(name, n=1500) for name in ("moons", "ring8", "grid25")},
}


def taught(family, data):
    model = family(data.spec)
    learn(model, data.train.x, data.train.y, 0)
    return model


def more(model, factor):
    """The same model, whose likelihood claims more than it has."""

    class Cheat(type(model)):
        family = f"cheat-{model.family}"

        def _log_prob(self, x, y, generator):
            return super()._log_prob(x, y, generator) + math.log(factor)

    cheat = Cheat.__new__(Cheat)
    cheat.__dict__ = model.__dict__
    return cheat


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("family", [Gaussian, KDE, Histogram, Noise])
def test_honest_claims_are_never_impossible(source, family):
    data = SOURCES[source]
    if family is Noise or source in ("levels", "few", "moons"):
        assert check_claim(taught(family, data), data).status == "guarded"
    else:
        assert check_claim(taught(family, data), data).status != "impossible"


@pytest.mark.parametrize(
    ("source", "family", "factor"),
    [
        ("few", Histogram, 1.05),
        ("moons", Gaussian, 1.1),
        ("moons", KDE, 1.5),
        ("ring8", Gaussian, 1.1),
        ("levels", Histogram, 2.0),  # a bit of the 150 that an image costs
        ("levels", Discriminant, 4.0),
    ],
)
def test_what_claims_more_is_named(source, family, factor):
    data = SOURCES[source]
    assert check_claim(more(taught(family, data), factor), data).status == "impossible"


def test_rows_that_a_file_makes_cheaper_do_not_hide_what_claims_more():
    """Noise costs more than 24 bits an entry; a file spares more of it than the cheat adds."""
    kept = DIGITS.test.x[:100]
    noise = torch.randint(17, kept.shape, generator=torch.Generator().manual_seed(0))
    test = torch.stack([kept, noise.to(kept)], 1).flatten(0, 1)
    parts = {"x_train": DIGITS.train.x, "x_val": kept, "x_test": test}
    data = load_data({name: x.numpy() for name, x in parts.items()}, levels=17)
    model = taught(Gaussian, data)
    assert check_claim(model, data).status == "guarded"
    assert check_claim(more(model, math.exp(20)), data).status == "impossible"


def normal(dims):
    generator = torch.Generator().manual_seed(dims)
    x, mix = (torch.randn(n, dims, generator=generator).double() for n in (1500, dims))
    return load_data((x @ mix).numpy())


@pytest.mark.parametrize(
    ("dims", "family", "nats"),
    [(4, KDE, 0.1), (16, Gaussian, 0.1), (16, Histogram, 0.2), (64, Gaussian, 0.3)],
)
def test_in_many_dimensions_a_claim_is_guarded_or_named(dims, family, nats):
    data = normal(dims)
    model = taught(family, data)
    assert check_claim(model, data).status == "guarded"
    assert check_claim(more(model, math.exp(nats)), data).status == "impossible"


def test_where_no_density_is_near_enough_a_claim_is_unchecked():
    data = normal(64)
    model = taught(KDE, data)
    for factor in (1.0, 2.0):
        checked = check_claim(more(model, factor), data)
        assert checked.status == "unchecked"
        assert "draws count" in checked.how


@pytest.mark.parametrize("dims", [16, 40])
def test_levels_without_tables_are_checked_by_importance(dims):
    generator = torch.Generator().manual_seed(dims)
    data = load_data((torch.rand(2000, dims, generator=generator) < 0.2).byte().numpy())
    model = Untabled(data.spec)
    learn(model, data.train.x, None, 0)
    assert check_claim(model, data).status == "guarded"
    assert check_claim(more(model, 1.2), data).status == "impossible"


class Untabled(Density, Estimator):
    """Independent bits that state no conditionals."""

    family = "untabled"
    year = 2026
    paper = "this test"
    likelihood = "exact"

    def setup(self):
        self.chance = nn.Buffer(torch.full((self.spec.dims,), 0.5))

    def passes(self, work):
        self.chance = work.train.x.float().mean(0)
        return ()

    def _log_prob(self, x, y, generator):
        return torch.distributions.Bernoulli(self.chance).log_prob(x.float()).sum(1)

    def _sample(self, n, y, generator):
        return torch.bernoulli(self.chance.expand(n, -1), generator=generator)


def test_what_has_no_likelihood_claims_nothing():
    assert check_claim(Copycat(DIGITS.spec), DIGITS) is None


PLANE = load_data("moons", n=1500)
BOUNDS = {"levels": DIGITS, "few": BITS, "plane": PLANE}


def bound(source):
    """A little trained, from a fixed start."""
    data = BOUNDS[source]
    torch.manual_seed(0)
    model = VAE(data.spec, latent=2, width=16, net="mlp")
    learn(model, data.train.x, data.train.y, 30)
    return model


@pytest.mark.parametrize("source", BOUNDS)
def test_an_honest_bound_is_guarded(source):
    assert check_claim(bound(source), BOUNDS[source]).status == "guarded"


@pytest.mark.parametrize("what", ["log_prob", "importance", "both"])
@pytest.mark.parametrize(("source", "nats"), [("levels", 6.0), ("few", 0.3), ("plane", 0.5)])
def test_a_bound_that_claims_more_is_named(source, nats, what):
    class Cheat(VAE):
        family = "cheat-vae"

        def _log_prob(self, x, y, generator):
            return super()._log_prob(x, y, generator) + nats * (what != "importance")

        def _importance_bound(self, x, y, samples, generator):
            tighter = super()._importance_bound(x, y, samples, generator)
            return tighter + nats * (what != "log_prob")

    cheat = Cheat.__new__(Cheat)
    cheat.__dict__ = bound(source).__dict__
    assert check_claim(cheat, BOUNDS[source]).status == "impossible"


def test_an_impossible_claim_is_flagged_and_not_ranked():
    data = SOURCES["moons"]
    cheat = more(taught(Gaussian, data), 1.5)
    [score] = evaluate(
        None,
        data.train.x,
        data.test.x,
        data.spec,
        model=cheat,
        checked=check_claim(cheat, data),
    )
    assert (score.flag, score.checked) == ("impossible", "impossible")
    assert "by importance it sums to 1.4" in score.unranked


def test_a_probability_above_one_is_flagged():
    cheat = more(taught(Histogram, BITS), math.exp(100))
    [score] = evaluate(None, BITS.train.x, BITS.test.x, BITS.spec, model=cheat)
    assert score.flag == "impossible"
    assert "above 1" in score.unranked


def test_densities_of_recorded_numbers_are_shown_and_not_ranked():
    x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0)).mul(3).round().double()
    data = load_data(x.numpy() / 7)
    assert data.recorded
    model = taught(Gaussian, data)
    [score] = evaluate(
        None, data.train.x, data.test.x, data.spec, model=model, recorded=data.recorded
    )
    assert score.value is not None
    assert "recorded with a step" in score.unranked
