"""What every family with a likelihood must satisfy: masses, densities, frequencies.

Statistical checks fix their seeds and fail a right family with probability below 1e-5 each.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dalm.core import Bound, Density, Generative, Spec
from dalm.testing.cases import REAL, TINY, TestCase, everything, examples
from dalm.testing.general import as_double, generator_of

CLOSE = 1e-6
SIGMAS = 5.0
NOISES = 32
"""Seeds over which a stochastic bound is averaged."""
RARE = 5
"""What a cell of a chi-squared test must expect."""


def mass_sums_to_one(case: TestCase) -> None:
    """The probabilities of all data sum to one; of a bound, those of its mean over noise, to one at
    most.
    """
    x = everything(TINY)
    model = _density(case, TINY)
    nats = _expected(model, x)
    _assert_sum(model.likelihood, nats)
    assert nats.max() <= 0, "a probability exceeds one"
    if case.takes_classes:
        conditional = _density(case, TINY, conditional=True)
        for k in range(TINY.classes):
            _assert_sum(conditional.likelihood, _expected(conditional, x, k))


def _expected(model: Density, x: Tensor, y: int | None = None) -> Tensor:
    """Log probabilities; those of a stochastic bound in the mean over its noise."""
    if model.likelihood == "exact":
        return model.log_prob(x, y)
    draws = [model.log_prob(x, y, generator_of(seed)) for seed in range(NOISES)]
    return torch.stack(draws).mean(0)


def learning_helps(case: TestCase) -> None:
    """A model that has learned gives other data of the same kind more probability."""
    x, _ = examples(TINY, seed=9)
    new = case.make(TINY).double()
    trained = _density(case, TINY)
    assert isinstance(new, Density)
    assert trained.log_prob(x).mean() > new.log_prob(x).mean(), (
        "learning made held-out data less probable"
    )


def samples_follow_the_mass(case: TestCase) -> None:
    """Samples occur as often as their probability says (chi-squared test), for each class too."""
    model = _density(case, TINY)
    _assert_frequencies(
        model.sample(8000, generator=generator_of()), model.log_prob(everything(TINY))
    )
    if case.takes_classes:
        conditional = _density(case, TINY, conditional=True)
        for k in range(TINY.classes):
            _assert_frequencies(
                conditional.sample(8000, k, generator_of()),
                conditional.log_prob(everything(TINY), k),
            )


def density_integrates_to_one(case: TestCase) -> None:
    """E over own samples of q(x) / p(x) is 1 for a normalised q that the model covers; for a bound
    at least 1; in one, two and three dimensions, and for each class.
    """
    for spec in REAL:
        if not case.suits(spec):
            continue
        _assert_integral(_density(case, spec), spec)
        if case.takes_classes:
            conditional = _density(case, spec, conditional=True)
            for k in range(spec.classes):
                _assert_integral(conditional, spec, k)


def _assert_integral(model: Density, spec: Spec, y: int | None = None) -> None:
    x = as_double(model.sample(20_000, y, generator_of()))
    flat = x.flatten(1)
    q = torch.distributions.Normal(flat.mean(0), flat.std(0) / 3)
    ratio = (q.log_prob(flat).sum(1) - model.log_prob(x, y)).exp()
    mean = ratio.mean().item()
    error = ratio.std().item() / math.sqrt(len(ratio))
    assert error < 0.1, f"the check is too weak here: standard error {error:.3g}"
    exact = model.likelihood == "exact"
    low = 1 - SIGMAS * error
    high = 1 + SIGMAS * error if exact else math.inf
    assert low <= mean <= high, (
        f"E q/p over own samples of shape {spec.shape} is {mean:.4f}, expected "
        f"{'1' if exact else '≥ 1'} ± {error:.4f}"
    )


def rows_are_scored_alone(case: TestCase) -> None:
    """A datum's log probability does not depend on what else is in the batch."""
    model = _density(case, case.discrete)
    x, _ = examples(case.discrete, 6)
    together = model.log_prob(x)
    alone = torch.cat([model.log_prob(row[None]) for row in x])
    assert together.shape == (6,), f"6 data gave log probabilities of shape {tuple(together.shape)}"
    assert torch.allclose(together, alone, atol=1e-9), (
        f"batched and single rows differ by {(together - alone).abs().max():.3g} nats"
    )


