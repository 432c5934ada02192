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
from pathlib import Path

from common import MNIST, ROOT, Json, about_run, place, table  # isort: skip
import torch
from torch import Tensor

import dalm
from dalm.core import Bound, Density
from dalm.data import Data, Split
from dalm.train import Run

IW = 128
# from this many seconds on, compiling these families pays
LONG = 300.0
COMPILED = ("pixelcnn",)
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
    return replace(
        data,
        **{
            name: Split(part.x[:256], None if part.y is None else part.y[:256])
            for name, part in parts.items()
        },
    )


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
    found: Json = {
        "label": model.likelihood,
        "test": summary(in_chunks(model.log_prob, data.test.x), data.spec.dims),
    }
    if isinstance(model, Bound):
        noise = torch.Generator().manual_seed(0)
        tight = in_chunks(
            lambda x: model.importance_bound(x, samples=samples, generator=noise), data.test.x
        )
        found["test_importance"] = summary(tight, data.spec.dims) | {"importance_samples": samples}
    return found


def validation(run: Run) -> Json | None:
    """The best validation during the fit, over its first 512 rows, and the last."""
    log = run.path / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    values = [(line["validation"], line["step"]) for line in lines if "validation" in line]
    return (
        {
            "best_nats": min(values)[0],
            "best_step": min(values)[1],
            "last_nats": values[-1][0],
            "times": len(values),
        }
        if values
        else None
    )


def one(family: str, data: Data, out: Path, seconds: float, seed: int, samples: int) -> Json:
    """Fit, then test."""
    print(f"{out.name}: fitting for {seconds:g} s", flush=True)
    began = time.perf_counter()
    compiled = seconds >= LONG and family in COMPILED
    run = dalm.fit(
        family, data, seconds=seconds, seed=seed, out=out, progress=False, compile=compiled
    )
    wall = time.perf_counter() - began
    began = time.perf_counter()
    figures = test_figures(run.model, data, samples)
    asked = {
        "family": family,
        "data": data.name,
        "options": data.options,
        "fingerprint": data.fingerprint,
        "budget_seconds": seconds,
    }
    done = {
        "fit_seconds": run.meta["seconds"],
        "call_seconds": wall,
        "test_seconds": time.perf_counter() - began,
    }
    kept = {
        "steps": run.meta["fit"]["steps"],
        "parameters": run.meta["parameters"],
        "model": run.meta["model"],
        "fit": run.meta["fit"],
    }
    return asked | kept | done | {"validation": validation(run)} | figures


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
    known: Json = (
        json.loads(path.read_text()) if path.exists() else {"benchmark": "quality", "tasks": {}}
    )
    known["tasks"][name] = about_run() | {"quick": quick} | entry
    path.write_text(json.dumps(known, indent=1) + "\n")
    return path


def row(found: Json) -> list[object]:
    """A line of the table."""
    test = found["test"]
    tight = found.get("test_importance")
    value = found["validation"]["best_nats"] if found["validation"] else "–"
    exact = [
        f"{test['bits_per_dim']:.4f} ± {test['bits_per_dim_se']:.4f}",
        f"{test['nats']:.2f} ± {test['nats_se']:.2f}",
    ]
    bound = f"{tight['nats']:.2f} ± {tight['nats_se']:.2f}" if tight else "–"
    return [
        found["family"],
        found["label"],
        *exact,
        bound,
        value,
        found["steps"] or "–",
        f"{found['fit_seconds']:.1f}",
    ]


def task(name: str, asked: argparse.Namespace) -> None:
    """Run one task and keep its result."""
    source, binary, families, seconds = TASKS[name]
    data = load(source, binary, asked.quick)
    budget = 3.0 if asked.quick else asked.seconds or seconds
    root = ROOT / "runs" / ("quick/quality" if asked.quick else "quality")
    folders = {
        f: fresh(root / (f"{name}-{f}" if len(families) > 1 else name), asked.again or asked.quick)
        for f in families
    }
    found = [
        one(family, data, out, budget, asked.seed, 4 if asked.quick else IW)
        for family, out in folders.items()
    ]
    columns = [
        "family",
        "label",
        "bits/dim ± SE",
        "nats ± SE",
        f"IW bound, k={IW}",
        "best validation",
        "steps",
        "seconds",
    ]
    table(f"{name}: {len(data.test)} test images", columns, [row(f) for f in found])
    print(
        merge(name, {"seed": asked.seed, "notes": list(data.notes), "results": found}, asked.quick)
    )


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
    asked = parser.parse_args()
    if unknown := set(asked.tasks) - set(TASKS):
        parser.error(f"there is no task {', '.join(sorted(unknown))}; there are {', '.join(TASKS)}")
    for name in asked.tasks:
        task(name, asked)


if __name__ == "__main__":
    main()
