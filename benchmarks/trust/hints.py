"""Hints in the words of who reads them, promises of bits, and knowledge that is in one place.

Each function makes a row. `python -m trust.hints` in `benchmarks/` prints them.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from common import ROOT

import dalm
from dalm import core
from dalm.cli import main
from dalm.core import Generative, capabilities
from dalm.models import FAMILIES
from dalm.records.scoreboard import is_reference
from dalm.train import Listener
from trust.rows import Json, answer, quietly, rng, said, shell

STILL: Json = {"progress": False}
COMMANDS = (
    "fit gaussian few.npz --estimate mle",
    "fit gaussian digits --out taken",
    "fit vae digits --steps 3 --seconds 4",
    "fit vae digits --binary --levels 3",
    "fit vae pictures",
    "fit vae digits --resume",
    "fit kde same.npz --repeats together",
    "fit vae few.npz --conditional",
    "compare digits --learn-from val",
    "compare digits --families gaussian --out taken",
    "sample taken --class 1",
    "compress taken digits.npz --out taken.dalm",
    "decompress lost.dalm --out lost.npz",
)
"""Each is refused, with a hint of what would work."""
GENERIC = {"conditional", "spec", "samples"}
"""Options of families that the contract itself knows."""


def _furnish(folder: Path) -> None:
    """What the commands meet: a run, archives, data of which there are too few."""
    for side in (6, 8):
        (folder / "pictures").mkdir(exist_ok=True)
        PIL.Image.new("L", (side, side)).save(folder / "pictures" / f"{side}.png")
    np.savez(folder / "few.npz", x=rng().normal(size=(20, 30)))
    np.savez(folder / "same.npz", x=np.arange(300) % 3)
    np.savez(folder / "digits.npz", x=rng().integers(0, 17, (20, 1, 8, 8), dtype=np.uint8))
    taken = dalm.fit("gaussian", "digits", out=folder / "taken", **STILL)
    dalm.compress(taken, folder / "digits.npz", folder / "taken.dalm")
    gone = dalm.fit("histogram", "digits", out=folder / "gone", **STILL)
    dalm.compress(gone, folder / "digits.npz", folder / "lost.dalm")
    (gone.path / "run.json").unlink()


def _told(command: str) -> tuple[int, str]:
    """The exit code of a command, and what it says on standard error."""
    with contextlib.redirect_stderr(io.StringIO()) as error:
        try:
            code = main(command.split())
        except SystemExit as ended:
            code = int(ended.code or 0)
    return code, error.getvalue().replace("\n", " ")


def _one_sided(words: str) -> list[str]:
    """Options that a hint names in the words of Python alone, or of the shell alone."""
    python = {*re.findall(r"\b([a-z_]+)=(?!=)", words)}
    flags = {name.replace("-", "_") for name in re.findall(r"--([a-z][a-z-]*)", words)}
    missed = [f"{name}=" for name in python - flags]
    for name in flags - python:
        flag = f"--{name.replace('_', '-')}"
        if not re.search(rf"\b{name}\W+(?:or )?{flag}", words):
            missed.append(flag)
    return sorted(missed)


def words_of_both() -> Json:
    """J8: a hint names an option as Python says it and as the shell does."""
    with quietly() as folder, contextlib.chdir(folder):
        _furnish(folder)
        told = {command: _told(command) for command in COMMANDS}
    accepted = [command for command, (code, _) in told.items() if not code]
    bad = {command: missed for command in told if (missed := _one_sided(told[command][1]))}
    counted = f"{len(bad)} of {len(COMMANDS)} hints"
    now = f"{counted}: {bad}" + (f"; not refused: {accepted}" if accepted else "")
    return answer("J8", "estimate='map' to a shell user", now, "none", not bad and not accepted)


class Stop(Listener):
    """Stops a fit as Ctrl-C does."""

    name = "stop"

    def __init__(self, step: int) -> None:
        self.at = step

    def on_step_end(self, session: Any) -> None:
        if session.step == self.at:
            session.interrupted.set()


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _weights(run: Any) -> Any:
    return torch.cat([value.flatten().double() for value in run.model.state_dict().values()])


def same_threads() -> Json:
    """J9: the promise of the same bits names the threads, and a resumed run takes its own again."""
    digits = dalm.load_data("digits")
    with quietly() as folder:

        def fit(name: str, threads: int, **more: Any) -> Any:
            with _threads(threads):
                return dalm.fit("vae", digits, steps=12, out=folder / name, **more, **STILL)

        whole, alone = fit("whole", 2), fit("alone", 1)
        fit("parts", 2, listeners=[Stop(5)])
        resumed = fit("parts", 1, resume=True)
        other = not torch.equal(_weights(whole), _weights(alone))
        same = torch.equal(_weights(whole), _weights(resumed))
    said_so = re.search(r"same bits[^.]*same threads", (ROOT / "README.md").read_text())
    now = f"1 and 2 threads differ: {other}; resumed on 1 as on 2: {same}; said: {bool(said_so)}"
    ok = same and said_so is not None
    return answer("J9", "the same bits on one machine", now, "same, said", ok)


def _promises(family: type[Generative]) -> set[str]:
    """The classes of the contract that a family is of."""
    return {
        kind.__name__
        for kind in family.__mro__
        if kind.__module__.startswith("dalm.core.") and hasattr(core, kind.__name__)
    } - {"Generative", "Options"}


def catalogue() -> Json:
    """I6: the catalogue lists every capability that a family has."""
    missed = {
        family.family: sorted(lost)
        for family in FAMILIES
        if (lost := _promises(family) - {*capabilities(family)})
    }
    return answer("I6", "omits two capabilities", missed or "all listed", "all", not missed)


def codec_knows_no_family() -> Json:
    """I6: no option of a single family is named in the codec."""
    names = {name for family in FAMILIES for name in family.declared()} - GENERIC
    found = []
    for path in sorted((ROOT / "src" / "dalm" / "codec").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            word = getattr(node, "attr", None) or getattr(node, "value", None)
            if isinstance(word, str) and word in names:
                found.append(f"{path.name}:{getattr(node, 'lineno', 0)} {word}")
    return answer("I6", "the codec knows a family's option", found or "none", "none", not found)


def reference_rows() -> Json:
    """I6: reference rows are told by their kind, not by their names."""
    names = ("held-out real data", "copycat", "noise")
    taken = [name for name in names if is_reference({"name": name, "kind": "model"})]
    kept = is_reference({"name": "mine", "kind": "reference"})
    now = f"a model of such a name taken for one: {taken or 'never'}; by kind: {kept}"
    return answer("I6", "found by pattern on names", now, "by kind", kept and not taken)


def decoded_words() -> Json:
    """I6: what the decoding process of a proof prints is JSON."""
    with quietly() as folder:
        shell("fit histogram digits --out run", folder)
        ended = shell("prove run", folder)
        seal = json.loads((folder / "run" / "metrics.json").read_text()).get("proof", {})
    source = (ROOT / "src" / "dalm" / "verbs" / "proof.py").read_text()
    parsed = re.findall(r"re\.(?:search|match|findall)\([^)]*std(?:out|err)|\.split\(\)", source)
    now = f"{said(ended)[:60]}; sealed: {bool(seal)}; sentences parsed: {parsed or 'none'}"
    return answer("I6", "parses a printed sentence", now, "none", bool(seal) and not parsed)


ROWS: tuple[Callable[[], Json], ...] = (
    words_of_both,
    same_threads,
    catalogue,
    codec_knows_no_family,
    reference_rows,
    decoded_words,
)


if __name__ == "__main__":
    for row in ROWS:
        print(json.dumps(row(), ensure_ascii=False), flush=True)
