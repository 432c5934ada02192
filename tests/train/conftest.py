"""Data and runs that tests of training share."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import Killed, kill_at, run_of
from toys import MOONS

from dalm.data import Data, Split


@pytest.fixture(scope="session")
def part_labelled() -> Data:
    """Points of which every third has a label."""
    splits = {}
    for name in ("train", "val", "test"):
        split = getattr(MOONS, name)
        known = torch.arange(len(split)) % 3 == 0
        splits[name] = Split(split.x, torch.where(known, split.y, -1))
    return dataclasses.replace(MOONS, **splits)


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """Fit a family in a process that dies before step 18, its last checkpoint at step 11."""

    def run(name: str = "vae", **options: Any) -> Path:
        with monkeypatch.context() as patch:
            kill_at(patch, step=17, saved=11)
            with pytest.raises(Killed):
                run_of(name, tmp_path / "killed", checkpoint=1e-9, **options)
        return tmp_path / "killed"

    return run
