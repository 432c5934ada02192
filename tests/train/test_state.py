"""The moving parts of a fit: the weight average, the players' optimisers, and checkpoints."""

from __future__ import annotations

import pytest
import torch
from tiny import DIGITS, FIT, tiny
from toys import MOONS, Duel

from dalm.core import Player
from dalm.errors import DalmError
from dalm.train import FitOptions
from dalm.train.options import resolve
from dalm.train.run import read_tensors, write_tensors
from dalm.train.state import AVERAGE_EVERY, State, make_optimiser
from dalm.train.step import Stepper


def steps_of(state, rows=DIGITS.train):
    return Stepper(state, state.family.stages()[0], rows)


@pytest.fixture
def options():
    """Of a short fit of a DCGAN."""
    asked = {name: FIT[name] for name in ("steps", "batch_size", "device")}
    return resolve(FitOptions(**asked), tiny("dcgan"), len(DIGITS.train))


@pytest.fixture
def played(options):
    """A DCGAN after nine steps."""
    state = State(tiny("dcgan").train(), options)
    take_step = steps_of(state)
    for _ in range(9):
        take_step()
    return state


def fill(model, value):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)


def averaged_over(steps):
    """A state whose weights equal the number of the step, its average after so many."""
    state = State(tiny("vae"), FitOptions(steps=steps, ema=0.9))
    fill(state.average, 0.0)
    for step in range(1, steps + 1):
        state.step = step
        fill(state.model, float(step))
        state.update_ema()
        yield step, state


def assert_average(state, expected):
    for parameter in state.average.parameters():
        assert torch.allclose(parameter, torch.full_like(parameter, expected), rtol=1e-5)


# The weight average


def test_the_average_is_the_exponential_one():
    """The decay is that of AVERAGE_EVERY steps at once, and smaller at the start."""
    expected = 0.0
    for step, state in averaged_over(32):
        if step % AVERAGE_EVERY == 0:
            decay = min(0.9, (1 + step) / (10 + step)) ** AVERAGE_EVERY
            expected = decay * expected + (1 - decay) * step
        assert_average(state, expected)


def test_the_last_steps_enter_the_average_with_their_share():
    for _, last in averaged_over(12):
        state = last
    expected = 0.0
    for step, since in ((8, 8), (12, 4)):
        decay = min(0.9, (1 + step) / (10 + step)) ** since
        expected = decay * expected + (1 - decay) * step
    assert_average(state, expected)


def test_the_average_takes_batch_statistics_as_they_are():
    state = State(tiny("dcgan").train(), FitOptions(steps=100, ema=0.99))
    for _ in range(3):
        state.model.generate(8, None, torch.Generator().manual_seed(0))
    state.step = AVERAGE_EVERY
    state.update_ema()
    live = dict(state.model.named_buffers())
    means = [value for name, value in live.items() if name.endswith("running_mean")]
    assert any(value.abs().sum() > 0 for value in means)
    for name, value in state.average.named_buffers():
        assert torch.equal(value, live[name])
        assert value is not live[name]


def test_without_an_average_the_weights_are_the_live_ones():
    state = State(tiny("vae"), FitOptions(steps=100, ema=0.0))
    assert state.average is state.model


def test_each_player_has_a_decay_of_its_own():
    """The generator of the duel is averaged, its critic follows at once."""
    options = resolve(FitOptions(steps=16, device="cpu"), Duel(MOONS.spec), 100)
    state = State(Duel(MOONS.spec), options)
    assert [state.decay(player) for player in state.players.values()] == [0.0, 0.9]
    fill(state.average, 0.0)
    fill(state.model, 1.0)
    state.step = AVERAGE_EVERY
    state.update_ema()
    decay = min(0.9, (1 + AVERAGE_EVERY) / (10 + AVERAGE_EVERY)) ** AVERAGE_EVERY
    critic = state.average.critic.bias
    generator = state.average.generator.bias
    assert torch.equal(critic, torch.ones_like(critic))
    assert torch.allclose(generator, torch.full_like(generator, 1 - decay))


# The best weights, and going back to them


