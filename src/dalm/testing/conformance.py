"""What every family must satisfy, chosen by what it says it can do.

Statistical checks fix their seeds and fail a right family with probability below 1e-5 each.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from dalm.core import (
    Autoregressive,
    Bound,
    Density,
    Latent,
    Learner,
    Spec,
    Variational,
    build,
    config,
    restore,
    signature,
)
from dalm.errors import DalmError
from dalm.testing.coding import archives_give_the_data_back, predictions_are_the_likelihood
from dalm.testing.subject import PLANE, TINY, TestCase, everything, examples

CLOSE = 1e-6
SIGMAS = 5.0


@dataclass(frozen=True)
class Check:
    """One check of one family; call it, and it raises AssertionError with what was expected and
    what was found.
    """

    name: str
    run: Callable[[TestCase], None]
    subject: TestCase

    def __call__(self) -> None:
        """Run it."""
        self.run(self.subject)


def checks(subject: TestCase) -> list[Check]:
    """The checks that apply to a family, by its capabilities and by the Specs that it takes."""
    family = subject.family
    chosen = [
        keeps_its_configuration,
        samples_are_valid,
        randomness_is_the_generators,
        survives_saving,
        leaves_no_trace,
        refuses_bad_input,
    ]
    if issubclass(family, Learner):
        chosen += [every_parameter_learns]
    if issubclass(family, Latent):
        chosen += [codes_have_their_shape]
    if issubclass(family, Density):
        chosen += [rows_are_scored_alone] if family.likelihood == "exact" else []
        chosen += [mass_sums_to_one, learning_helps] if subject.suits(TINY) else []
        chosen += (
            [samples_follow_the_mass]
            if subject.suits(TINY) and family.likelihood == "exact"
            else []
        )
        chosen += [density_integrates_to_one] if subject.suits(PLANE) else []
        chosen += [classes_add_up] if subject.takes_classes and subject.suits(TINY) else []
    if issubclass(family, Bound):
        chosen += [more_samples_tighten]
    if issubclass(family, Autoregressive):
        chosen += [predictions_are_the_likelihood]
    if issubclass(family, Autoregressive | Variational):
        chosen += [archives_give_the_data_back]
    return [Check(check.__name__, check, subject) for check in chosen]


def keeps_its_configuration(subject: TestCase) -> None:
    """Config goes to JSON and back, and the rebuilt model has the same one."""
    model = subject.make(subject.discrete)
    plain = json.loads(json.dumps(config(model)))
    again = build(plain)
    assert type(again) is type(model), f"{plain['family']} was rebuilt as {type(again).__name__}"
    assert config(again) == config(model), (
        f"configuration changed: {config(model)} became {config(again)}"
    )
    for name, value in subject.options.items():
        assert getattr(model, name) == value, (
            f"option {name}={value!r} is kept as {getattr(model, name)!r}"
        )
    kinds = [p.kind for p in signature(subject.family).values()]
    assert all(kind is kind.POSITIONAL_OR_KEYWORD for kind in kinds), (
        "the constructor takes *args or **kwargs"
    )


def samples_are_valid(subject: TestCase) -> None:
    """Any number of samples, in the data's own shape, range and dtype."""
    for spec in _specs(subject):
        model = subject.trained(spec)
        for n in (0, 1, 7):
            x = model.sample(n, generator=_generator())
            assert tuple(x.shape) == (n, *spec.shape), (
                f"asked for {n} data of shape {spec.shape}, got {tuple(x.shape)}"
            )
            assert x.dtype == spec.dtype, f"samples have dtype {x.dtype}, the data {spec.dtype}"
            spec.check(x)


