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
from tiny import log_of, weights

from dalm.cli import main
from dalm.records.status import run_state

pytestmark = pytest.mark.slow
SMALL = ["--latent", "2", "--net", "mlp", "--width", "16", "--batch-size", "32"]
OFTEN = ["--checkpoint", "0.02", "--validations", "3", "--snapshots", "1"]
COMMAND = ["fit", "vae", "digits", "--steps", "800", *SMALL, *OFTEN, "--device", "cpu"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    assert main([*COMMAND, "--out", str(out)]) == 0
    return weights(out)


def interrupt(out: Path, number: signal.Signals) -> subprocess.CompletedProcess[str]:
    """Start a fit in a process of its own and send it a signal once it has taken some steps."""
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, "-m", "dalm.cli", *COMMAND, "--out", str(out)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        wait_for_lines(out / "log.jsonl", process)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def wait_for_lines(log: Path, process: subprocess.Popen[str]) -> None:
    give_up = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < give_up:
        if log.exists() and log.stat().st_size > 600:
            return
        time.sleep(0.002)


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
    assert run_state(tmp_path / "run") == "crashed"
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
