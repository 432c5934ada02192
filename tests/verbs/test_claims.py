"""Claims of likelihood: right ones are guarded, wrong ones named, and nothing said where too little
is known.
"""

from __future__ import annotations

import math

import pytest
import torch
from tiny import DIGITS

from dalm.data import load_data
from dalm.metrics import evaluate
from dalm.models import KDE, VAE, Discriminant, Gaussian, Histogram, Noise
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
        ("levels", Histogram, 2.0**32),  # four bits of 64 pixels
        ("levels", Discriminant, 2.0**32),
    ],
)
def test_what_claims_more_is_named(source, family, factor):
    data = SOURCES[source]
    assert check_claim(more(taught(family, data), factor), data).status == "impossible"


def test_a_bound_makes_no_exact_claim():
    assert check_claim(VAE(DIGITS.spec, latent=2, width=8, net="mlp"), DIGITS) is None


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
    assert "integrates to 1.4" in score.unranked


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
