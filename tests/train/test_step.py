"""One step of training: turns, players, streams and shards."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from tiny import DIGITS, FIT, tiny
from toys import BOX, MOONS, Duel, Mean, Streamed

from dalm.core import Player, Stage, Turn
from dalm.data import Split
from dalm.errors import DalmError
from dalm.models import DCGAN, VAE
from dalm.testing.general import generator_of
from dalm.train import FitOptions
from dalm.train.looks import SCORED, snapshot, validate
from dalm.train.options import resolve
from dalm.train.seeds import derive_seed
from dalm.train.state import State
from dalm.train.step import Shard, Stepper, clip_gradients


def stepper_of(model, rows=MOONS.train, **asked):
    """What takes the steps of a model, with the recipe of its family."""
    options = FitOptions(**{"steps": 20, "device": "cpu"} | asked)
    state = State(model.train(), resolve(options, model, len(rows)))
    return Stepper(state, model.stages()[0], rows)


def weights_of(model):
    return {name: value.detach().clone() for name, value in model.named_parameters()}


# Turns


def test_turns_are_played_in_their_order():
    take_step = stepper_of(Duel(MOONS.spec, rounds=5))
    played = take_step()
    assert [turn.player for turn in played] == 5 * ["critic"] + ["generator"]
    assert [set(turn.terms) for turn in played] == 5 * [{"distance"}] + [set()]
    assert all(turn.loss == -turn.terms["distance"] for turn in played[:5])
    assert not any(turn.loss.requires_grad for turn in played)
    assert take_step.state.step == 1


def test_what_follows_a_yield_runs_after_the_update():
    model = Duel(MOONS.spec)
    clips = []

    def clip():
        clips.append(weights_of(model.critic))
        Duel.clip_weights(model)

    model.clip_weights = clip
    before = weights_of(model.critic)
    stepper_of(model)()
    assert len(clips) == 3
    assert not torch.equal(clips[0]["weight"], before["weight"]), "the update was not made yet"
    assert all(value.abs().max() <= BOX for value in model.critic.parameters())


def test_only_the_player_whose_turn_it_is_moves():
    class Watched(Duel):
        """Looks at all weights around each turn."""

        def turns(self, step):
            for turn in super().turns(step):
                before = weights_of(self)
                yield turn
                after = weights_of(self)
                moved = {
                    name.split(".")[0]
                    for name, value in after.items()
                    if not torch.equal(value, before[name])
                }
                seen.append((turn.player, moved))

    seen = []
    stepper_of(Watched(MOONS.spec, rounds=2))()
    assert seen == [
        ("critic", {"critic"}),
        ("critic", {"critic"}),
        ("generator", {"generator"}),
    ]


def test_a_step_is_what_one_would_write_by_hand():
    """Two optimisers, their own rates, decay, moments and clipping, three batches a step."""
    model = Duel(MOONS.spec)
    mine = copy.deepcopy(model)
    take_step = stepper_of(model, batch_size=16)
    batches = take_step.streams["train"]
    critic = torch.optim.SGD(mine.critic.parameters(), lr=0.1, weight_decay=0.0, fused=True)
    maker = torch.optim.AdamW(
        mine.generator.parameters(), lr=0.05, betas=(0.5, 0.9), weight_decay=0.1, fused=True
    )
    for step in range(4):
        take_step()
        source = generator_of(derive_seed(0, "noise", step))
        for k in range(3):
            real = mine.standard(batches(3 * step + k).x)
            fake = mine._sample(len(real), None, source)
            critic.zero_grad()
            (mine.critic(fake.detach()).mean() - mine.critic(real).mean()).backward()
            torch.nn.utils.clip_grad_norm_(mine.critic.parameters(), 0.5)
            critic.step()
            mine.clip_weights()
        maker.zero_grad()
        (-mine.critic(fake).mean()).backward(inputs=list(mine.generator.parameters()))
        maker.step()
    for name, value in weights_of(mine).items():
        assert torch.equal(value, weights_of(model)[name]), f"{name} differs"


def test_two_players_have_two_optimisers():
    take_step = stepper_of(tiny("dcgan"), DIGITS.train, batch_size=32)
    state = take_step.state
    before = weights_of(state.model)
    assert [turn.player for turn in take_step()] == ["discriminator", "generator"]
    assert set(state.optimisers) == {"discriminator", "generator"}
    after = weights_of(state.model)
    moved = {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}
    assert moved == {"generator", "discriminator"}


def test_an_unknown_player_is_refused():
    class Absent(Mean):
        def turns(self, step):
            for turn in super().turns(step):
                yield turn._replace(player="modle")

    take_step = stepper_of(Absent(MOONS.spec))
    words = "test-mean has no player 'modle', whose turn it is. Did you mean 'model'"
    with pytest.raises(DalmError, match=words):
        take_step()


# Batches and randomness of a step


def test_each_batch_of_a_step_holds_other_rows():
    """Three batches are an epoch: each row comes once, and the next step begins another."""
    rows = Split(torch.arange(24.0).view(12, 2))
    take_step = stepper_of(Mean(dataclasses.replace(MOONS.spec, classes=0)), rows, batch_size=4)
    state, stage = take_step.state, take_step.stage
    step = Shard(state, take_step.streams, 0, 1, stage)
    drawn = torch.cat([step.batch().x for _ in range(3)])
    assert sorted(drawn.flatten().tolist()) == list(range(24))
    assert step.drawn == {"train": 3}
    state.drawn = step.drawn
    following = Shard(state, take_step.streams, 0, 1, stage).batch()
    assert torch.equal(following.x, take_step.streams["train"](3).x)


def test_streams_are_counted_apart():
    y = torch.where(torch.arange(len(MOONS.train)) % 4 == 0, MOONS.train.y, -1)
    take_step = stepper_of(Streamed(MOONS.spec), Split(MOONS.train.x, y))
    for _ in range(5):
        take_step()
    assert take_step.state.drawn == {"unlabelled": 10, "labelled": 3}


def test_the_randomness_of_a_step_is_of_seed_and_number():
    take_step = stepper_of(Mean(MOONS.spec), seed=7)
    state = take_step.state
    draws = {}
    for number in (0, 1):
        state.step = number
        shard = Shard(state, take_step.streams, 0, 1, take_step.stage)
        draws[number] = torch.rand(3, generator=shard.generator)
        assert shard.number == number
        source = generator_of(derive_seed(7, "noise", number))
        assert torch.equal(draws[number], torch.rand(3, generator=source))
    assert not torch.equal(draws[0], draws[1])


# Shards


def two_shards(model, rows, **asked):
    """Gradients of a step in two shards, and what each shard alone would give."""
    halves = []
    for index in range(2):
        alone = copy.deepcopy(model)
        take_step = stepper_of(alone, rows, shards=2, **asked)
        shard = Shard(take_step.state, take_step.streams, index, 2, take_step.stage)
        shard.enter()
        turn = next(alone.turns(shard))
        parameters = take_step.state.players[turn.player].parameters
        halves.append(torch.autograd.grad(turn.loss, list(parameters)))
    take_step = stepper_of(model, rows, shards=2, clip=0.0, **asked)
    take_step()
    return [p.grad for p in model.parameters()], halves


@pytest.mark.parametrize("name", ["vae", "pixelcnn"])
def test_shards_average_the_gradients_of_the_halves(name):
    model = tiny(name)
    together, halves = two_shards(model, DIGITS.train, batch_size=32, precision="float32")
    for gradient, first, second in zip(together, *halves, strict=True):
        assert torch.allclose(gradient, (first + second) / 2, rtol=1e-4, atol=1e-7)
        assert not torch.allclose(first, second, rtol=1e-3, atol=0), "the halves have other noise"


def test_two_shards_without_noise_are_one_batch():
    """A mean of equal halves is the mean of all, but for the order of sums."""
    models = []
    for shards in (1, 2):
        model = Mean(MOONS.spec)
        take_step = stepper_of(model, shards=shards, batch_size=16)
        for _ in range(20):
            played = take_step()
        models.append((model.mean.detach(), played[0].loss))
    assert torch.allclose(models[0][0], models[1][0], rtol=1e-5)
    assert torch.allclose(models[0][1], models[1][1], rtol=1e-5)


def test_two_shards_play_the_same_turns():
    take_step = stepper_of(Duel(MOONS.spec), shards=2)
    assert [turn.player for turn in take_step()] == 3 * ["critic"] + ["generator"]
    assert take_step.state.drawn == {"train": 3}


def test_a_batch_that_cannot_be_cut_is_refused():
    with pytest.raises(DalmError, match="batch of 9 cannot be cut into 2 equal shards; ask for a"):
        stepper_of(Mean(MOONS.spec), batch_size=9, shards=2)


def test_turns_that_depend_on_the_rows_are_refused():
    class Fickle(Mean):
        def turns(self, step):
            x = step.batch().x
            yield Turn("model", self.loss(x))
            if torch.equal(x, first):
                yield Turn("model", self.loss(x))

    take_step = stepper_of(Fickle(MOONS.spec), shards=2)
    first = take_step.streams["train"](0, 0, 2).x
    with pytest.raises(DalmError, match="takes other turns on one shard than on another"):
        take_step()


# Scores and samples along the way


def test_validation_is_the_mean_of_the_density():
    model = tiny("pixelcnn")
    options = FitOptions(steps=1, ema=0.0, device="cpu", precision="float32", lr=0.1)
    expected = -model.log_prob(DIGITS.val.x[:SCORED]).double().mean().item()
    stage = Stage("model", model)
    assert validate(State(model, options), stage, DIGITS) == pytest.approx(expected, abs=1e-5)
    gan = tiny("dcgan")
    assert validate(State(gan, options), Stage("model", gan), DIGITS) is None


@pytest.mark.parametrize("family", [VAE, DCGAN])
def test_a_snapshot_is_drawn_from_the_same_noise_each_time(family):
    model = tiny(family.family)
    options = FitOptions(**{name: FIT[name] for name in ("steps", "device")}, ema=0.0, lr=0.1)
    state = State(model, options)
    assert torch.equal(snapshot(state), snapshot(state))
    assert snapshot(state).shape == (64, 1, 8, 8)


@pytest.mark.parametrize("clip", [1e-3, 1.0, 2.0, 5.0, 1e3])
def test_clipping_gives_the_bits_of_torch(clip):
    ours = torch.nn.Parameter(torch.zeros(4))
    theirs = torch.nn.Parameter(torch.zeros(4))
    ours.grad = torch.tensor([3.0, -4.0, 0.0, 1e-3])
    theirs.grad = ours.grad.clone()
    clip_gradients([ours], clip)
    torch.nn.utils.clip_grad_norm_([theirs], clip)
    assert torch.equal(ours.grad, theirs.grad)


def test_a_float32_loss_is_the_same_in_a_caller_of_half_precision():
    plain, under = (stepper_of(tiny("vae"), DIGITS.train, precision="float32") for _ in range(2))
    [ours] = plain()
    with torch.autocast("cpu", torch.bfloat16):
        [theirs] = under()
    assert torch.equal(ours.loss, theirs.loss)


def test_parameters_that_no_player_owns_gather_no_gradient():
    class Bystander(Mean):
        """Shifts its loss by a parameter that is nobody's."""

        family = "test-bystander"

        def setup(self):
            super().setup()
            self.shift = torch.nn.Parameter(torch.ones(()))

        def players(self):
            return {"model": Player([self.mean])}

        def turns(self, step):
            yield Turn("model", self.loss(step.batch().x + self.shift))

    model = Bystander(MOONS.spec)
    stepper_of(model)()
    assert model.mean.grad is not None
    assert model.shift.grad is None
