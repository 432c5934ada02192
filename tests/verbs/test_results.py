"""What verbs give back prints well, and answers by name."""

from __future__ import annotations

import json

import numpy as np
import pytest

import dalm
from dalm.cli import main
from dalm.errors import DalmError
from dalm.records import with_digest
from dalm.verbs.boards import rows_there
from dalm.verbs.results import Listing, words

DATA = dalm.load_data("ring8", n=200)


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dalm.verbs.scores.evaluate", lambda *_, **__: {})
        out = tmp_path_factory.mktemp("made") / "board"
        return dalm.compare(
            DATA, families=["gaussian", "dcgan"], steps=5, device="cpu", progress=False, out=out
        )


def test_a_scoreboard_prints_its_rows_and_the_page(board):
    said = repr(board)
    assert all(row["name"] in said for row in board.rows)
    assert str(board.report) in said
    assert "dcgan: needs images" in said, "what failed says why"
    html = board._repr_html_()
    assert html.count("<tr>") == 1 + len(board.rows)
    assert "held-out real data" in html


def test_a_scoreboard_answers_by_name(board):
    assert board["gaussian"]["error"] is None
    assert board["held-out real data"]["learn_from"] == "val"
    assert {row["kind"] for row in board.rows} == {"model", "reference"}
    with pytest.raises(DalmError, match="Did you mean 'gaussian'"):
        board["gausian"]
    assert board.path.is_dir()
    content = json.loads((board.path / "scoreboard.json").read_text())
    assert content.pop("digest")
    assert board.to_json() == content | {"report": str(board.report)}


def test_rows_of_an_older_comparison_are_gone_on_with(board):
    path = board.path / "scoreboard.json"
    content = json.loads(path.read_text())
    record = {"value": 1.5, "n": 9}
    old = {"name": "kde", "family": "kde", "reference": False, "metrics": {"kid": record}}
    old |= {"bits_per_dim": record | {"label": "exact"}}
    path.write_text(json.dumps(with_digest(content | {"rows": [old]})))
    [row] = rows_there(board.path, content, resume=True)
    path.write_text(json.dumps(content))
    assert row["kind"] == "model"
    assert [record["metric"] for record in row["scores"]] == ["bits_per_dim", "kid"]
    assert not {"metrics", "bits_per_dim"} & row.keys()


def test_rows_are_shown_as_they_arrive(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("dalm.verbs.scores.evaluate", lambda *_, **__: {})
    seen = []
    asked = {"families": ["gaussian"], "steps": 5, "device": "cpu"}
    dalm.compare(DATA, out=tmp_path / "a", show=lambda rows: seen.append(len(rows)), **asked)
    assert seen == [1, 2, 3, 4, 5, 6, 7]
    assert "gaussian: done" in capsys.readouterr().out
    dalm.compare(DATA, out=tmp_path / "b", progress=False, **asked)
    assert capsys.readouterr().out == ""


def test_a_comparison_as_json_is_json_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("dalm.verbs.scores.evaluate", lambda *_, **__: {})
    asked = ["--n", "200", "--families", "gaussian", "--steps", "5", "--json"]
    assert main(["compare", "ring8", *asked, "--out", str(tmp_path / "board")]) == 0
    assert {row["name"] for row in json.loads(capsys.readouterr().out)["rows"]} > {"gaussian"}


def test_listings_answer_by_name():
    assert dalm.families()["vae"]["year"] == 2014
    assert len(dalm.families()) == len(list(dalm.families()))
    assert "moons" in repr(dalm.sources())
    assert "<td>moons</td>" in dalm.sources()._repr_html_()
    with pytest.raises(DalmError, match="Did you mean 'vae'"):
        dalm.families()["vea"]


def test_facts_in_words():
    assert [words(value) for value in (None, True, False, 3, [1, 2], "a")] == [
        "–",
        "yes",
        "no",
        "3",
        "1, 2",
        "a",
    ]
    assert repr(Listing([{"name": "a"}, {"name": "[b]"}])) == "name\na\n[b]"


def test_samples_come_as_an_array_or_a_file(tmp_path):
    run = dalm.fit("gaussian", DATA, out=tmp_path / "run", progress=False)
    drawn = dalm.sample(run, 5, seed=7)
    assert drawn.shape == (5, 2)
    assert np.array_equal(drawn, dalm.sample(tmp_path / "run", 5, seed=7))
    assert not np.array_equal(drawn, dalm.sample(run, 5, seed=8))
    path = dalm.sample(run, 5, tmp_path / "x.npy", seed=7)
    assert np.array_equal(np.load(path), drawn)
    assert len(dalm.sample(run)) == 64