def test_the_best_average_is_a_copy(played):
    played.keep_best(2.0)
    before = {name: value.clone() for name, value in played.best.items()}
    take_step = steps_of(played)
    for _ in range(AVERAGE_EVERY):
        take_step()
    assert played.best_value == 2.0
    assert all(torch.equal(value, before[name]) for name, value in played.result().items())
    now = played.average.state_dict()
    assert any(not torch.equal(value, now[name]) for name, value in before.items())


def test_rolling_back_takes_the_best_weights_and_forgets_the_moments(played):
    played.keep_best(2.0)
    steps_of(played)()
    played.roll_back()
    for part in (played.model, played.average):
        weights = part.state_dict()
        assert all(torch.equal(value, weights[name]) for name, value in played.best.items())
    assert not any(optimiser.state for optimiser in played.optimisers.values())


# Optimisers


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_an_optimiser_is_named(name):
    weight = torch.nn.Parameter(torch.ones(2))
    betas = (0.5, 0.9) if name == "Adam" else None
    player = Player([weight], optimiser=name, betas=betas, lr=3.0, weight_decay=0.2)
    optimiser = make_optimiser(player, FitOptions(lr=0.1))
    group = optimiser.param_groups[0]
    assert type(optimiser) is getattr(torch.optim, name)
    assert (group["lr"], group["weight_decay"]) == (pytest.approx(0.3), 0.2)
    assert group.get("betas") == betas


@pytest.mark.parametrize("name", ["AdamX", "lr_scheduler", "Adam.step"])
def test_an_unknown_optimiser_is_refused(name):
    player = Player([torch.nn.Parameter(torch.ones(2))], optimiser=name)
    with pytest.raises(DalmError, match=f"torch has no optimiser '{name}'.*SGD"):
        make_optimiser(player, FitOptions(lr=0.1))


# Checkpoints


def test_a_checkpoint_holds_all_of_the_state(tmp_path, options, played):
    played.keep_best(2.0)
    played.notes = {"early stopping": {"since_best": 1}}
    played.save(tmp_path / "checkpoint")
    again = State(tiny("dcgan", seed=9).train(), options)
    again.load(tmp_path / "checkpoint")
    assert (again.step, again.best_value, again.notes) == (9, 2.0, played.notes)
    assert again.drawn == played.drawn == {"train": 9}
    for state in (played, again):
        take_step = steps_of(state)
        for _ in range(9):
            take_step()
    for part in ("model", "average"):
        mine = getattr(played, part).state_dict()
        theirs = getattr(again, part).state_dict()
        assert all(torch.equal(value, theirs[name]) for name, value in mine.items()), part
    assert all(torch.equal(value, again.best[name]) for name, value in played.best.items())


def test_a_checkpoint_saved_before_the_next_step_is_the_same(tmp_path, options, played):
    """A run that is resumed and stopped at once keeps the optimisers' moments, which it has not
    used yet.
    """
    played.save(tmp_path / "first")
    again = State(tiny("dcgan", seed=9).train(), options)
    again.load(tmp_path / "first")
    again.save(tmp_path / "second")
    before, note = read_tensors(tmp_path / "first")
    after, same = read_tensors(tmp_path / "second")
    assert note == same
    parts = {name.split("/")[0] for name in before}
    assert {"optimiser.discriminator", "optimiser.generator"} <= parts
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_checkpoint_of_an_early_version_is_read(tmp_path, options, played):
    """It counted players, and knew of no streams and no listeners but early stopping."""
    played.save(tmp_path / "new")
    tensors, _ = read_tensors(tmp_path / "new")
    numbers = {"optimiser.discriminator": "optimiser.0", "optimiser.generator": "optimiser.1"}
    old = {}
    for name, value in tensors.items():
        part, _, rest = name.partition("/")
        old[f"{numbers.get(part, part)}/{rest}"] = value
    note = {"step": 9, "seconds": 1.5, "best_value": "2.5", "since_best": 3}
    write_tensors(tmp_path / "old", old, note)
    again = State(tiny("dcgan", seed=9).train(), options)
    again.load(tmp_path / "old")
    assert again.drawn == {"train": 9}
    assert again.notes == {"early stopping": {"since_best": 3}}
    again.save(tmp_path / "again")
    after, _ = read_tensors(tmp_path / "again")
    assert all(torch.equal(value, after[name]) for name, value in tensors.items())
