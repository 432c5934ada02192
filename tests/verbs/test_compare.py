"""Comparisons in Python: what a resume keeps and refuses, and what becomes of rows whose runs were
damaged or edited.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tiny import listing

import dalm
from dalm.errors import DalmError
from dalm.models import FAMILIES, REFERENCES
from dalm.records import read_meta, write_scoreboard
from dalm.verbs import report

DATA = dalm.load_data("ring8", n=200)
ASKED = {"families": ["gaussian", "kde"], "steps": 5, "device": "cpu", "progress": False}
NAMES = ["gaussian", "kde", "held-out real data", "copycat", "histogram", "noise"]
NAMES += ["noisy copycat", "collapsed copycat"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr("dalm.verbs.scores.evaluate", lambda *_, **__: {})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dalm.verbs.scores.evaluate", lambda *_, **__: {})
        dalm.compare(DATA, out=(out := tmp_path_factory.mktemp("made") / "board"), **ASKED)
    return out


@pytest.fixture
def board(made, tmp_path):
    return Path(shutil.copytree(made, tmp_path / "board"))


def rows_of(board: Path) -> dict[str, dict]:
    return {row["name"]: row for row in json.loads((board / "scoreboard.json").read_text())["rows"]}


def page_of(board: Path) -> str:
    return report([board]).read_text()


def improve(path: Path) -> None:
    """Edit a file of figures."""
    path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": 0.001}))


# Resuming


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"lr": 0.5}, "lr None, not 0.5"),
        ({"steps": 6}, "steps 5, not 6"),
        ({"steps": None}, "seconds None, not 60.0"),
        ({"patience": 3}, "patience 10, not 3"),
        ({"seed": 1}, "seed 0, not 1"),
    ],
    ids=str,
)
def test_resume_refuses_another_option(board, asked, words):
    before = listing(board)
    with pytest.raises(DalmError, match=f"holds a comparison with {words}; ask for the same"):
        dalm.compare(DATA, out=board, resume=True, **ASKED | asked)
    assert listing(board) == before


def test_resume_keeps_the_rows_of_families_not_asked_for(board):
    before = rows_of(board)
    dalm.compare(DATA, out=board, resume=True, **ASKED | {"families": ["gaussian"]})
    assert rows_of(board) == before
    dalm.compare(DATA, out=board, resume=True, **ASKED | {"families": ["discriminant"]})
    assert set(rows_of(board)) == {*NAMES, "discriminant"}


def test_resume_takes_a_comparison_from_before_compiling_was_a_choice(board):
    content = json.loads((board / "scoreboard.json").read_text())
    write_scoreboard(board, content | {"fit": content["fit"] | {"compile": False}})
    before = rows_of(board)
    dalm.compare(DATA, out=board, resume=True, **ASKED)
    assert rows_of(board) == before


def test_a_comparison_fills_the_folder_where_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert dalm.compare(DATA, out=".", **ASKED)["kde"]["error"] is None


def test_resume_in_one_order_gives_that_order(board):
    dalm.compare(DATA, out=board, resume=True, **ASKED)
    assert list(rows_of(board)) == NAMES


def test_resume_scores_again_what_was_scored_with_another_seed(board):
    before = rows_of(board)
    dalm.score(board / "kde", DATA, seed=7)
    kept = (board / "gaussian/metrics.json").read_bytes()
    dalm.compare(DATA, out=board, resume=True, **ASKED)
    assert json.loads((board / "kde/metrics.json").read_text())["seed"] == 0
    assert rows_of(board)["kde"]["scores"] == before["kde"]["scores"]
    assert (board / "gaussian/metrics.json").read_bytes() == kept


def test_the_reference_of_held_out_data_learned_from_validation(board):
    learned = {
        name: read_meta(board / name.replace(" ", "-"))["fit"]["learn_from"] for name in NAMES
    }
    assert {name for name, split in learned.items() if split == "val"} == {"held-out real data"}
    with pytest.raises(DalmError, match=r"decides learn_from .*leave it out, got 'val'"):
        dalm.compare(DATA, out=board.with_name("other"), learn_from="val", **ASKED)
    assert not board.with_name("other").exists()


# Damage


def test_one_damaged_run_does_not_lose_the_others(board):
    (board / "kde/weights.safetensors").write_bytes(b"")
    (board / "histogram/run.json").write_text("{")
    page = page_of(board)
    assert "weights.safetensors is not what the run wrote" in page
    assert "is not the description of a run" in page
    assert "gaussian" in page
    assert not json.loads((board / "scoreboard.json").read_text())["rows"][1]["error"], (
        "the report edits no scoreboard"
    )


def test_a_report_checks_only_what_it_shows(board):
    shutil.copytree(board / "kde", board / "stray")
    (board / "stray/weights.safetensors").write_bytes(b"")
    shutil.copytree(board / "stray", board / "gaussian/stray")
    assert "is not what the run wrote" not in page_of(board)
    assert report([board / "gaussian"]).exists()


def test_edited_figures_are_not_reported(board):
    improve(board / "kde/metrics.json")
    with pytest.raises(DalmError, match=r"metrics\.json was edited or damaged.*dalm score"):
        report([board / "kde"])
    assert "metrics.json was edited or damaged" in page_of(board)
    dalm.compare(DATA, out=board, resume=True, **ASKED)
    assert [
        name
        for name, row in rows_of(board).items()
        if "metrics.json was edited" in str(row["error"])
    ] == ["kde"]
    dalm.score(board / "kde", DATA)
    dalm.compare(DATA, out=board, resume=True, **ASKED)
    assert not any(row["error"] for row in rows_of(board).values())


def test_figures_of_other_weights_are_not_reported(board):
    shutil.copy(board / "gaussian/metrics.json", board / "kde/metrics.json")
    with pytest.raises(DalmError, match="measured on other weights"):
        report([board / "kde"])


@pytest.mark.parametrize("content", ["", "[1]", "{}", "null"])
def test_figures_that_are_none_are_named(board, content):
    (board / "kde/metrics.json").write_text(content)
    with pytest.raises(DalmError, match=r"metrics\.json was edited or damaged"):
        report([board / "kde"])


def test_an_edited_scoreboard_is_not_reported(board):
    improve(board / "scoreboard.json")
    before = listing(board)
    for verb in (
        lambda: report([board]),
        lambda: dalm.compare(DATA, out=board, resume=True, **ASKED),
    ):
        with pytest.raises(DalmError, match=r"scoreboard\.json was edited or damaged"):
            verb()
    assert listing(board) == before


# Seeds


def test_seeds_fit_each_row_again_but_closed_forms_once(tmp_path):
    asked = ASKED | {"families": ["gaussian", "vae"], "seed": 3}
    found = dalm.compare(DATA, out=tmp_path / "board", seeds=3, **asked)
    row = found["vae"]
    assert [fit["seed"] for fit in row["seeds"]] == [3, 4, 5]
    assert [fit["run"] for fit in row["seeds"]] == ["vae", "vae-seed4", "vae-seed5"]
    weights = {read_meta(found.path / fit["run"])["weights"] for fit in row["seeds"]}
    assert len(weights) == 3
    assert "seeds" not in found["gaussian"]
    assert not (found.path / "gaussian-seed4").exists()
    again = dalm.fit("vae", DATA, seed=4, steps=5, device="cpu", progress=False, out=tmp_path / "v")
    assert again.meta["weights"] in weights


def test_seeds_are_added_to_what_is_there_and_resumed(tmp_path, monkeypatch):
    asked = ASKED | {"families": ["vae"], "out": tmp_path / "board"}
    first = dalm.compare(DATA, **asked)
    kept = (first.path / "vae/weights.safetensors").stat().st_mtime_ns
    more = dalm.compare(DATA, resume=True, seeds=2, **asked)
    assert [fit["run"] for fit in more["vae"]["seeds"]] == ["vae", "vae-seed1"]
    assert (first.path / "vae/weights.safetensors").stat().st_mtime_ns == kept
    with pytest.raises(DalmError, match="1 or more; got 0"):
        dalm.compare(DATA, seeds=0, **asked | {"out": tmp_path / "none"})


FIXED = [one for one in (*FAMILIES, *REFERENCES) if not getattr(one, "seeded", True)]


@pytest.mark.parametrize("family", FIXED)
def test_what_no_seed_changes_is_the_same_with_another(family, tmp_path):
    assert len(FIXED) == 5
    runs = [
        dalm.fit(family(DATA.spec), DATA, seed=seed, out=tmp_path / str(seed), progress=False)
        for seed in (0, 1)
    ]
    assert runs[0].meta["weights"] == runs[1].meta["weights"]
