"""What every family must satisfy, whatever it can do."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable

import torch
from torch import Tensor

from dalm.core import Density, Spec, build, config, restore
from dalm.errors import DalmError
from dalm.testing.cases import PLANE, TestCase


def keeps_its_configuration(case: TestCase) -> None:
    """Config goes to JSON and back, and the rebuilt model has the same one."""
    model = case.make(case.discrete)
    plain = json.loads(json.dumps(config(model)))
    again = build(plain)
    assert type(again) is type(model), f"{plain['family']} was rebuilt as {type(again).__name__}"
    assert config(again) == config(model), (
        f"configuration changed: {config(model)} became {config(again)}"
    )
    for name, value in case.options.items():
        assert getattr(model, name) == value, (
            f"option {name}={value!r} is kept as {getattr(model, name)!r}"
        )
    for name, option in case.family.declared().items():
        assert option.meaning, f"the option {name} does not say what it means"


def samples_are_valid(case: TestCase) -> None:
    """Any number of samples, in the data's own shape, range and dtype."""
    for spec in specs_of(case):
        model = case.trained(spec)
        for n in (0, 1, 7):
            x = model.sample(n, generator=generator_of())
            assert tuple(x.shape) == (n, *spec.shape), (
                f"asked for {n} data of shape {spec.shape}, got {tuple(x.shape)}"
            )
            assert x.dtype == spec.dtype, f"samples have dtype {x.dtype}, the data {spec.dtype}"
            spec.check(x)


def randomness_is_the_generators(case: TestCase) -> None:
    """The generator alone decides the samples, and the global one is left as it was."""
    model = case.trained(case.discrete)
    before = torch.get_rng_state()
    first, again, other = (model.sample(50, generator=generator_of(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again), "the same seed gave other samples"
    assert not torch.equal(first, other), "another seed gave the same samples"
    assert torch.equal(before, torch.get_rng_state()), (
        "sampling used the global generator although one was given"
    )


def survives_saving(case: TestCase) -> None:
    """Configuration and state alone bring the model back."""
    for spec in specs_of(case):
        model = case.trained(spec)
        again = build(json.loads(json.dumps(config(model)))).double()
        state = {name: value.clone() for name, value in model.state_dict().items()}
        restore(again, state)
        again.eval()
        assert torch.equal(
            model.sample(20, generator=generator_of()), again.sample(20, generator=generator_of())
        ), "samples differ after saving"
        if isinstance(model, Density) and isinstance(again, Density):
            x = model.sample(20, generator=generator_of())
            assert torch.equal(model.log_prob(as_double(x)), again.log_prob(as_double(x))), (
                "log_prob differs after saving"
            )


def leaves_no_trace(case: TestCase) -> None:
    """Sampling and scoring change neither weights nor modes."""
    model = case.trained(case.discrete)
    model.train()
    before = copy.deepcopy(model.state_dict())
    x = model.sample(10, generator=generator_of())
    if isinstance(model, Density):
        model.log_prob(x)
    assert all(module.training for module in model.modules()), "a part was left in evaluation mode"
    changed = [
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    ]
    assert not changed, f"sampling or scoring changed {changed}"


def refuses_bad_input(case: TestCase) -> None:
    """Wrong shapes, values and classes are refused, before anything is computed."""
    spec = case.discrete
    model = case.make(spec)
    x = torch.zeros(2, *spec.shape, dtype=spec.dtype)
    if isinstance(model, Density):
        density = model
        _refused(lambda: density.log_prob(x[:, :, :1]), "a wrong shape")
        _refused(lambda: density.log_prob(x + (spec.levels or 0)), "a level out of range")
        _refused(lambda: density.log_prob(x.double()), "real numbers for discrete data")
    if not model.conditional:
        _refused(lambda: model.sample(2, 0), "a class for an unconditional model")
    if case.takes_classes:
        conditional = case.make(spec, conditional=True)
        _refused(lambda: conditional.sample(2, spec.classes), "a class that does not exist")
        unlabelled = Spec(spec.shape, spec.levels)
        _refused(
            lambda: case.make(unlabelled, conditional=True), "classes where the data have none"
        )
    if isinstance(model, Density) and case.suits(PLANE):
        plane = case.make(PLANE)
        assert isinstance(plane, Density)
        _refused(lambda: plane.log_prob(torch.full((2, 2), torch.nan)), "NaN")


def specs_of(case: TestCase) -> list[Spec]:
    """The smallest Specs that a family takes, of levels and of real numbers."""
    return [case.discrete, PLANE] if case.suits(PLANE) else [case.discrete]


def generator_of(seed: int = 0) -> torch.Generator:
    """Randomness of a check."""
    return torch.Generator().manual_seed(seed)


def as_double(x: Tensor) -> Tensor:
    """Real numbers in double precision; levels as they are."""
    return x.double() if x.is_floating_point() else x


def _refused(call: Callable[[], object], what: str) -> None:
    try:
        call()
    except DalmError:
        return
    raise AssertionError(f"{what} was not refused")
