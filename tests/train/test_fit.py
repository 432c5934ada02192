"""`fit`: the same seed gives the same bits, as a loop written by hand does, and bad requests change
nothing.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from typing import Any

import numpy as np
import pytest
import torch
from tiny import DIGITS, FIT, listing, log_of, run_of, tiny, weights
from toys import MOONS, Duel

from dalm.core import Spec
from dalm.data import load_data
from dalm.errors import DalmError
from dalm.testing.general import generator_of
from dalm.train import FitOptions, Run, fit
from dalm.train.batches import Batches
from dalm.train.schedule import learning_rate
from dalm.train.seeds import derive_seed
from dalm.train.step import Shard

LEARNERS = ["vae", "pixelcnn", "dcgan"]


# Determinism


@pytest.mark.parametrize("name", LEARNERS)
def test_same_seed_same_bits(tmp_path, name):
    first = run_of(name, tmp_path / "first", seed=3)
    second = run_of(name, tmp_path / "second", seed=3)
    other = run_of(name, tmp_path / "other", seed=4)
    assert weights(first) == weights(second)
    assert weights(first) != weights(other)
    for path in sorted((first.path / "samples").iterdir()):
        assert path.read_bytes() == (second.path / "samples" / path.name).read_bytes()


@pytest.mark.parametrize("name", LEARNERS)
def test_the_global_generator_is_left_alone(tmp_path, name):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    legacy = np.random.get_state()[1].copy()  # noqa: NPY002
    torch.rand(3)
    run_of(name, tmp_path / "noisy")
    torch.manual_seed(5)
    run = run_of(name, tmp_path / "quiet")
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(legacy, np.random.get_state()[1])  # noqa: NPY002
    assert weights(run) == weights(tmp_path / "noisy"), (
        "the result depends on the state of the global generator"
    )


def test_the_global_generator_is_left_alone_by_a_budget_of_seconds(tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    run_of("vae", tmp_path / "run", steps=None, seconds=0.2)
    assert torch.equal(before, torch.get_rng_state())


def test_training_can_run_beside_the_main_thread(tmp_path):
    worker = threading.Thread(target=run_of, args=("vae", tmp_path / "beside"))
    worker.start()
    worker.join()
    assert weights(tmp_path / "beside") == weights(run_of("vae", tmp_path / "main"))


@pytest.mark.parametrize("clip", [0.0, 0.5])
def test_fit_is_the_loop_one_would_write_by_hand(tmp_path, clip):
    run = run_of("vae", tmp_path / "run", ema=0.0, validations=0, clip=clip, precision="float32")
    options = FitOptions(**run.meta["fit"])
    model = tiny("vae").train()
    model.adapt(DIGITS.train.x, None)
    optimiser = torch.optim.AdamW(
        model.parameters(), betas=(0.9, 0.999), weight_decay=0.0, fused=True
    )
    batches = Batches(DIGITS.train, 32, 0, "cpu")
    for step in range(20):
        source = generator_of(derive_seed(0, "noise", step))
        likelihood, divergence = model.bound(batches(step).x, None, source)
        loss = -(likelihood - divergence).mean() / model.spec.dims
        optimiser.zero_grad()
        loss.backward()
        if clip:
            torch.nn.utils.clip_grad_norm_(list(model.parameters()), clip)
        optimiser.param_groups[0]["lr"] = learning_rate(options, step)
        optimiser.step()
    for name, value in model.state_dict().items():
        assert torch.equal(value, run.model.state_dict()[name]), f"{name} differs"


def test_initial_weights_follow_the_seed():
    first = tiny("vae", seed=1).encoder[1][0].weight
    second = tiny("vae", seed=1).encoder[1][0].weight
    other = tiny("vae", seed=2).encoder[1][0].weight
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("steps", [1, 5, 13])
@pytest.mark.parametrize("name", ["vae", "dcgan"])
def test_a_short_fit_learns_from_all_its_steps(tmp_path, name, steps):
    def moved_from(before, after):
        return any(not torch.equal(value, after[key]) for key, value in before.items())

    kept = [dict(tiny(name).named_parameters())]
    for count in (steps, steps + 1):
        asked = {"steps": count, "validations": 1, "schedule": "constant"}
        run = run_of(name, tmp_path / str(count), **asked)
        kept.append(dict(run.model.named_parameters()))
    assert moved_from(kept[0], kept[1]), "the result is the initial weights"
    assert moved_from(kept[1], kept[2]), "one more step changed nothing"


def test_the_model_is_left_ready_to_use(tmp_path):
    model = tiny("pixelcnn")
    run = fit(model, DIGITS, out=tmp_path / "run", **FIT)
    assert run.model is model
    assert not any(module.training for module in model.modules())
    assert model.spec == Spec((1, 8, 8), 17, 10)


# The record of a fit


def test_the_log_names_players_and_terms(tmp_path):
    duel = fit(Duel(MOONS.spec), MOONS, out=tmp_path / "duel", **FIT)
    lines = [line for line in log_of(duel) if "loss" in line]
    assert all(set(line["loss"]) == {"critic", "generator"} for line in lines)
    assert all(set(line["terms"]) == {"distance"} for line in lines)
    assert all(line["loss"]["critic"] == -line["terms"]["distance"] for line in lines)
    vae = run_of("vae", tmp_path / "vae")
    for line in log_of(vae):
        if "loss" in line:
            parts = line["terms"]["reconstruction"] + line["terms"]["divergence"]
            assert line["loss"]["model"] == pytest.approx(parts, abs=1e-5)


def test_how_each_player_is_optimised_is_recorded(tmp_path):
    run = fit(Duel(MOONS.spec), MOONS, out=tmp_path / "run", **FIT)
    meta = json.loads((run.path / "run.json").read_text())
    assert meta["players"] == {
        "critic": {
            "optimiser": "SGD",
            "lr": 0.1,
            "betas": None,
            "clip": 0.5,
            "ema": 0.0,
            "weight_decay": 0.0,
        },
        "generator": {
            "optimiser": "AdamW",
            "lr": 0.05,
            "betas": [0.5, 0.9],
            "clip": 0.0,
            "ema": 0.9,
            "weight_decay": 0.1,
        },
    }
    assert meta["units"] == {"loss": "units", "distance": "units"}


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


# What is refused


def test_data_of_another_spec_are_refused(tmp_path):
    with pytest.raises(DalmError, match=r"built for Spec.*but the data are Spec"):
        fit(tiny("vae"), load_data("ring8", n=100), out=tmp_path / "run", **FIT)
    assert listing(tmp_path) == {}


def test_an_existing_folder_is_refused_and_untouched(tmp_path):
    run_of("vae", tmp_path / "run")
    (tmp_path / "file").write_text("mine")
    before = listing(tmp_path)
    for name in ("run", "file"):
        for family in ("kde", "vae"):
            with pytest.raises(DalmError, match="exists already; nothing was changed"):
                run_of(family, tmp_path / name)
    assert listing(tmp_path) == before


@pytest.mark.parametrize("family", ["kde", "vae"])
@pytest.mark.parametrize("resume", [False, True])
def test_an_empty_folder_is_as_good_as_none(tmp_path, family, resume):
    (tmp_path / "run").mkdir()
    run = run_of(family, tmp_path / "run", resume=resume)
    assert run.meta["state"] == "done"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_that_was_made_meanwhile_is_left_alone(tmp_path, monkeypatch):
    """Another process finished a run there between the first look and the end of the first step."""
    publish = Run.publish

    def late(run, folder):
        folder.mkdir()
        (folder / "run.json").write_text("another's")
        return publish(run, folder)

    monkeypatch.setattr(Run, "publish", late)
    for family in ("kde", "vae"):
        with pytest.raises(DalmError, match=r"another process made .* meanwhile"):
            run_of(family, tmp_path / family)
        assert (tmp_path / family / "run.json").read_text() == "another's"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kde", "vae"]


def test_a_folder_that_was_made_while_its_lock_was_waited_for_is_refused(tmp_path, monkeypatch):
    @contextlib.contextmanager
    def hold(folder):
        folder.mkdir()
        (folder / "run.json").write_text("another's")
        yield

    monkeypatch.setattr(sys.modules["dalm.train.fit"], "hold", hold)
    with pytest.raises(DalmError, match="exists already; nothing was changed"):
        run_of("vae", tmp_path / "run")
    assert (tmp_path / "run" / "run.json").read_text() == "another's"


def test_resume_without_a_folder_names_the_runs_that_are_not_finished(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DalmError, match=r"say which one: out, --out$"):
        run_of("vae", None, resume=True)
    for _ in range(2):
        run_of("vae", None)
    run = Run.open("runs/vae-digits-2")
    run.update(state="stopped")
    with pytest.raises(DalmError, match=r"not finished: runs/vae-digits-2$"):
        run_of("vae", None, resume=True)


def test_a_run_is_trained_further_from_its_weights(tmp_path):
    first = run_of("vae", tmp_path / "first")
    before = listing(tmp_path)
    still = run_of("vae", tmp_path / "still", steps=1, lr=1e-30, start_from=str(first.path))
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, still.model.state_dict()[name]), f"{name} differs"
    assert still.meta["fit"]["start_from"] == str(first.path)
    further = run_of("vae", tmp_path / "further", steps=40, start_from=str(first.path))
    assert nats(further.model) > nats(first.model)
    after = listing(tmp_path)
    assert {name: after[name] for name in before} == before, "the first run stays as it was"


def nats(model):
    return model.log_prob(DIGITS.test.x, generator=generator_of()).mean()


def test_a_run_of_another_model_is_no_start(tmp_path):
    run_of("vae", tmp_path / "vae")
    parent = str(tmp_path / "vae")
    with pytest.raises(DalmError, match="latent=2"):
        run_of("vae", tmp_path / "other", own={"latent": 3}, start_from=parent)
    with pytest.raises(DalmError, match="family=vae"):
        run_of("dcgan", tmp_path / "other", start_from=parent)
    with pytest.raises(DalmError, match="kde takes no steps"):
        run_of("kde", tmp_path / "other", start_from=parent)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["vae"]


def test_folders_are_numbered_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [run_of("gaussian", None).path.as_posix() for _ in range(2)] == [
        "runs/gaussian-digits-1",
        "runs/gaussian-digits-2",
    ]


def test_a_learner_that_cannot_start_leaves_nothing(tmp_path, monkeypatch):
    def broken(*_: Any) -> None:
        raise DalmError("no scale")

    model = tiny("vae")
    monkeypatch.setattr(type(model), "adapt", broken)
    with pytest.raises(DalmError, match="no scale"):
        fit(model, DIGITS, out=tmp_path / "run", **FIT)
    assert listing(tmp_path) == {}


def test_a_conditional_model_refuses_rows_without_a_label(tmp_path, part_labelled):
    model = tiny("vae", part_labelled, conditional=True)
    words = r"vae needs a label for each row, and 133 of 200 rows of train have none"
    with pytest.raises(DalmError, match=words):
        fit(model, part_labelled, out=tmp_path / "run", **FIT)
    assert listing(tmp_path) == {}


def test_a_model_without_classes_learns_from_rows_without_a_label(tmp_path, part_labelled):
    run = fit(tiny("vae", part_labelled), part_labelled, out=tmp_path / "run", **FIT)
    assert run.meta["state"] == "done"


def test_randomness_comes_from_the_step(tmp_path, monkeypatch):
    """Dropout takes no generator, and is repeated all the same."""
    seeds = []
    enter = Shard.enter

    def watched(shard):
        seeds.append(shard.seed)
        enter(shard)

    monkeypatch.setattr(Shard, "enter", watched)
    run_of("pixelcnn", tmp_path / "run", steps=3)
    expected = [derive_seed(0, "noise", step) for step in range(3)]
    assert list(dict.fromkeys(seeds)) == expected