def classes_add_up(case: TestCase) -> None:
    """Without a label, a conditional model is the mixture over its classes, and classifies by
    Bayes' rule.
    """
    model = _density(case, TINY, conditional=True)
    x = everything(TINY)
    joint = model.class_log_probs(x)
    assert joint.shape == (81, TINY.classes), f"class_log_probs has shape {tuple(joint.shape)}"
    _assert_sum(model.likelihood, joint.flatten())
    assert torch.allclose(joint.logsumexp(1), model.log_prob(x), atol=1e-9), (
        "log_prob(x) is not the sum over classes"
    )
    assert torch.equal(model.classify(x), joint.argmax(1)), "classify does not follow Bayes' rule"
    _, y = examples(TINY)
    assert torch.allclose(model.prior, (torch.bincount(y) / len(y)).to(model.prior), atol=1e-6), (
        "the prior is not the class frequencies"
    )


def more_samples_tighten(case: TestCase) -> None:
    """The importance bound rises with its samples, stays a bound, and begins at the plain one."""
    model = case.trained(TINY)
    assert isinstance(model, Bound)
    x = everything(TINY)
    with torch.no_grad():
        plain = _expected(model, x)
    draws = [model.importance_bound(x, None, 8, generator_of(seed)) for seed in range(NOISES)]
    few = torch.stack(draws).mean(1)
    many = model.importance_bound(x, samples=512, generator=generator_of())
    error = few.std().item() / math.sqrt(NOISES)
    assert few.mean() > plain.mean() - SIGMAS * error, "eight samples are worse than one"
    assert many.mean() > few.mean() - SIGMAS * error, "512 samples are worse than 8"
    assert many.mean() > plain.mean() + error, "512 samples are no better than one"
    total = many.exp().sum().item()
    assert abs(total - 1) < 0.02, f"with 512 samples all masses sum to {total:.4f}"


def samples_follow_the_bound(case: TestCase) -> None:
    """With many importance samples a bound says how often data are drawn, of each class too."""
    _assert_drawn(case.trained(TINY))
    if case.takes_classes:
        for k in range(TINY.classes):
            _assert_drawn(case.trained(TINY, conditional=True), k)


def _assert_drawn(model: Generative, y: int | None = None) -> None:
    assert isinstance(model, Bound)
    nats = model.importance_bound(everything(TINY), y, 2000, generator_of())
    _assert_frequencies(model.sample(8000, y, generator_of()), nats - nats.logsumexp(0))


def noise_is_independent(case: TestCase) -> None:
    """Equal rows of one batch get noise of their own, and the same call the same noise."""
    model = _density(case, case.discrete)
    x, _ = examples(case.discrete, 1)
    rows = x.expand(20, *x.shape[1:])
    nats = model.log_prob(rows)
    assert len(nats.unique()) == 20, "equal rows share the noise of a bound"
    assert torch.equal(nats, model.log_prob(rows)), "the same call gave another bound"


def _density(case: TestCase, spec: Spec, conditional: bool = False) -> Density:
    model = case.trained(spec, conditional)
    assert isinstance(model, Density)
    return model.requires_grad_(False)


def _assert_sum(likelihood: str, nats: Tensor) -> None:
    total = nats.double().exp().sum().item()
    if likelihood == "exact":
        assert abs(total - 1) <= CLOSE, f"all masses sum to {total:.9f}, not to 1"
    else:
        assert total <= 1 + CLOSE, f"all masses of a bound sum to {total:.9f}, more than 1"


def _assert_frequencies(x: Tensor, nats: Tensor) -> None:
    """Chi-squared of tiny data against the log probabilities of all of them."""
    place = TINY.levels ** torch.arange(TINY.dims - 1, -1, -1)  # type: ignore[operator]
    counts = torch.bincount((x.flatten(1).long() * place).sum(1), minlength=len(nats))
    assert_counts(counts, nats.double().exp())


def assert_counts(counts: Tensor, chances: Tensor) -> None:
    """Chi-squared of counts against probabilities, rare cells pooled until five are expected.

    Args:
        counts: of each cell.
        chances: of each cell, in all one.
    """
    expected = chances * counts.sum()
    order = expected.argsort()
    pooled = int((expected[order].cumsum(0) < RARE).sum()) + 1
    rare = order[:pooled]
    often = order[pooled:]
    found = torch.cat([counts[often], counts[rare].sum()[None]]).double()
    wanted = torch.cat([expected[often], expected[rare].sum()[None]])
    statistic = ((found - wanted).square() / wanted).sum().item()
    freedom = len(found) - 1
    spread = 2 / (9 * max(1, freedom))
    limit = freedom * (1 - spread + 4.5 * math.sqrt(spread)) ** 3  # Wilson & Hilferty 1931
    assert statistic <= limit, (
        f"samples do not follow their probabilities: chi-squared {statistic:.1f} at {freedom} "
        f"degrees of freedom, limit {limit:.1f}"
    )
