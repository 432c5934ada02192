"""A row of the table of trust, and what its parts share."""

from __future__ import annotations

import contextlib
import io
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import PROGRAM

Json = dict[str, Any]
MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist.npz"
QUIET = {"progress": False}


def answer(fault: str, before: str, now: object, reference: object, ok: bool) -> Json:
    """A row of the table."""
    return {"fault": fault, "before": before, "now": now, "reference": reference, "ok": bool(ok)}


@contextlib.contextmanager
def quietly() -> Iterator[Path]:
    """A folder that goes away, and nothing printed."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        yield Path(folder)


def shell(words: str, folder: Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """A command of the program, run in a folder.

    Args:
        words: what follows `dalm`.
        folder: where.
        **more: of `subprocess.run`.
    """
    command = [PROGRAM, *words.split()]
    usual = {"capture_output": True, "text": True, "timeout": 120}
    return subprocess.run(command, cwd=folder, **{**usual, **more})


def said(ended: subprocess.CompletedProcess[str]) -> str:
    """The last line that a command printed, and its exit code."""
    lines = (ended.stdout + ended.stderr).strip().splitlines() or [""]
    return f"{lines[-1][:200]} ({ended.returncode})"


def rng(seed: int = 0) -> np.random.Generator:
    """A source of randomness."""
    return np.random.default_rng(seed)
