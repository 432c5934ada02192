"""What `score` gives back and leaves on disk."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
from draws import number

import dalm
from dalm.data import Data
from dalm.errors import DalmError
from dalm.records import RunFolder
from dalm.records.score import Score, find_score, score_records
from dalm.train import Run
from dalm.verbs.scores import Scores


@pytest.fixture(scope="module")
def data() -> Data:
    return dalm.load_data("ring8", n=300)


@pytest.fixture(scope="module")
def run(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return dalm.fit("gaussian", data, out=tmp_path_factory.mktemp("score") / "run", progress=False)


@pytest.fixture(scope="module")
def scores(run: Run, data: Data) -> Scores:
    return dalm.score(run, data, full=True)


def test_scores_are_found_by_name_and_counted(scores: Scores, data: Data) -> None:
    assert scores["bits_per_dim"].label == "exact"
    assert scores["bits_per_dim"].n == len(data.test)
    assert "kid" in scores
    assert "fid" not in scores
    assert len(scores) == len(list(scores)) == 14 + 8, "those that choose, on validation too"
    with pytest.raises(DalmError, match="Did you mean 'kid'"):
        scores["fid"]


def test_the_file_holds_the_list_of_records(scores: Scores, run: Run) -> None:
    kept = json.loads(scores.path.read_text())
    assert scores.path == run.path / "metrics.json"
    assert kept == scores.to_json()
    assert kept["format"] == 2
    assert kept["scores"] == [score.to_json() for score in scores] == score_records(kept)
    splits = [record["split"] for record in kept["scores"]]
    assert splits == ["test"] * 14 + ["val"] * 8
    names = [record["metric"] for record in kept["scores"]]
    assert names[:2] == ["bits_per_dim", "frechet"]
    assert all(record["title"] for record in kept["scores"])
    assert set(names) < set(kept["explain"])
    assert {"samples_per_second", "parameters", "seconds"} <= set(kept["explain"])
    assert kept["weights"] == run.meta["weights"]


def test_scores_print_as_a_table(scores: Scores) -> None:
    headings, *lines = repr(scores).splitlines()
    assert headings.split() == ["score", "value", "unit", "label", "n", "remark"]
    assert len(lines) == 14, "those on test data"
    score = scores["bits_per_dim"]
    title, value, sign, half = lines[0].split()[:4]
    assert (title, sign) == ("bits/dim", "±")
    assert float(value) == pytest.approx(number(score.value), abs=number(score.high) / 100)
    assert float(half) == pytest.approx(number(score.high) - number(score.value), rel=0.05)
    assert len(value) == len(half), "the value has the digits that its interval allows"
    assert scores._repr_html_().count("<tr>") == 14 + 1


def test_the_table_gives_reasons_and_flags() -> None:
    facts = {"metric": "kid", "title": "KID", "unit": "squared MMD", "direction": "lower"}
    scores = (
        Score(value=None, n=2, note="too few rows", **facts),
        Score(value=math.inf, n=2000, note="impossible data", **facts),
        Score(value=1.0, n=2000, flag="copies", subset="class 3", **facts),
        Score(value=36.8, low=36.04, high=37.56, n=2, **facts),
        Score(value=3.0, low=3.0, high=3.0, n=2, **facts),
        Score(value=1.0, low=-math.inf, high=math.inf, n=1, **facts),
    )
    _, rows = Scores(Path("metrics.json"), scores, {}).table()
    assert [row[-1] for row in rows] == ["too few rows", "", "copies", "", "", ""]
    assert [row[1] for row in rows] == ["–", "inf", "1", "36.80 ± 0.76", "3 ± 0", "1 ± inf"]
    assert [row[0] for row in rows] == ["KID", "KID", "KID (class 3)", "KID", "KID", "KID"]
    assert rows[2][4] == "2,000"


@pytest.mark.parametrize("format_of_before", [1, 2])
def test_a_proof_outlives_a_new_score(run: Run, data: Data, format_of_before: int) -> None:
    proven = Score(metric="proven", value=2.5, n=500, unit="bits/dim", direction="lower")
    record = proven.to_json()
    before = {"scores": [record], "format": 2}
    if format_of_before == 1:
        named = {k: v for k, v in record.items() if k not in ("metric", "split", "subset")}
        before = {"metrics": {"proven": named}}
    run.keep_scores(before | {"proof": {"sealed": True}})

    scores = dalm.score(run, data, full=True)
    assert scores["proven"] == proven
    assert scores.to_json()["proof"] == {"sealed": True}
    assert json.loads(scores.path.read_text())["scores"][-1] == record
    run.keep_scores({"scores": [], "format": 2})
    assert "proof" not in dalm.score(run, data, full=True).to_json()


def test_the_bits_of_each_row_are_kept_and_their_mean_is_the_score(
    scores: Scores, run: Run
) -> None:
    each = RunFolder(run.path).each
    for split in ("test", "val"):
        record = find_score(score_records(scores.to_json()), "bits_per_dim", split)
        assert each[f"bits_per_dim.{split}"].mean() == pytest.approx(record["value"])
        assert list(each[f"bits_per_dim.{split}.rows"]) == list(range(record["n"]))


def test_an_edited_file_of_rows_is_not_believed(scores, run, tmp_path):
    shutil.copytree(run.path, copy := tmp_path / "run")
    assert RunFolder(copy).each
    (copy / "scores.npz").write_bytes(b"PK" + (copy / "scores.npz").read_bytes()[2:-1])
    assert RunFolder(copy).each == {}
    (copy / "scores.npz").unlink()
    assert RunFolder(copy).each == {}
