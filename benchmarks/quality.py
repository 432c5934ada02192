"""How well the families model digits and MNIST within a time budget, on the whole test split.

    python benchmarks/quality.py digits mnist-binary-vae mnist-binary-pixelcnn mnist-raw-pixelcnn

Each fit chooses by validation and meets the test split once, here. Figures are nats per image with
the standard error over test images, and bits per dimension. For the VAE: its evidence lower bound
and the importance-weighted bound of 128 samples. Runs are kept in runs/quality/NAME; `--again`
deletes an old one first. Results of other tasks in results/quality.json stay, each with its own
date and machine.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from common import MNIST, ROOT, Json, about_run, place, table  # isort: skip
import torch
from torch import Tensor

import dalm
from dalm.core import Bound, Density
from dalm.data import Data, Split
from dalm.train import Run

IW = 128
"""Importance samples."""

LONG = 300.0
COMPILED = ("pixelcnn",)
"""Families that are compiled, and from how many seconds on that pays."""

TASKS: dict[str, tuple[str, bool, tuple[str, ...], float]] = {
    "digits": (
        "digits",
        False,
        ("pixelcnn", "vae", "gaussian", "discriminant", "kde", "histogram"),
        120.0,
    ),
    "mnist-binary-vae": ("mnist", True, ("vae",), 600.0),
    "mnist-binary-pixelcnn": ("mnist", True, ("pixelcnn",), 600.0),
    "mnist-raw-pixelcnn": ("mnist", False, ("pixelcnn",), 600.0),
}
"""Data, whether they are binarised (static, seed 0), families, and seconds for each."""


def load(source: str, binary: bool, quick: bool) -> Data:
    """The data, or 256 rows of each split for a smoke test."""
    data = dalm.load_data("digits") if source == "digits" else dalm.load_data(MNIST, binary=binary)
    if not quick:
        return data
    parts = {name: getattr(data, name) for name in ("train", "val", "test")}
    return replace(data, **{name: few(part) for name, part in parts.items()})


def few(part: Split) -> Split:
    """The first rows of a split."""
    return Split(part.x[:256], None if part.y is None else part.y[:256])


def summary(nats: Tensor, dims: int) -> Json:
    """Negative log probability per image and per dimension, with standard errors over images."""
    cost = -nats.double()
    mean = cost.mean().item()
    error = (cost.std() / math.sqrt(len(cost))).item()
    bit = dims * math.log(2)
    return {
        "nats": mean,
        "nats_se": error,
        "bits_per_dim": mean / bit,
        "bits_per_dim_se": error / bit,
        "n": len(cost),
    }


@torch.no_grad()
def in_chunks(score: Callable[[Tensor], Tensor], x: Tensor, size: int = 250) -> Tensor:
    """Scores of all rows, some at a time."""
    return torch.cat([score(part) for part in x.split(size)])


def test_figures(model: Density, data: Data, samples: int) -> Json:
    """What the test split says."""
    x = data.test.x
    dims = data.spec.dims
    figures: Json = {"label": model.likelihood, "test": summary(in_chunks(model.log_prob, x), dims)}
    if isinstance(model, Bound):
        noise = torch.Generator().manual_seed(0)
        bound = partial(model.importance_bound, samples=samples, generator=noise)
        tight = summary(in_chunks(bound, x), dims)
        figures["test_importance"] = tight | {"importance_samples": samples}
    return figures


def validation(run: Run) -> Json | None:
    """The best validation during the fit, over its first 512 rows, and the last."""
    log = run.path / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    values = [(line["validation"], line["step"]) for line in lines if "validation" in line]
    if not values:
        return None
    nats, step = min(values)
    last = values[-1][0]
    return {"best_nats": nats, "best_step": step, "last_nats": last, "times": len(values)}


def fit_and_test(
    family: str, data: Data, out: Path, seconds: float, seed: int, samples: int
) -> Json:
    """Fit, then test."""
    print(f"{out.name}: fitting for {seconds:g} s", flush=True)
    compiled = seconds >= LONG and family in COMPILED
    budget = {"seconds": seconds, "seed": seed, "compile": compiled}
    began = time.perf_counter()
    run = dalm.fit(family, data, out=out, progress=False, **budget)
    fitted = time.perf_counter()
    figures = test_figures(run.model, data, samples)
    return {
        "family": family,
        "data": data.name,
        "options": data.options,
        "fingerprint": data.fingerprint,
        "budget_seconds": seconds,
        "steps": run.meta["fit"]["steps"],
        "parameters": run.meta["parameters"],
        "model": run.meta["model"],
        "fit": run.meta["fit"],
        "fit_seconds": run.meta["seconds"],
        "call_seconds": fitted - began,
        "test_seconds": time.perf_counter() - fitted,
        "validation": validation(run),
    } | figures


def fresh(folder: Path, again: bool) -> Path:
    """A folder that is not there, removed first if that was allowed."""
    if folder.exists() and not again:
        raise SystemExit(f"{folder} is there already; --again deletes it first")
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def merge(name: str, entry: Json, quick: bool) -> Path:
    """Put a task's result beside those of other tasks."""
    path = place("quality", quick)
    known: Json = {"benchmark": "quality", "tasks": {}}
    if path.exists():
        known = json.loads(path.read_text())
    known["tasks"][name] = about_run() | {"quick": quick} | entry
    path.write_text(json.dumps(known, indent=1) + "\n")
    return path


def line(result: Json) -> list[object]:
    """A line of the table."""
    test = result["test"]
    tight = result.get("test_importance")
    best = result["validation"]["best_nats"] if result["validation"] else "–"
    return [
        result["family"],
        result["label"],
        f"{test['bits_per_dim']:.4f} ± {test['bits_per_dim_se']:.4f}",
        f"{test['nats']:.2f} ± {test['nats_se']:.2f}",
        f"{tight['nats']:.2f} ± {tight['nats_se']:.2f}" if tight else "–",
        best,
        result["steps"] or "–",
        f"{result['fit_seconds']:.1f}",
    ]


COLUMNS = (
    "family",
    "label",
    "bits/dim ± SE",
    "nats ± SE",
    f"IW bound, k={IW}",
    "best validation",
    "steps",
    "seconds",
)


def run_task(name: str, options: argparse.Namespace) -> None:
    """Run one task and keep its result."""
    source, binary, families, usual = TASKS[name]
    quick = options.quick
    data = load(source, binary, quick)
    seconds = 3.0 if quick else options.seconds or usual
    samples = 4 if quick else IW
    root = ROOT / "runs" / ("quick/quality" if quick else "quality")
    results = []
    for family in families:
        folder = root / (f"{name}-{family}" if len(families) > 1 else name)
        out = fresh(folder, options.again or quick)
        results.append(fit_and_test(family, data, out, seconds, options.seed, samples))
    table(f"{name}: {len(data.test)} test images", COLUMNS, [line(result) for result in results])
    entry = {"seed": options.seed, "notes": list(data.notes), "results": results}
    print(merge(name, entry, quick))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "tasks", nargs="*", default=list(TASKS), help=f"of {', '.join(TASKS)}; all by default"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a smoke test on 256 rows; its figures mean nothing"
    )
    parser.add_argument(
        "--again", action="store_true", help="delete the old runs of these tasks first"
    )
    parser.add_argument("--seconds", type=float, help="another budget for each fit")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if unknown := set(options.tasks) - set(TASKS):
        parser.error(f"there is no task {', '.join(sorted(unknown))}; there are {', '.join(TASKS)}")
    for name in options.tasks:
        run_task(name, options)


if __name__ == "__main__":
    main()