def randomness_is_the_generators(subject: TestCase) -> None:
    """The generator alone decides the samples, and the global one is left as it was."""
    model = subject.trained(subject.discrete)
    before = torch.get_rng_state()
    first, again, other = (model.sample(50, generator=_generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again), "the same seed gave other samples"
    assert not torch.equal(first, other), "another seed gave the same samples"
    assert torch.equal(before, torch.get_rng_state()), (
        "sampling used the global generator although one was given"
    )


def survives_saving(subject: TestCase) -> None:
    """Configuration and state alone bring the model back."""
    for spec in _specs(subject):
        model = subject.trained(spec)
        again = build(json.loads(json.dumps(config(model)))).double()
        state = {name: value.clone() for name, value in model.state_dict().items()}
        restore(again, state)
        again.eval()
        assert torch.equal(
            model.sample(20, generator=_generator()), again.sample(20, generator=_generator())
        ), "samples differ after saving"
        if isinstance(model, Density) and isinstance(again, Density):
            x = model.sample(20, generator=_generator())
            assert torch.equal(model.log_prob(_double(x)), again.log_prob(_double(x))), (
                "log_prob differs after saving"
            )


def leaves_no_trace(subject: TestCase) -> None:
    """Sampling and scoring change neither weights nor modes."""
    model = subject.trained(subject.discrete)
    model.train()
    before = copy.deepcopy(model.state_dict())
    x = model.sample(10, generator=_generator())
    if isinstance(model, Density):
        model.log_prob(x)
    assert all(module.training for module in model.modules()), "a part was left in evaluation mode"
    changed = [
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    ]
    assert not changed, f"sampling or scoring changed {changed}"


def refuses_bad_input(subject: TestCase) -> None:
    """Wrong shapes, values and classes are refused, before anything is computed."""
    spec = subject.discrete
    model = subject.make(spec)
    x = torch.zeros(2, *spec.shape, dtype=spec.dtype)
    if isinstance(model, Density):
        density = model
        _refused(lambda: density.log_prob(x[:, :, :1]), "a wrong shape")
        _refused(lambda: density.log_prob(x + (spec.levels or 0)), "a level out of range")
        _refused(lambda: density.log_prob(x.double()), "real numbers for discrete data")
    if not model.conditional:
        _refused(lambda: model.sample(2, 0), "a class for an unconditional model")
    if subject.takes_classes:
        conditional = subject.make(spec, conditional=True)
        _refused(lambda: conditional.sample(2, spec.classes), "a class that does not exist")
        unlabelled = Spec(spec.shape, spec.levels)
        _refused(
            lambda: subject.make(unlabelled, conditional=True), "classes where the data have none"
        )
    if isinstance(model, Density) and subject.suits(PLANE):
        plane = subject.make(PLANE)
        assert isinstance(plane, Density)
        _refused(lambda: plane.log_prob(torch.full((2, 2), torch.nan)), "NaN")


def every_parameter_learns(subject: TestCase) -> None:
    """Losses are finite, players share no parameter, none is left out, and each receives a
    gradient.
    """
    spec = subject.discrete
    model = subject.trained(spec)
    assert isinstance(model, Learner)
    x, y = examples(spec, 64)
    players = model.train().losses(x, y if model.conditional else None, _generator())
    told = [id(p) for parameters, _ in players for p in parameters]
    assert sorted(told) == sorted(id(p) for p in model.parameters()), (
        "players do not share out the parameters exactly once"
    )
    for parameters, closure in players:
        loss = closure()
        assert loss.dim() == 0, f"a loss has shape {tuple(loss.shape)}"
        assert torch.isfinite(loss), f"a loss is {loss.item()}"
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        idle = sum(g is None or not g.abs().sum() > 0 for g in gradients)
        assert not idle, f"{idle} of {len(gradients)} parameters receive no gradient"


def codes_have_their_shape(subject: TestCase) -> None:
    """Codes are one vector for each datum, and decode to valid data."""
    for spec in _specs(subject):
        model = subject.trained(spec)
        assert isinstance(model, Latent)
        x, _ = examples(spec, 9)
        z = model.encode(_double(x))
        assert z.dim() == 2, f"codes have shape {tuple(z.shape)}"
        assert len(z) == 9, f"9 data gave {len(z)} codes"
        spec.check(model.decode(z))


def mass_sums_to_one(subject: TestCase) -> None:
    """The probabilities of all data sum to one, or for a bound to at most one."""
    model = _density(subject, TINY)
    _assert_sum(model.likelihood, model.log_prob(everything(TINY)))
    assert model.log_prob(everything(TINY)).max() <= 0, "a probability exceeds one"
    if subject.takes_classes:
        conditional = _density(subject, TINY, conditional=True)
        for k in range(TINY.classes):
            _assert_sum(conditional.likelihood, conditional.log_prob(everything(TINY), k))


def learning_helps(subject: TestCase) -> None:
    """A model that has learned gives other data of the same kind more probability than a new one."""
    if not issubclass(subject.family, Learner):
        return
    x, _ = examples(TINY, seed=9)
    new = subject.make(TINY).double()
    trained = _density(subject, TINY)
    assert isinstance(new, Density)
    assert trained.log_prob(x).mean() > new.log_prob(x).mean(), (
        "learning made held-out data less probable"
    )


def samples_follow_the_mass(subject: TestCase) -> None:
    """Samples occur as often as their probability says (chi-squared test), for each class too."""
    model = _density(subject, TINY)
    _assert_frequencies(
        model.sample(8000, generator=_generator()), model.log_prob(everything(TINY))
    )
    if subject.takes_classes:
        conditional = _density(subject, TINY, conditional=True)
        for k in range(TINY.classes):
            _assert_frequencies(
                conditional.sample(8000, k, _generator()), conditional.log_prob(everything(TINY), k)
            )


def density_integrates_to_one(subject: TestCase) -> None:
    """E over own samples of q(x) / p(x) is 1 for a normalised q that the model covers; for a bound
    at least 1.
    """
    model = _density(subject, PLANE)
    x = _double(model.sample(20_000, generator=_generator()))
    q = torch.distributions.MultivariateNormal(x.mean(0), torch.diag(x.var(0) / 9))
    ratio = (q.log_prob(x) - model.log_prob(x)).exp()
    mean = ratio.mean().item()
    error = ratio.std().item() / math.sqrt(len(ratio))
    assert error < 0.1, f"the check is too weak here: standard error {error:.3g}"
    low = 1 - SIGMAS * error
    high = 1 + SIGMAS * error if model.likelihood == "exact" else math.inf
    assert low <= mean <= high, (
        f"E q/p over own samples is {mean:.4f}, expected "
        f"{'1' if model.likelihood == 'exact' else '≥ 1'} ± {error:.4f}"
    )


def rows_are_scored_alone(subject: TestCase) -> None:
    """A datum's log probability does not depend on what else is in the batch."""
    model = _density(subject, subject.discrete)
    x, _ = examples(subject.discrete, 6)
    together = model.log_prob(x)
    alone = torch.cat([model.log_prob(row[None]) for row in x])
    assert together.shape == (6,), f"6 data gave log probabilities of shape {tuple(together.shape)}"
    assert torch.allclose(together, alone, atol=1e-9), (
        f"batched and single rows differ by {(together - alone).abs().max():.3g} nats"
    )


def classes_add_up(subject: TestCase) -> None:
    """Without a label, a conditional model is the mixture over its classes, and classifies by
    Bayes' rule.
    """
    model = _density(subject, TINY, conditional=True)
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


def more_samples_tighten(subject: TestCase) -> None:
    """The importance bound rises with its samples, stays a bound, and begins at the plain one."""
    model = subject.trained(TINY)
    assert isinstance(model, Bound)
    x = everything(TINY)
    with torch.no_grad():
        plain = torch.stack([model.log_prob(x, generator=_generator(k)) for k in range(50)]).mean(0)
        few, many = (model.importance_bound(x, samples=k, generator=_generator()) for k in (8, 512))
    assert few.mean() > plain.mean(), "eight samples are no better than one"
    assert many.mean() > few.mean() - 1e-3, "512 samples are worse than 8"
    total = many.exp().sum().item()
    assert abs(total - 1) < 0.02, f"with 512 samples all masses sum to {total:.4f}"


def _specs(subject: TestCase) -> list[Spec]:
    return [subject.discrete, PLANE] if subject.suits(PLANE) else [subject.discrete]


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _double(x: Tensor) -> Tensor:
    return x.double() if x.is_floating_point() else x


def _density(subject: TestCase, spec: Spec, conditional: bool = False) -> Density:
    model = subject.trained(spec, conditional)
    assert isinstance(model, Density)
    return model.requires_grad_(False)


def _refused(call: Callable[[], object], what: str) -> None:
    try:
        call()
    except DalmError:
        return
    raise AssertionError(f"{what} was not refused")


def _assert_sum(likelihood: str, nats: Tensor) -> None:
    total = nats.double().exp().sum().item()
    if likelihood == "exact":
        assert abs(total - 1) <= CLOSE, f"all masses sum to {total:.9f}, not to 1"
    else:
        assert total <= 1 + CLOSE, f"all masses of a bound sum to {total:.9f}, more than 1"


def _assert_frequencies(x: Tensor, nats: Tensor) -> None:
    """Chi-squared over the likelier half of the data, the rest pooled."""
    place = TINY.levels ** torch.arange(TINY.dims - 1, -1, -1)  # type: ignore[operator]
    found = torch.bincount((x.flatten(1).long() * place).sum(1), minlength=len(nats)).double()
    expected = nats.double().exp() * len(x)
    enough = expected >= 5
    found = torch.cat([found[enough], found[~enough].sum()[None]])
    expected = torch.cat([expected[enough], expected[~enough].sum()[None].clamp_min(1e-9)])
    statistic = ((found - expected).square() / expected).sum().item()
    freedom = len(found) - 1
    limit = (
        freedom * (1 - 2 / (9 * freedom) + 4.5 * math.sqrt(2 / (9 * freedom))) ** 3
    )  # Wilson & Hilferty 1931
    assert statistic < limit, (
        f"samples do not follow log_prob: chi-squared {statistic:.1f} at {freedom} degrees of "
        f"freedom, limit {limit:.1f}"
    )
