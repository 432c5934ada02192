"""How much is scored in some seconds, by costs that the test makes up."""

from __future__ import annotations

import dataclasses
import json

import pytest

import dalm
from dalm.data import Split
from dalm.errors import DalmError
from dalm.verbs import sizes
from dalm.verbs.sizes import FULL, LEAST, affordable, reckon, seconds_for

QUICK = {"progress": False, "validations": 0, "snapshots": 0}


def spending(fixed, each, seconds, first=0.0, least=20, most=5000):
    """The rows chosen, and the seconds that tries and rows cost together."""
    spent = []

    def cost(rows):
        spent.append(fixed + each * rows + (0.0 if spent else first))
        return spent[-1]

    rows = affordable(cost, seconds, least, most)
    return rows, sum(spent) + fixed + each * rows


@pytest.mark.parametrize("fixed", [0.0, 0.01, 0.3])
@pytest.mark.parametrize("each", [1e-4, 3e-3, 0.02])
@pytest.mark.parametrize("first", [0.0, 0.5])
def test_the_seconds_are_kept_and_most_of_them_used(fixed, each, first):
    rows, seconds = spending(fixed, each, 10.0, first)
    assert seconds < 10.1
    assert rows == 5000 or seconds > 5.0


def test_a_model_that_is_too_slow_gets_the_least():
    assert spending(0.0, 5.0, 10.0)[0] == 20
    assert spending(30.0, 0.001, 10.0)[0] == 20
    assert spending(0.0, 5.0, 10.0, most=7)[0] == 7, "there are no more"


def test_scoring_gets_half_of_a_budget_and_some_seconds_always():
    assert seconds_for({"fit": {"seconds": 60.0}}) == 30.0
    assert seconds_for({"fit": {"seconds": 1.0}}) == sizes.FLOOR
    assert seconds_for({"fit": {"seconds": None}}) is None


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run that was stopped half way, on data with a small test split."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    data = dalm.load_data("digits")
    run = dalm.fit("vae", data, net="mlp", width=16, steps=30, out=folder, **QUICK)
    return run, data


def test_slow_models_are_scored_on_less_and_it_is_said(stopped, monkeypatch):
    run, data = stopped
    monkeypatch.setattr(sizes, "affordable", lambda cost, seconds, least, most: least)
    monkeypatch.setattr(sizes, "_known", {})
    few = dalm.score(run, data, seconds=1.0)
    assert few.record["sizes"] == {
        "samples": 250,
        "heldout": 250,
        "likelihoods": 100,
        "tightened": 20,
    }
    assert few["bits_per_dim"].n == LEAST.likelihoods
    assert few["importance_bits_per_dim"].n == LEAST.tightened
    assert few["precision"].n == min(LEAST.samples, len(data.val)), "as many of both"
    assert "1 s allow for 250 samples" in few.legend[0]
    assert "--full" in few.legend[0]
    every = dalm.score(run, data, seconds=1.0, full=True)
    assert every["bits_per_dim"].n == len(data.test)
    assert every.legend == []
    wide, narrow = (
        found["bits_per_dim"].high - found["bits_per_dim"].low for found in (few, every)
    )
    assert wide > narrow, "the interval says what was saved"


def test_a_budget_of_steps_is_scored_whole(stopped, monkeypatch):
    run, data = stopped
    monkeypatch.setattr(sizes, "affordable", lambda *_: pytest.fail("it was reckoned"))
    assert reckon(run.model, data, None) == FULL
    assert dalm.score(run, data).record["sizes"]["samples"] == FULL.samples


def test_a_stopped_run_is_warned_of(stopped, monkeypatch):
    run, data = stopped
    monkeypatch.setitem(run.meta, "state", "stopped")
    found = dalm.score(run, data)
    assert "stopped at step 30 of 30" in found.record["warning"]
    assert found.record["warning"] in found.legend
    kept = json.loads((run.path / "metrics.json").read_text())
    assert kept["warning"] == found.record["warning"]


def test_a_handful_of_test_rows_is_warned_of(stopped, monkeypatch):
    run, data = stopped
    few = dataclasses.replace(data, test=Split(data.test.x[:1], data.test.y[:1]))
    said = sizes.remarks(run, few, FULL, None)
    assert said == {
        "warning": "The test split has 1 row; no score of so few says which model is better"
    }
    assert sizes.remarks(run, data, FULL, None) == {}


def test_seconds_that_are_none_are_refused(stopped):
    with pytest.raises(DalmError, match="score's seconds is above 0, got -1"):
        dalm.score(stopped[0], stopped[1], seconds=-1)
