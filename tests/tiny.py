"""The smallest models that train, and how to fit them quickly, stop them and compare what they
leave.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
from pathlib import Path
from typing import Any

from dalm.core import config
from dalm.data import Data, load_data
from dalm.train import Run, fit
from dalm.train.state import State
from dalm.train.step import Played, Stepper
from dalm.verbs.models import make

DIGITS = load_data("digits")
OPTIONS: dict[str, dict[str, Any]] = {
    "vae": {"latent": 2, "net": "mlp", "width": 16},
    "pixelcnn": {"width": 8, "depth": 1, "dropout": 0.3},
    "dcgan": {"width": 4, "latent": 4},
    "kde": {"bandwidth": 1.0},
}
FIT: dict[str, Any] = {
    "steps": 20,
    "batch_size": 32,
    "validations": 2,
    "snapshots": 1,
    "device": "cpu",
    "progress": False,
}


class Killed(BaseException):
    """What a test raises where the process would have died: nothing may catch it."""


def tiny(name: str, data: Data = DIGITS, seed: int = 0, **options: Any) -> Any:
    return make(name, data, seed, **OPTIONS.get(name, {}) | options)


def run_of(
    name: str, out: Path | None, *, seed: int = 0, own: dict[str, Any] | None = None, **options: Any
) -> Run:
    return fit(tiny(name, seed=seed, **own or {}), DIGITS, out=out, seed=seed, **FIT | options)


def weights(run: Run | Path) -> bytes:
    return (_folder(run) / "weights.safetensors").read_bytes()


def log_of(run: Run | Path) -> list[dict[str, Any]]:
    text = (_folder(run) / "log.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def events_of(run: Run | Path) -> list[str]:
    """What happened to a run, in words."""
    text = (_folder(run) / "events.jsonl").read_text()
    return [json.loads(line)["event"] for line in text.splitlines()]


def _folder(run: Run | Path) -> Path:
    return run if isinstance(run, Path) else run.path


def kill_at(monkeypatch: Any, step: int, saved: int, stage: int = 0) -> None:
    """Make the process die before step `step + 1` of a stage, with the last checkpoint written at
    or before step `saved` of it.
    """
    take = Stepper.__call__
    save = State.save

    def dying(stepper: Stepper) -> list[Played]:
        state = stepper.state
        if (state.stage, state.step) == (stage, step):
            raise Killed
        return take(stepper)

    def lazy(state: State, path: Path) -> None:
        if (state.stage, state.step) <= (stage, saved):
            save(state, path)

    monkeypatch.setattr(Stepper, "__call__", dying)
    monkeypatch.setattr(State, "save", lazy)


def press_ctrl_c_at(monkeypatch: Any, step: int) -> None:
    """Ctrl-C in this process, during a step."""
    take = Stepper.__call__

    def pressed(stepper: Stepper) -> list[Played]:
        if stepper.state.step == step:
            os.kill(os.getpid(), signal.SIGINT)
        return take(stepper)

    monkeypatch.setattr(Stepper, "__call__", pressed)


def raise_killed(*_: Any, **__: Any) -> None:
    """A function that never returns because the process dies in it."""
    raise Killed


def listing(folder: Path) -> dict[str, str]:
    """Everything below a folder, with a hash of each file."""
    hashes = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        is_file = path.is_file()
        hashes[name] = hashlib.sha256(path.read_bytes()).hexdigest() if is_file else "folder"
    return hashes


def small_vae(steps: int, validations: int, snapshots: int) -> list[str]:
    """Flags of a short fit of a small VAE, as the shell says them."""
    model = "--latent 2 --net mlp --width 16"
    looks = f"--validations {validations} --snapshots {snapshots}"
    return f"{model} --steps {steps} {looks} --device cpu".split()


def config_of(model):
    """A model's configuration, but for where its classes are: pytest imports these toys by two
    names.
    """

    def stripped(value):
        if not isinstance(value, dict):
            return value
        return {name: stripped(one) for name, one in value.items() if name != "class"}

    return stripped(config(model))
