"""The parts of the loop against hand computations, and what happens when the numbers go wrong."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from tiny import DIGITS, FIT, LOOP, listing, log_of, run_of, tiny, weights
from torch import nn

from dalm.core import Density, Learner, Recipe
from dalm.train import Diverged, Options, fit
from dalm.train.run import read_tensors
from dalm.train.state import AVERAGE_EVERY, Batches, State, derive_seed, learning_rate


class Fragile(Density, Learner):
    """Learns the mean of each entry, and meets a number that is none at step `at`."""

    family = "test-fragile"
    year = 2026
    paper = "this test"
    likelihood = "exact"
    recipe = Recipe(lr=0.1, batch_size=8, ema=0.0)

    def __init__(self, spec, at: int = 13, how: str = "loss") -> None:
        super().__init__(spec)
        self.at = at
        self.how = how
        self.calls = 0
        self.mean = nn.Parameter(torch.zeros(spec.dims))

    def losses(self, x, y, generator):
        self.calls += 1
        return [(list(self.parameters()), lambda: self._loss(x))]

    def _loss(self, x):
        loss = (self.mean - x.flatten(1).float()).square().mean()
        if self.calls != self.at:
            return loss
        if self.how == "gradient":
            return loss + (0 * self.mean.sum()).sqrt()  # 0 forwards, 0 · ∞ backwards
        return loss * {"loss": math.nan, "infinite": math.inf}[self.how]

    def _log_prob(self, x, y, generator):
        return -(self.mean - x.flatten(1).float()).square().sum(1)

    def _sample(self, n, y, generator):
        return self.mean.round().clamp(0, 16).expand(n, -1).view(n, *self.spec.shape)


# When the loss is no number


@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("checkpoint", [1e-9, 1e9])
@pytest.mark.parametrize("how", ["loss", "infinite"])
def test_nan_stops_with_the_last_good_weights(tmp_path, how, checkpoint, ema):
    with pytest.raises(Diverged, match=r"at step 13.*last good weights are kept"):
        fit(
            Fragile(DIGITS.spec, how=how),
            DIGITS,
            out=tmp_path / "run",
            **FIT | {"checkpoint": checkpoint, "ema": ema, "clip": 0.0},
        )
    meta = json.loads((tmp_path / "run/run.json").read_text())
    assert meta["state"] == "failed"
    assert "at step 13" in meta["error"]
    kept, _ = read_tensors(tmp_path / "run/weights.safetensors")
    assert torch.isfinite(kept["mean"]).all()
    if checkpoint < 1:
        assert kept["mean"].abs().sum() > 0, "the last good weights are those before any step"


@pytest.mark.parametrize(("at", "steps"), [(13, 20), (10, 20), (20, 20)])
@pytest.mark.parametrize("checkpoint", [1e-9, 1e9])
def test_weights_that_turn_nan_under_a_finite_loss_are_not_kept(tmp_path, at, steps, checkpoint):
    asked = FIT | {"steps": steps, "checkpoint": checkpoint, "clip": 0.0}
    with pytest.raises(Diverged):
        fit(Fragile(DIGITS.spec, at=at, how="gradient"), DIGITS, out=tmp_path / "run", **asked)
    kept, _ = read_tensors(tmp_path / "run/weights.safetensors")
    assert torch.isfinite(kept["mean"]).all()
    assert json.loads((tmp_path / "run/run.json").read_text())["state"] == "failed"


@pytest.mark.parametrize("checkpoint", [1e-9, 1e9])
def test_the_best_weights_outlive_a_divergence(tmp_path, monkeypatch, checkpoint):
    seen = scripted(monkeypatch, [1.0, 2.0, 3.0])
    with pytest.raises(Diverged):
        fit(
            Fragile(DIGITS.spec),
            DIGITS,
            out=tmp_path / "run",
            **FIT | {"validations": 5, "checkpoint": checkpoint, "clip": 0.0},
        )
    kept, _ = read_tensors(tmp_path / "run/weights.safetensors")
    assert torch.equal(kept["mean"], seen[0]["mean"]), (
        "the best was at step 4; the last checkpoint came before it or after"
    )
    assert len(seen) == 3


def test_a_diverged_run_fails_again_when_resumed(tmp_path):
    asked = FIT | {"lr": 1e30, "clip": 0.0, "checkpoint": 1e-9}
    for _ in range(2):
        with pytest.raises(Diverged):
            fit(tiny("vae"), DIGITS, out=tmp_path / "run", resume=True, **asked)
        kept, _ = read_tensors(tmp_path / "run/weights.safetensors")
        assert all(torch.isfinite(value).all() for value in kept.values())


def test_the_log_is_json_even_when_a_validation_is_infinite(tmp_path, monkeypatch):
    monkeypatch.setattr(LOOP, "validate", lambda *_: math.inf)
    run = run_of("vae", tmp_path / "run")

    def strict(word):
        raise AssertionError(f"{word} is not JSON")

    lines = [
        json.loads(line, parse_constant=strict)
        for line in (run.path / "log.jsonl").read_text().splitlines()
    ]
    assert lines[-1]["step"] == 20


# Early stopping


def scripted(monkeypatch, values):
    """Validation with given results; returns the weights that were seen each time."""
    seen = []
    left = iter(values)

    def look(state, *_):
        seen.append({name: value.clone() for name, value in state.average.state_dict().items()})
        return next(left)

    monkeypatch.setattr(LOOP, "validate", look)
    return seen


@pytest.mark.parametrize("ema", [0.0, 0.5])
def test_patience_stops_and_keeps_the_best_weights(tmp_path, monkeypatch, ema):
    seen = scripted(monkeypatch, [5.0, 4.0, 3.0, 4.0, 3.0, 9.0])
    run = run_of("vae", tmp_path / "run", steps=100, validations=5 * 2, patience=2, ema=ema)
    assert len(seen) == 5, "it should have stopped at the second look without a better one"
    assert log_of(run)[-1]["step"] == 50
    assert run.meta["state"] == "done"
    kept, _ = read_tensors(run.path / "weights.safetensors")
    assert all(torch.equal(value, seen[2][name]) for name, value in kept.items())
    assert any(not torch.equal(value, seen[4][name]) for name, value in kept.items()), (
        "the best weights are an alias of the live ones"
    )
    assert all(torch.equal(value, kept[name]) for name, value in run.model.state_dict().items())


def test_without_patience_every_step_is_taken_and_the_best_is_kept(tmp_path, monkeypatch):
    seen = scripted(monkeypatch, [1.0, *[2.0] * 9])
    run = run_of("vae", tmp_path / "run", steps=30, validations=10, patience=0)
    assert len(seen) == 10
    kept, _ = read_tensors(run.path / "weights.safetensors")
    assert all(torch.equal(value, seen[0][name]) for name, value in kept.items())


def test_without_validations_the_last_weights_are_kept(tmp_path, monkeypatch):
    seen = scripted(monkeypatch, [])
    runs = [
        run_of("vae", tmp_path / str(steps), steps=steps, validations=0, schedule="constant")
        for steps in (16, 24)
    ]
    assert not seen
    assert weights(runs[0]) != weights(runs[1])


def test_validation_is_the_mean_of_the_density(tmp_path):
    model = tiny("pixelcnn")
    options = Options(steps=1, ema=0.0, device="cpu", precision="float32")
    expected = -model.log_prob(DIGITS.val.x[: LOOP.SCORED]).double().mean().item()
    assert LOOP.validate(State(model, options), DIGITS, options) == pytest.approx(
        expected, abs=1e-5
    )
    assert LOOP.validate(State(tiny("dcgan"), options), DIGITS, options) is None


def test_snapshots_come_evenly_and_from_the_same_noise(tmp_path):
    run = run_of("vae", tmp_path / "run", snapshots=4, lr=1e-12)
    names = sorted(path.name for path in (run.path / "samples").iterdir())
    assert names == [f"step-{step:08d}.npy" for step in (5, 10, 15, 20)]
    samples = [np.load(run.path / "samples" / name) for name in names]
    assert samples[0].shape == (64, 1, 8, 8)
    assert samples[0].dtype == np.uint8
    assert (samples[0] == samples[3]).mean() > 0.99, (
        "hardly any learning, so the same noise gives the same samples"
    )


# The weight average


def constant(state, value):
    with torch.no_grad():
        for parameter in state.model.parameters():
            parameter.fill_(value)


def test_the_average_is_the_exponential_one():
    state = State(tiny("vae"), Options(steps=100, ema=0.9))
    constant(state, 0.0)
    for parameter in state.average.parameters():
        parameter.fill_(0.0)
    expected = 0.0
    for step in range(1, 33):
        state.step = step
        constant(state, float(step))
        state.update_ema()
        if (
            step % AVERAGE_EVERY == 0
        ):  # the decay is that of AVERAGE_EVERY steps, and shorter at the start
            decay = min(0.9, (1 + step) / (10 + step)) ** AVERAGE_EVERY
            expected = decay * expected + (1 - decay) * step
        for parameter in state.average.parameters():
            assert torch.allclose(parameter, torch.full_like(parameter, expected), rtol=1e-5)


def test_the_last_steps_enter_the_average_with_their_share():
    state = State(tiny("vae"), Options(steps=12, ema=0.9))
    for parameter in state.average.parameters():
        parameter.fill_(0.0)
    expected = 0.0
    for step in range(1, 13):
        state.step = step
        constant(state, float(step))
        state.update_ema()
    for step, since in ((8, 8), (12, 4)):
        decay = min(0.9, (1 + step) / (10 + step)) ** since
        expected = decay * expected + (1 - decay) * step
    for parameter in state.average.parameters():
        assert torch.allclose(parameter, torch.full_like(parameter, expected), rtol=1e-5)


def test_the_average_takes_batch_statistics_as_they_are():
    state = State(tiny("dcgan").train(), Options(steps=100, ema=0.99))
    for _ in range(3):
        state.model.generate(8, None, torch.Generator().manual_seed(0))
    state.step = AVERAGE_EVERY
    state.update_ema()
    live = dict(state.model.named_buffers())
    assert any(
        name.endswith("running_mean") and value.abs().sum() > 0 for name, value in live.items()
    )
    for name, value in state.average.named_buffers():
        assert torch.equal(value, live[name])
        assert value is not live[name]


def test_without_an_average_the_weights_are_the_live_ones():
    state = State(tiny("vae"), Options(steps=100, ema=0.0))
    assert state.average is state.model


# Learning rate, batches, seeds


@pytest.mark.parametrize(
    ("steps", "step", "expected"),
    [
        (100, 0, 1 / 5),  # warm-up is a twentieth of the steps
        (100, 3, 4 / 5),
        (100, 4, 1.0),
        (100, 5, 1.0),
        (100, 99, (1 + math.cos(math.pi * 94 / 95)) / 2),
        (205, 107, (1 + math.cos(math.pi * 97 / 195)) / 2),
        (20_000, 0, 1 / 500),  # and never longer than 500
        (20_000, 499, 1.0),
        (1, 0, 1.0),
    ],
)
def test_the_cosine_schedule(steps, step, expected):
    assert learning_rate(Options(steps=steps, lr=0.3, schedule="cosine"), step) == pytest.approx(
        0.3 * expected, rel=1e-12
    )


def test_the_schedule_rises_then_falls_and_stays_positive():
    values = [
        learning_rate(Options(steps=300, lr=1.0, schedule="cosine"), step) for step in range(300)
    ]
    top = values.index(max(values))
    assert values[: top + 1] == sorted(values[: top + 1])
    assert values[top:] == sorted(values[top:], reverse=True)
    assert 0 < values[-1] < 1e-3
    assert {
        learning_rate(Options(steps=300, lr=0.7, schedule="constant"), step) for step in range(300)
    } == {0.7}


def test_an_epoch_visits_every_row_once():
    x = torch.arange(120)[:, None]
    batches = Batches(x, x[:, 0] % 7, 24, seed=3, device="cpu")
    epochs = [
        torch.cat([batches(step)[0] for step in range(5 * k, 5 * k + 5)])[:, 0].tolist()
        for k in range(3)
    ]
    assert all(sorted(epoch) == list(range(120)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    rows, labels = batches(7)
    assert torch.equal(rows[:, 0] % 7, labels)


def test_an_epoch_with_a_rest_visits_no_row_twice():
    x = torch.arange(100)[:, None]
    batches = Batches(x, None, 32, seed=0, device="cpu")
    epochs = [
        torch.cat([batches(step)[0] for step in range(3 * k, 3 * k + 3)])[:, 0].tolist()
        for k in range(40)
    ]
    assert all(len(set(epoch)) == 96 for epoch in epochs)
    assert set().union(*map(set, epochs[:3])) == set(range(100)), (
        "the same rows are left out each time"
    )  # fails by chance once in 10^5


def test_a_batch_depends_on_seed_and_step_alone():
    x = torch.arange(100)[:, None]
    forwards = Batches(x, None, 10, 0, "cpu")
    backwards = Batches(x, None, 10, 0, "cpu")
    first = [forwards(step)[0] for step in range(25)]
    second = [backwards(step)[0] for step in reversed(range(25))][::-1]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], Batches(x, None, 10, 1, "cpu")(0)[0])


def test_streams_are_apart():
    seeds = {
        derive_seed(seed, role, index)
        for seed in range(5)
        for role in ("noise", "order")
        for index in range(100)
    }
    assert len(seeds) == 1000
    assert derive_seed(0, "noise", 0) == derive_seed(0, "noise", 0)
    assert max(seeds) < 2**63


def test_two_players_have_two_optimisers(tmp_path):
    options = Options(**run_of("dcgan", tmp_path / "run").meta["fit"])
    state = State(tiny("dcgan").train(), options)
    batches = Batches(DIGITS.train.x, None, 32, 0, "cpu")
    before = {name: value.clone() for name, value in state.model.named_parameters()}
    losses = LOOP.take_step(state, batches, options)
    assert len(losses) == len(state.optimisers) == 2
    moved = {
        name.split(".")[0]
        for name, value in state.model.named_parameters()
        if not torch.equal(value, before[name])
    }
    assert moved == {"generator", "discriminator"}
    assert state.step == 1


def test_a_checkpoint_holds_all_of_the_state(tmp_path):
    options = Options(**run_of("dcgan", tmp_path / "run").meta["fit"])
    batches = Batches(DIGITS.train.x, None, 32, 0, "cpu")
    state = State(tiny("dcgan").train(), options)
    for _ in range(9):
        LOOP.take_step(state, batches, options)
    state.early_stop(2.0)
    state.early_stop(3.0)
    state.save(tmp_path / "checkpoint.safetensors")
    again = State(tiny("dcgan", seed=9).train(), options)
    again.load(tmp_path / "checkpoint.safetensors")
    assert (again.step, again.best_value, again.since_best) == (9, 2.0, 1)
    for one in (state, again):
        for _ in range(9):
            LOOP.take_step(one, Batches(DIGITS.train.x, None, 32, 0, "cpu"), options)
    for part in ("model", "average"):
        mine = getattr(state, part).state_dict()
        theirs = getattr(again, part).state_dict()
        assert all(torch.equal(value, theirs[name]) for name, value in mine.items()), part
    assert all(torch.equal(value, again.best[name]) for name, value in state.best.items())
    assert "run" in listing(tmp_path)


def test_a_checkpoint_saved_before_the_next_step_is_the_same(tmp_path):
    """A run that is resumed and stopped at once keeps the optimisers' moments, which it has not
    used yet.
    """
    options = Options(**run_of("dcgan", tmp_path / "run").meta["fit"])
    state = State(tiny("dcgan").train(), options)
    for _ in range(3):
        LOOP.take_step(state, Batches(DIGITS.train.x, None, 32, 0, "cpu"), options)
    state.save(tmp_path / "first")
    again = State(tiny("dcgan", seed=9).train(), options)
    again.load(tmp_path / "first")
    again.save(tmp_path / "second")
    (before, note) = read_tensors(tmp_path / "first")
    (after, same) = read_tensors(tmp_path / "second")
    assert note == same
    assert {"optimiser.0", "optimiser.1"} <= {name.split("/")[0] for name in before}
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
