"""What an earlier commit wrote, read by a tree: run folders, archives, proofs and a comparison."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import Json
from numpy.typing import NDArray
from trees import Case, CommandError, Tree

Check = Callable[[], object]

CODED = ("gaussian", "discriminant", "kde", "pixelcnn", "vae", "histogram")
"""Families whose data are compressed and proven."""

EMBEDDED = ("gaussian", "pixelcnn", "vae")
"""Of these, those that go into an archive of their own too."""

LOAD = """
import sys, dalm
from safetensors.torch import load_file
run, weights = sys.argv[1:]
model = dalm.load(run, device="cpu")
expected = load_file(weights)
state = model.state_dict()
assert set(state) == set(expected), set(state) ^ set(expected)
for name, tensor in expected.items():
    assert state[name].equal(tensor), name
assert len(model.sample(3)) == 3
"""
"""Opens a run from Python, checks its weights against the file, and draws from it."""


def read_case(case: Case, kept: Path, folder: Path, base: Tree, tree: Tree) -> list[Json]:
    """All readings of a case, on a copy of what the base wrote."""
    written = kept / "read" / case.slug
    if not (written / "done").exists():
        shutil.rmtree(written, ignore_errors=True)
        shutil.copytree(kept / case.slug, written / "run")
        write(case, written, base)
        (written / "done").touch()

    copy = folder / "read" / case.slug
    shutil.copytree(written, copy)
    checks = run_checks(copy, tree)
    if case.family in CODED:
        checks |= archive_checks(case, copy, tree)
    return [attempt(case.name, what, check) for what, check in checks.items()]


def write(case: Case, folder: Path, base: Tree) -> None:
    """What the base writes about `run`: scores, data, archives and a proof."""
    base.dalm("score", "run", cwd=folder)
    if case.family not in CODED:
        return
    base.dalm("sample", "run", "-n", "12", "--out", "data.npz", cwd=folder)
    base.dalm("compress", "run", "data.npz", "-o", "data.dalm", cwd=folder)
    if case.family in EMBEDDED:
        base.dalm("compress", "run", "data.npz", "-o", "inside.dalm", "--embed", cwd=folder)
    base.dalm("prove", "run", cwd=folder)


def run_checks(folder: Path, tree: Tree) -> dict[str, Check]:
    """A run folder is opened, shown as it is, scored anew and shown again."""
    page = ["report", "run", "--out", "page.html"]
    return {
        "load": lambda: tree.check("-c", LOAD, "run", "run/weights.safetensors", cwd=folder),
        "report": lambda: tree.dalm(*page, cwd=folder),
        "score": lambda: tree.dalm("score", "run", cwd=folder),
        "report of the new scores": lambda: tree.dalm(*page, cwd=folder),
    }


def archive_checks(case: Case, folder: Path, tree: Tree) -> dict[str, Check]:
    """Archives give back their data."""
    beside = ["--run", "run"]
    checks: dict[str, Check] = {
        "decompress": lambda: gives_back(tree, "data.dalm", beside, folder),
        "open the proof": lambda: decode(tree, "run/proof.dalm", beside, folder),
    }
    if case.family in EMBEDDED:
        checks["decompress, model inside"] = lambda: gives_back(tree, "inside.dalm", [], folder)
    return checks


def decode(tree: Tree, archive: str, options: list[str], folder: Path) -> dict[str, NDArray]:
    """The arrays that an archive holds."""
    words = ["decompress", archive, "-o", "back.npz", "--force", *options]
    tree.dalm(*words, cwd=folder)
    with np.load(folder / "back.npz") as arrays:
        return dict(arrays)


def gives_back(tree: Tree, archive: str, options: list[str], folder: Path) -> None:
    """The data come back as they were."""
    decoded = decode(tree, archive, options, folder)
    with np.load(folder / "data.npz") as arrays:
        expected = dict(arrays)
    if expected.keys() != decoded.keys():
        raise CommandError(f"holds {sorted(decoded)}, not {sorted(expected)}")
    for name, array in expected.items():
        if not np.array_equal(array, decoded[name]):
            raise CommandError(f"{name} came back as other values")


def read_comparison(kept: Path, folder: Path, base: Tree, tree: Tree) -> list[Json]:
    """A comparison's page and one of its models, from the folder that the base wrote."""
    board = kept / "read" / "board"
    if not (board / "scoreboard.json").exists():
        board.parent.mkdir(parents=True, exist_ok=True)
        words = ["compare", "digits", "--families", "gaussian", "vae", "--out", "board"]
        base.dalm(*words, "--steps", "20", "--device", "cpu", cwd=board.parent)

    copy = folder / "read" / "board"
    shutil.copytree(board, copy)
    page = ["report", "board", "--out", "board.html"]
    run = ["board/gaussian", "board/gaussian/weights.safetensors"]
    checks: dict[str, Check] = {
        "report": lambda: tree.dalm(*page, cwd=copy.parent),
        "load": lambda: tree.check("-c", LOAD, *run, cwd=copy.parent),
    }
    return [attempt("comparison", what, check) for what, check in checks.items()]


def attempt(name: str, what: str, check: Check) -> Json:
    """One reading and how it went."""
    line = {"case": name, "what": what}
    try:
        check()
    except (CommandError, OSError, subprocess.TimeoutExpired) as error:
        return line | {"same": False, "words": str(error)}
    return line | {"same": True, "words": "reads"}
