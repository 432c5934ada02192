"""The smallest models that train, and how to fit them quickly, kill them and compare what they
leave.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from pathlib import Path
from typing import Any

from dalm.data import Data, load_data
from dalm.train import Run, fit
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
LOOP = importlib.import_module("dalm.train.fit")  # the module; `dalm.train.fit` is the function


class Killed(BaseException):
    """What a test raises where the process would have died: nothing may catch it."""


def tiny(name: str, data: Data = DIGITS, seed: int = 0, **options: Any) -> Any:
    return make(name, data, seed, **OPTIONS.get(name, {}) | options)


def run_of(
    name: str, out: Path, *, seed: int = 0, own: dict[str, Any] | None = None, **options: Any
) -> Run:
    return fit(tiny(name, seed=seed, **own or {}), DIGITS, out=out, seed=seed, **FIT | options)


def weights(run: Run | Path) -> bytes:
    return ((run if isinstance(run, Path) else run.path) / "weights.safetensors").read_bytes()


def log_of(run: Run | Path) -> list[dict[str, Any]]:
    text = ((run if isinstance(run, Path) else run.path) / "log.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def kill_at(monkeypatch: Any, step: int, saved: int) -> None:
    """Make the process die before step `step + 1`, with the last checkpoint written at or before
    step `saved`.
    """
    take = LOOP.take_step
    save = LOOP.State.save

    def dying(state: Any, *rest: Any) -> Any:
        if state.step == step:
            raise Killed
        return take(state, *rest)

    def lazy(state: Any, path: Path) -> None:
        if state.step <= saved:
            save(state, path)

    monkeypatch.setattr(LOOP, "take_step", dying)
    monkeypatch.setattr(LOOP.State, "save", lazy)


def listing(folder: Path) -> dict[str, str]:
    """Everything below a folder, with a hash of each file."""
    found = {}
    for path in sorted(folder.rglob("*")):
        found[str(path.relative_to(folder))] = (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        )
    return found
