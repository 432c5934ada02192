"""Real processes: SIGKILL and Ctrl-C in the middle of a fit, then --resume, end with the bits of an
undisturbed run.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny import DIGITS, LOOP, Killed, log_of, run_of, weights

import dalm
from dalm.cli import main
from dalm.errors import DalmError
from dalm.records import check_run
from dalm.train import Run

COMMAND = [
    "fit",
    "vae",
    "digits",
    "--steps",
    "800",
    "--latent",
    "2",
    "--net",
    "mlp",
    "--width",
    "16",
    "--batch-size",
    "32",
]
COMMAND += ["--checkpoint", "0.02", "--validations", "3", "--snapshots", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    assert main([*COMMAND, "--out", str(out)]) == 0
    return weights(out)


def interrupt(out: Path, number: signal.Signals) -> subprocess.CompletedProcess[str]:
    """Start a fit in a process of its own and send it a signal once it has taken some steps."""
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-m", "dalm.cli", *COMMAND, "--out", str(out)]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        log = out / "log.jsonl"
        give_up = time.monotonic() + 60
        while (
            not (log.exists() and log.stat().st_size > 600)
            and process.poll() is None
            and time.monotonic() < give_up
        ):
            time.sleep(0.002)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def resumed(out: Path) -> bytes:
    assert main([*COMMAND, "--out", str(out), "--resume"]) == 0
    meta = json.loads((out / "run.json").read_text())
    assert meta["state"] == "done"
    assert not (out / "checkpoint.safetensors").exists()
    losses = [line["step"] for line in log_of(out) if "loss" in line]
    assert losses == sorted(set(losses))
    assert 790 <= losses[-1] <= 800
    return weights(out)


def test_sigkill_and_resume(tmp_path, undisturbed):
    ended = interrupt(tmp_path / "run", signal.SIGKILL)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert json.loads((tmp_path / "run/run.json").read_text())["state"] == "running"
    assert not (tmp_path / "run/weights.safetensors").exists()
    assert resumed(tmp_path / "run") == undisturbed


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_says_how_to_resume(tmp_path, undisturbed, sign):
    ended = interrupt(tmp_path / "run", sign)
    assert ended.returncode == 130, ended.stderr
    assert "--resume" in ended.stderr
    assert str(tmp_path / "run") in ended.stderr.replace("\n", "")
    assert "Traceback" not in ended.stderr
    assert json.loads((tmp_path / "run/run.json").read_text())["state"] == "stopped"
    assert weights(tmp_path / "run") != undisturbed
    assert resumed(tmp_path / "run") == undisturbed


def press_ctrl_c_at(monkeypatch, step: int) -> None:
    """Ctrl-C in this process, during a step."""
    take = LOOP.take_step

    def pressed(state, *rest):
        if state.step == step:
            os.kill(os.getpid(), signal.SIGINT)
        return take(state, *rest)

    monkeypatch.setattr(LOOP, "take_step", pressed)


def test_ctrl_c_stops_after_the_step_under_way(tmp_path, monkeypatch):
    before = signal.getsignal(signal.SIGINT)  # a shell's background job starts with SIG_IGN
    whole = run_of("dcgan", tmp_path / "whole")
    with monkeypatch.context() as patch:
        press_ctrl_c_at(patch, 13)
        run = run_of("dcgan", tmp_path / "run")
    assert run.meta["state"] == "stopped"
    assert (run.path / "checkpoint.safetensors").exists()
    assert log_of(run)[-1]["step"] == 14
    assert weights(run_of("dcgan", tmp_path / "run", resume=True)) == weights(whole)
    assert signal.getsignal(signal.SIGINT) is before, "the ear for Ctrl-C was left on"


def test_a_kill_while_a_resumed_run_is_closed_looks_unfinished(tmp_path, monkeypatch):
    whole = run_of("vae", tmp_path / "whole")
    with monkeypatch.context() as patch:
        press_ctrl_c_at(patch, 13)
        run_of("vae", tmp_path / "run")
    update = Run.update

    def dying(run, **changes):
        if changes.get("state") == "done":
            raise Killed
        update(run, **changes)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "update", dying)
        with pytest.raises(Killed):
            run_of("vae", tmp_path / "run", resume=True)
    assert weights(tmp_path / "run") == weights(whole), (
        "the kill came after the weights and before their description"
    )
    check_run(tmp_path / "run")
    with pytest.raises(DalmError, match=r"incomplete.*--resume"):
        dalm.load(tmp_path / "run")
    assert weights(run_of("vae", tmp_path / "run", resume=True)) == weights(whole)
    assert dalm.load(tmp_path / "run").family == "vae"


def test_scores_of_a_stopped_run_do_not_outlive_its_weights(tmp_path, monkeypatch):
    monkeypatch.setattr("dalm.verbs.scores.evaluate", lambda *_, **__: {})
    monkeypatch.setattr("dalm.verbs.scores.SAMPLES", 500)
    with monkeypatch.context() as patch:
        press_ctrl_c_at(patch, 13)
        run = run_of("vae", tmp_path / "run")
    dalm.score(run, DIGITS)
    assert {"metrics.json", "gallery.npz"} <= {path.name for path in run.path.iterdir()}
    run_of("vae", tmp_path / "run", resume=True)
    assert not {"metrics.json", "gallery.npz"} & {path.name for path in run.path.iterdir()}


def test_ctrl_c_at_the_last_look_of_early_stopping(tmp_path, monkeypatch):
    """The look that ends the run and Ctrl-C come together: the run is over, or a resume ends it in
    the same place.
    """
    monkeypatch.setattr(
        LOOP, "validate", lambda state, *_: 1.0 * state.step if state.step < 12 else -1.0
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


def test_ctrl_c_in_a_comparison_says_how_to_resume(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("dalm.verbs.scores.evaluate", lambda *_, **__: {})
    out = tmp_path / "board"
    command = [
        "compare",
        "ring8",
        "--n",
        "200",
        "--families",
        "gaussian",
        "vae",
        "--steps",
        "20",
        "--device",
        "cpu",
        "--out",
        str(out),
    ]
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
