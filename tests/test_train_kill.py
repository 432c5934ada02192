"""Real processes: SIGKILL and Ctrl-C in the middle of a fit, then --resume, end with the bits of an undisturbed run."""

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
from tiny import log_of, weights

from dalm.cli import main

COMMAND = ["fit", "vae", "digits", "--steps", "1500", "--latent", "2", "--net", "mlp", "--width", "16", "--batch-size", "32"]
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
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        log, give_up = out / "log.jsonl", time.monotonic() + 60
        while not (log.exists() and log.stat().st_size > 2000) and process.poll() is None and time.monotonic() < give_up:
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
    assert 1490 <= losses[-1] <= 1500
    return weights(out)


def test_sigkill_and_resume(tmp_path, undisturbed):
    ended = interrupt(tmp_path / "run", signal.SIGKILL)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert json.loads((tmp_path / "run/run.json").read_text())["state"] == "running"
    assert not (tmp_path / "run/weights.safetensors").exists()
    assert resumed(tmp_path / "run") == undisturbed


def test_ctrl_c_says_how_to_resume(tmp_path, undisturbed):
    ended = interrupt(tmp_path / "run", signal.SIGINT)
    assert ended.returncode == 130, ended.stderr
    assert "--resume" in ended.stderr
    assert str(tmp_path / "run") in ended.stderr.replace("\n", "")
    assert "Traceback" not in ended.stderr
    assert json.loads((tmp_path / "run/run.json").read_text())["state"] == "stopped"
    assert weights(tmp_path / "run") != undisturbed
    assert resumed(tmp_path / "run") == undisturbed
