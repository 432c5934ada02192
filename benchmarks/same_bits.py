"""Does the tree still compute what an earlier commit computed, bit for bit?

    python benchmarks/same_bits.py [--tree .] [--base e19be04] [--only vae] [--keep FOLDER]

Both trees run through the shell (`python -m dalm.cli`), side by side on this machine, with the same
packages, seeds and threads: bits differ between processors, so nothing stored is compared with.

- fits: every family on the digits and on a toy, 200 steps or the closed form, with and without
  classes and with the options that change how training goes. `weights.safetensors` must hold the
  same names, types, shapes and bytes; a refusal must stay a refusal. Where weights differ, the
  first line of the log that differs is named.
- readings: run folders, archives, proofs and a comparison that the base wrote must be loaded,
  scored, reported and decoded by the tree.

Ends with exit code 1 if anything differs. `--keep` names a folder in which the base's work is kept
and found again: it saves half of the time when the tree is judged often.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, Json, arguments, save, table
from readings import read_case, read_comparison
from safetensors import deserialize
from trees import Case, Tree, archived, describe, ending_of

BASE = "e19be04"

CASES = (
    Case("gaussian"),
    Case("gaussian", options="--estimate map"),
    Case("gaussian", "ring8"),
    Case("discriminant"),
    Case("discriminant", options="--kind lda --shrinkage 0.2"),
    Case("discriminant", "ring8"),
    Case("kde"),
    Case("kde", options="--conditional"),
    Case("kde", options="--learn-from val"),
    Case("kde", options="--bandwidth 1.5"),
    Case("kde", "ring8"),
    Case("pixelcnn"),
    Case("pixelcnn", options="--conditional"),
    Case("pixelcnn", options="--binary --width 16 --depth 3 --precision float32"),
    Case("pixelcnn", options="--output logistic --components 3 --width 16 --depth 3"),
    Case("pixelcnn", "ring8"),
    Case("vae"),
    Case("vae", options="--conditional"),
    Case("vae", options="--binary --net mlp"),
    Case("vae", options="--output logistic --components 2 --net mlp"),
    Case("vae", options="--precision float32 --ema 0 --clip 0 --schedule constant"),
    Case("vae", options="--batch-size 37 --lr 0.01 --weight-decay 0.3"),
    Case("vae", options="--validations 40 --patience 1 --lr 0.02"),
    Case("vae", options="--validations 0 --snapshots 0"),
    Case("vae", "ring8"),
    Case("vae", "ring8", "--conditional"),
    Case("dcgan"),
    Case("dcgan", options="--conditional"),
    Case("dcgan", options="--precision float32 --ema 0 --clip 0.5"),
    Case("dcgan", "ring8"),
    Case("copycat"),
    Case("copycat", "ring8"),
    Case("copycat", options="--learn-from val"),
    Case("histogram"),
    Case("histogram", "ring8"),
    Case("noise"),
    Case("noise", "ring8"),
)

READ = (
    Case("gaussian"),
    Case("discriminant"),
    Case("kde"),
    Case("pixelcnn"),
    Case("vae"),
    Case("vae", options="--conditional"),
    Case("dcgan"),
    Case("histogram"),
)
"""The fits of the base that the tree must read."""

COMPARISON = Case("comparison")

Tensors = dict[str, tuple[str, list[int], bytes]]


def tensors(run: Path) -> Tensors:
    """Type, shape and bytes of each tensor of a run."""
    entries = deserialize((run / "weights.safetensors").read_bytes())
    return {name: (entry["dtype"], entry["shape"], bytes(entry["data"])) for name, entry in entries}


def differences(expected: Tensors, actual: Tensors) -> list[str]:
    """What differs between two sets of weights, in words; nothing if all bits are equal."""
    words = [f"no tensor {name}" for name in expected.keys() - actual.keys()]
    words += [f"a new tensor {name}" for name in actual.keys() - expected.keys()]
    for name in expected.keys() & actual.keys():
        before = expected[name]
        after = actual[name]
        if before[:2] != after[:2]:
            words.append(f"{name}: {before[:2]} became {after[:2]}")
        elif before != after:
            words.append(f"{name}: other bits")
    return sorted(words)


def log_values(run: Path) -> Iterator[tuple[tuple[int, str], Any]]:
    """Step and kind, and value, of each loss and validation of a log."""
    path = run / "log.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    for entry in map(json.loads, lines):
        for kind in ("loss", "validation"):
            value = entry.get(kind)
            if isinstance(value, dict):
                value = list(value.values())
            if value is not None:
                yield (entry["step"], kind), value


def first_difference(base: Path, tree: Path) -> str:
    """Where two logs part."""
    actual = dict(log_values(tree))
    for key, value in log_values(base):
        step, kind = key
        if actual.get(key) != value:
            return f"{kind} of step {step}: {value} became {actual.get(key)}"
    return "the logs are equal"


def equal_snapshots(base: Path, tree: Path) -> bool:
    """Whether the samples kept on the way are the same; reported, not judged."""
    names, others = (sorted(file.name for file in run.glob("samples/*")) for run in (base, tree))
    if names != others:
        return False
    pairs = ((base / "samples" / name, tree / "samples" / name) for name in names)
    return all(np.array_equal(np.load(before), np.load(after)) for before, after in pairs)


def compare(case: Case, base: Path, tree: Path) -> Json:
    """The verdict on a fit: `same` is what is judged, `words` say why."""
    line = {"case": case.name, "what": "fit"}
    before, after = (json.loads(ending_of(run).read_text()) for run in (base, tree))
    if before["exit"] or after["exit"]:
        return line | compare_refusals(before, after)

    expected = tensors(base)
    unequal = differences(expected, tensors(tree))
    line |= {"tensors": len(expected), "snapshots_equal": equal_snapshots(base, tree)}
    if not unequal:
        return line | {"same": True, "words": "equal"}
    words = f"{len(unequal)} differ, {unequal[0]}; {first_difference(base, tree)}"
    return line | {"same": False, "words": words, "differences": unequal}


def compare_refusals(before: Json, after: Json) -> Json:
    """Two endings of which at least one is not a fit; both trees may refuse the same input."""
    refusals = [end["exit"] == 2 and end["message"].startswith("dalm: ") for end in (before, after)]
    if all(refusals):
        return {"same": True, "words": f"both refuse: {after['message'].removeprefix('dalm: ')}"}
    before_words, after_words = (end["message"] or "fits" for end in (before, after))
    return {"same": False, "words": f"base: {before_words}; tree: {after_words}"}


def run_all(call: Callable[[Case], list[Json]], cases: list[Case], jobs: int) -> list[Json]:
    """Call for each case, some at a time, and print what comes of each."""

    def guarded(case: Case) -> list[Json]:
        try:
            return call(case)
        except Exception as error:  # a case that cannot be judged must not hide the others
            words = f"{type(error).__name__}: {error}"
            return [{"case": case.name, "what": "judging", "same": False, "words": words}]

    results = []
    with ThreadPoolExecutor(jobs) as pool:
        for lines in pool.map(guarded, cases):
            results += lines
            for line in lines:
                mark = "same" if line["same"] else "NOT "
                print(f"{mark}  {line['case']}, {line['what']}: {line['words']}", flush=True)
    return results


def judge(options: argparse.Namespace, kept: Path, folder: Path) -> Json:
    """The fits and the readings."""
    tree = Tree(Path(options.tree).resolve(), options.threads)
    base = Tree(archived(options.base, tree.root, folder / "base"), options.threads)
    for each in (base, tree):
        each.check_origin(folder)

    def fit(case: Case) -> list[Json]:
        base_run = kept / case.slug
        tree_run = folder / case.slug
        base.fit(case, options.steps, options.seed, base_run)
        tree.fit(case, options.steps, options.seed, tree_run)
        return [compare(case, base_run, tree_run)]

    def read(case: Case) -> list[Json]:
        if case is COMPARISON:
            return read_comparison(kept, folder, base, tree)
        return read_case(case, kept, folder, base, tree)

    cases = [case for case in CASES if options.only in case.name]
    readable = [case for case in [*READ, COMPARISON] if options.only in case.name]
    fits = run_all(fit, cases, options.jobs)
    return {"fits": fits, "readings": run_all(read, readable, options.jobs)}


def print_verdict(fits: list[Json], readings: list[Json]) -> bool:
    """The table and the count; whether everything is the same."""
    rows = [[f["case"], f.get("tensors"), f.get("snapshots_equal"), f["words"]] for f in fits]
    table("Weights", ["fit", "tensors", "snapshots equal", "bits"], rows)
    lines = fits + readings
    same = sum(line["same"] for line in lines)
    print(f"{same} of {len(lines)} the same")
    return same == len(lines)


def main() -> int:
    options = arguments(
        __doc__, tree=str(ROOT), base=BASE, only="", keep="", steps=200, seed=0, threads=1, jobs=2
    )
    if options.quick:
        options.steps = 5
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "tree"
        folder.mkdir()
        key = f"{options.base}-{options.steps}-{options.seed}-{options.threads}"
        kept = Path(options.keep or temporary).resolve() / key
        kept.mkdir(parents=True, exist_ok=True)
        results = judge(options, kept, folder)

    same = print_verdict(**results)
    partial = bool(options.quick or options.only or Path(options.tree).resolve() != ROOT)
    settings = {"settings": vars(options), "judged": describe(Path(options.tree))}
    save("same_bits", settings | results, partial)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
