"""What one measure and one score promise."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

import dalm
from dalm import metrics
from dalm.core import Spec
from dalm.errors import DalmError
from dalm.metrics import Evidence, Measure
from dalm.metrics.evidence import Need
from dalm.models import VAE, Copycat, Gaussian, Noise
from dalm.records.score import Score

POINTS = Spec((1,))
LABELLED = Spec((1,), classes=2)
SMALL: dict[str, Any] = {"latent": 1, "width": 4, "depth": 1}

KEYS = {
    "unranked",
    "checked",
    "metric",
    "title",
    "value",
    "low",
    "high",
    "n",
    "unit",
    "direction",
    "split",
    "subset",
    "features",
    "label",
    "flag",
    "note",
    "unreliable",
}
SCORE = functools.partial(Score, metric="bits", n=5, unit="bits/dim", direction="lower")


def test_json_has_the_keys_of_the_format_and_no_infinity() -> None:
    record = SCORE(value=math.inf, low=1.0, high=math.inf, note="why").to_json()
    assert set(record) == KEYS
    assert json.loads(json.dumps(record, allow_nan=False))["value"] is None
    assert record["low"] == 1.0
    assert record["high"] is None
    assert record["note"] == "value is inf; high is inf; why"


@pytest.mark.parametrize(
    ("value", "low", "high", "direction", "note"),
    [
        (math.nan, 0, 1, "lower", ""),
        (2, 0, 1, "lower", ""),
        (None, None, None, "lower", ""),
        (1, 0, 2, "up", ""),
    ],
)
def test_a_score_refuses_nonsense(
    value: float | None, low: float | None, high: float | None, direction: str, note: str
) -> None:
    with pytest.raises(DalmError):
        SCORE(value=value, low=low, high=high, direction=direction, note=note)


# A measure


def count(evidence: Evidence) -> Score:
    return ROWS.score(float(len(evidence.sets.samples)), n=len(evidence.sets.samples))


ROWS = Measure(
    name="rows",
    title="Rows drawn",
    unit="rows",
    direction="higher",
    meaning="How many samples there are.",
    needs={"samples"},
    compute=count,
)


def needing(need: Need) -> Measure:
    """A measure that is called what it needs."""
    measure = dataclasses.replace(
        ROWS, name=need, needs={need}, compute=lambda _: measure.score(1.0, n=1)
    )
    return measure


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make measures the only ones."""
    return lambda *measures: monkeypatch.setattr(metrics, "MEASURES", measures)


def test_a_new_measure_touches_its_file_and_the_tuple(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(metrics, "MEASURES", (ROWS, *metrics.MEASURES))
    data = dalm.load_data("ring8", n=200)

    scores = metrics.evaluate(data.val.x[:30], data.train.x, data.test.x, data.spec)
    assert scores[0] == ROWS.score(30.0, n=30)
    assert metrics.meanings()["rows"] == "How many samples there are."
    assert scores[0].title == "Rows drawn"

    run = dalm.fit("gaussian", data, out=tmp_path / "run", progress=False)
    found = dalm.score(run, data, full=True)
    assert found["rows"].value == 2000
    assert repr(found).splitlines()[1].split() == ["Rows", "drawn", "2000", "rows", "2,000"]

    kept = json.loads((tmp_path / "run/metrics.json").read_text())
    assert kept["scores"][0] == ROWS.score(2000.0, n=2000).to_json()
    assert kept["scores"][0]["title"] == "Rows drawn"
    assert kept["explain"]["rows"] == "How many samples there are."


def test_every_measure_says_what_it_is() -> None:
    names = [measure.name for measure in metrics.MEASURES]
    assert len(set(names)) == len(names)
    assert len({measure.title for measure in metrics.MEASURES}) == len(names)
    assert list(metrics.meanings()) == [*names, *metrics.COSTS]
    for measure in metrics.MEASURES:
        assert measure.meaning[0].isupper(), measure.name
        assert measure.meaning[-1] in ".?", measure.name
        assert measure.unit, measure.name
        assert measure.needs <= set(get_args(Need)), measure.name


def test_what_cannot_be_computed_has_a_reason(only: Callable[..., None]) -> None:
    def refuse(evidence: Evidence) -> Score:
        raise DalmError("too blue")

    only(dataclasses.replace(ROWS, compute=refuse))
    x = torch.zeros(9, 1)
    (score,) = metrics.evaluate(x[:4], x, x, POINTS, limit=3)
    assert (score.value, score.note, score.n) == (None, "too blue", 0)


def test_a_mistake_in_a_measure_is_not_hidden(only: Callable[..., None]) -> None:
    only(dataclasses.replace(ROWS, compute=lambda _: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        metrics.evaluate(torch.zeros(4, 1), torch.zeros(4, 1), torch.zeros(4, 1), POINTS)


def test_a_measure_may_give_a_score_for_each_class(only: Callable[..., None]) -> None:
    def by_class(evidence: Evidence) -> list[Score]:
        assert evidence.labels is not None
        sizes = enumerate(evidence.labels.bincount().tolist())
        return [ROWS.score(1.0 * size, n=size, subset=f"class {label}") for label, size in sizes]

    only(dataclasses.replace(ROWS, needs={"labels"}, compute=by_class))
    x = torch.zeros(3, 1)
    scores = metrics.evaluate(None, x, x, POINTS, labels=torch.tensor([0, 1, 1]))
    assert [(score.subset, score.value) for score in scores] == [("class 0", 1.0), ("class 1", 2.0)]


@pytest.mark.parametrize(
    ("material", "met"),
    [
        ({}, set()),
        ({"samples": torch.zeros(4, 1)}, {"samples", "features"}),
        ({"labels": torch.zeros(4)}, {"labels"}),
        ({"model": Gaussian(POINTS)}, {"likelihood"}),
        (
            {"model": VAE(LABELLED, **SMALL, conditional=True)},
            {"likelihood", "bound", "classifier"},
        ),
        ({"model": VAE(POINTS, **SMALL)}, {"likelihood", "bound"}),
        ({"model": Noise(POINTS)}, {"likelihood"}),
        ({"model": Copycat(POINTS)}, set()),
    ],
)
def test_a_measure_whose_needs_are_not_met_is_left_out(
    only: Callable[..., None], material: dict[str, Any], met: set[Need]
) -> None:
    only(*map(needing, get_args(Need)))
    x = torch.zeros(4, 1)
    scores = metrics.evaluate(**{"samples": None} | material, train=x, heldout=x, spec=POINTS)
    assert {score.metric for score in scores} == met
