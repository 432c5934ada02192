"""What learners, estimators, latent-variable models and completers must satisfy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from dalm.core import (
    Batch,
    Completer,
    Density,
    Estimator,
    Generative,
    Latent,
    Learner,
    Spec,
    Stream,
    Turn,
    Work,
    build,
    config,
    restore,
)
from dalm.testing.cases import TestCase, everything, examples, stepper_of
from dalm.testing.densities import assert_counts
from dalm.testing.general import as_double, generator_of, specs_of


class _OneBatch:
    """A step that sees the same rows whatever it asks for."""

    number = 0
    progress = 1.0

    def __init__(self, x: Tensor, y: Tensor | None) -> None:
        self.rows = Batch(x, y)
        self.generator = generator_of()

    def batch(self, stream: Stream = "train") -> Batch:
        return self.rows


def every_parameter_learns(case: TestCase) -> None:
    """Players share no parameter and leave none out, losses are finite, and each gradient comes."""
    spec = case.discrete
    model = case.trained(spec)
    assert isinstance(model, Learner)
    players = model.train().players()
    owned = [id(p) for player in players.values() for p in player.parameters]
    trainable = [id(p) for p in model.parameters() if p.requires_grad]
    assert sorted(owned) == sorted(trainable), (
        "players do not share out the parameters exactly once"
    )
    turns = list(model.turns(_OneBatch(*examples(spec, 64))))
    played = {turn.player for turn in turns}
    assert played == set(players), f"of the players {set(players)} only {played} have a turn"
    for turn in turns:
        _assert_turn(turn, list(players[turn.player].parameters), model)


def _assert_turn(turn: Turn, parameters: list[torch.nn.Parameter], model: Learner) -> None:
    assert turn.loss.dim() == 0, f"a loss has shape {tuple(turn.loss.shape)}"
    assert torch.isfinite(turn.loss), f"a loss is {turn.loss.item()}"
    missing = {"loss", *turn.log} - set(model.units)
    assert not missing, f"`units` do not say in which unit {sorted(missing)} are"
    gradients = torch.autograd.grad(turn.loss, parameters, allow_unused=True, retain_graph=True)
    idle = sum(g is None or not g.abs().sum() > 0 for g in gradients)
    assert not idle, f"{idle} of {len(gradients)} parameters receive no gradient"


def steps_repeat_themselves(case: TestCase) -> None:
    """The same steps from the same start give the same bits."""
    weights = []
    for _ in range(2):
        model = case.make(case.discrete).double()
        assert isinstance(model, Learner)
        x, y = examples(case.discrete)
        model.adapt(x, model.condition(y))
        stepper = stepper_of(model.train(), x, y, 3)
        for _ in range(3):
            stepper()
        weights.append(model.state_dict())
    differ = [
        name for name, value in weights[0].items() if not torch.equal(value, weights[1][name])
    ]
    assert not differ, f"the same steps gave other weights: {differ}"


def passes_can_be_resumed(case: TestCase) -> None:
    """Stopped after each pass, saved, rebuilt and called again, it learns the same bits."""
    spec = case.discrete
    rows = Batch(*examples(spec))
    states = []
    for interrupted in (False, True):
        model = case.make(spec).double()
        assert isinstance(model, Estimator)
        states.append(_make_passes(model, Work(rows, rows), interrupted).state_dict())
    whole, parts = states
    differ = [name for name, value in whole.items() if not torch.equal(value, parts[name])]
    assert not differ, f"stopped and resumed, it learns something else: {differ}"


def _make_passes(model: Estimator, work: Work, interrupted: bool) -> Estimator:
    """The model after all passes; if interrupted, rebuilt from its state before each."""
    passes: Iterator[Mapping[str, float]] = iter(())
    for number in range(200):
        work.number = number
        work.generator.manual_seed(number)
        if interrupted and number:
            model = _rebuilt(model)
        if interrupted or not number:
            passes = iter(model.passes(work))
        terms = next(passes, None)
        if terms is None:
            return model
        missing = set(terms) - set(model.units)
        assert not missing, f"`units` do not say in which unit {sorted(missing)} are"
    raise AssertionError("an estimator does not come to an end in 200 passes")


def _rebuilt(model: Estimator) -> Estimator:
    """What a checkpoint brings back of a model."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    again = build(config(model)).double()
    restore(again, state)
    assert isinstance(again, Estimator)
    return again


def codes_have_their_shape(case: TestCase) -> None:
    """Codes are what `codes` says, one for each datum, and decode to valid data."""
    for spec in specs_of(case):
        model = case.trained(spec)
        assert isinstance(model, Latent)
        x, _ = examples(spec, 9)
        z = model.encode(as_double(x))
        layers = z if isinstance(z, tuple) else (z,)
        wanted = model.codes if isinstance(model.codes, tuple) else (model.codes,)
        shapes = [tuple(layer.shape) for layer in layers]
        promised = [(9, *code.shape) for code in wanted]
        assert shapes == promised, f"9 data gave codes {shapes}, and `codes` promises {promised}"
        spec.check(model.decode(z))


def known_entries_stay(case: TestCase) -> None:
    """Given entries are kept, and the others are drawn as often as Bayes' rule says."""
    _assert_completed(case.trained(case.discrete), case.discrete, None)
    if case.takes_classes:
        conditional = case.trained(case.discrete, conditional=True)
        for k in range(case.discrete.classes):
            _assert_completed(conditional, case.discrete, k)


def _assert_completed(model: Generative, spec: Spec, y: int | None) -> None:
    """Half of the entries known: the frequencies of all ways to fill in the rest."""
    assert isinstance(model, Completer)
    assert isinstance(model, Density)
    known = torch.zeros(spec.shape, dtype=torch.bool)
    known.view(-1)[: spec.dims // 2] = True
    x = examples(spec, 1)[0][0]
    drawn = model.sample(4000, y, generator_of(), given=(x, known))
    assert (drawn[:, known] == x[known]).all(), "a known entry was changed"
    spec.check(drawn)
    every = everything(spec)
    fitting = every[(every[:, known] == x[known]).all(1)]
    with torch.no_grad():
        chances = model.log_prob(fitting, y).double().softmax(0)
    which = (drawn[:, None] == fitting).flatten(2).all(2).long().argmax(1)
    assert_counts(torch.bincount(which, minlength=len(fitting)), chances)
