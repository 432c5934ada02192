"""Ctrl-C in this process, and kills in the moments when a run is closed."""

from __future__ import annotations

import json
import signal

import pytest
from tiny import DIGITS, Killed, events_of, log_of, press_ctrl_c_at, run_of, weights

import dalm
from dalm.cli import main
from dalm.errors import DalmError
from dalm.records import check_run
from dalm.train import Run


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """A VAE that was stopped after its fourteenth step."""
    with monkeypatch.context() as patch:
        press_ctrl_c_at(patch, 13)
        return run_of("vae", tmp_path / "run")


def test_ctrl_c_stops_after_the_step_under_way(tmp_path, monkeypatch):
    before = signal.getsignal(signal.SIGINT)  # a shell's background job starts with SIG_IGN
    whole = run_of("dcgan", tmp_path / "whole")
    with monkeypatch.context() as patch:
        press_ctrl_c_at(patch, 13)
        run = run_of("dcgan", tmp_path / "run")
    assert run.meta["state"] == "stopped"
    assert (run.path / "checkpoint.safetensors").exists()
    assert log_of(run)[-1]["step"] == 14
    assert json.loads((run.path / "events.jsonl").read_text().splitlines()[-1])["step"] == 14
    again = run_of("dcgan", tmp_path / "run", resume=True)
    assert weights(again) == weights(whole)
    assert events_of(again) == ["start", "end", "start", "end"]
    assert signal.getsignal(signal.SIGINT) is before, "the ear for Ctrl-C was left on"


def test_a_kill_while_a_resumed_run_is_closed_looks_unfinished(tmp_path, monkeypatch, stopped):
    whole = run_of("vae", tmp_path / "whole")
    update = Run.update

    def dying(run, **changes):
        if changes.get("state") == "done":
            raise Killed
        update(run, **changes)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "update", dying)
        with pytest.raises(Killed):
            run_of("vae", stopped.path, resume=True)
    assert weights(stopped) == weights(whole), (
        "the kill came after the weights and before their description"
    )
    check_run(stopped.path)
    with pytest.raises(DalmError, match=r"incomplete.*--resume"):
        dalm.load(stopped.path)
    assert weights(run_of("vae", stopped.path, resume=True)) == weights(whole)
    assert dalm.load(stopped.path).family == "vae"


def test_scores_of_a_stopped_run_do_not_outlive_its_weights(monkeypatch, stopped):
    monkeypatch.setattr("dalm.verbs.scores.evaluate", lambda *_, **__: {})
    monkeypatch.setattr("dalm.verbs.scores.SAMPLES", 500)
    dalm.score(stopped, DIGITS)
    scores = {"metrics.json", "gallery.npz"}
    assert scores <= {path.name for path in stopped.path.iterdir()}
    run_of("vae", stopped.path, resume=True)
    assert not scores & {path.name for path in stopped.path.iterdir()}


def test_ctrl_c_at_the_last_look_of_early_stopping(tmp_path, monkeypatch):
    """The look that ends the run and Ctrl-C come together: the run is over, or a resume ends it in
    the same place.
    """
    monkeypatch.setattr(
        "dalm.train.learning.validate",
        lambda state, *_: 1.0 * state.step if state.step < 12 else -1.0,
    )
    asked = {"validations": 10, "patience": 2, "ema": 0.0}
    whole = run_of("vae", tmp_path / "whole", **asked)
    assert log_of(whole)[-1]["step"] == 6
    with monkeypatch.context() as patch:
        press_ctrl_c_at(patch, 5)
        run_of("vae", tmp_path / "run", **asked)
    assert weights(run_of("vae", tmp_path / "run", resume=True, **asked)) == weights(whole)


def test_ctrl_c_on_the_last_step_is_the_end(tmp_path, monkeypatch):
    press_ctrl_c_at(monkeypatch, 19)
    assert run_of("vae", tmp_path / "run").meta["state"] == "done"


def test_a_second_ctrl_c_does_not_wait(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        press_ctrl_c_at(patch, 13)
        press_ctrl_c_at(patch, 13)
        with pytest.raises(KeyboardInterrupt):
            run_of("vae", tmp_path / "run", checkpoint=1e-9)
    again = run_of("vae", tmp_path / "run", checkpoint=1e-9, resume=True)
    assert weights(again) == weights(run_of("vae", tmp_path / "whole"))


COMPARE = ["compare", "ring8", "--n", "200", "--families", "gaussian", "vae"]
COMPARE += ["--steps", "20", "--device", "cpu"]


@pytest.mark.slow
def test_ctrl_c_in_a_comparison_says_how_to_resume(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("dalm.verbs.scores.evaluate", lambda *_, **__: {})
    out = tmp_path / "board"
    command = [*COMPARE, "--out", str(out)]
    with monkeypatch.context() as patch:
        press_ctrl_c_at(patch, 13)
        assert main(command) == 130
    assert "--resume" in capsys.readouterr().err
    first = json.loads((out / "scoreboard.json").read_text())["rows"][0]
    assert main([*command, "--resume"]) == 0
    rows = json.loads((out / "scoreboard.json").read_text())["rows"]
    assert [row["name"] for row in rows][:2] == ["gaussian", "vae"]
    assert rows[0] == first
    assert not any(row["error"] for row in rows)
