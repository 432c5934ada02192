"""What the benchmarks share: arguments, interleaved timing, intervals, tables, and the JSON that
each one writes.

The machine may be shared and noisy. So contestants take turns, figures are medians, and ratios are
taken between runs of the same turn.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import dalm  # before torch: it chooses how OpenMP threads wait

import torch  # isort: skip
from rich.console import Console
from rich.table import Table

from dalm.data import Data, Split
from dalm.records import machine

Json = dict[str, Any]

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
QUICK = ROOT / "runs" / "quick"
MNIST = ROOT.parent / "shared" / "data" / "mnist.npz"
PROGRAM = str(Path(sys.executable).with_name("dalm"))
PEERS = ("torch", "numpy", "scikit-learn", "pythae")


def arguments(about: str | None, **defaults: Any) -> argparse.Namespace:
    """Parse `--quick` and an option for each default; a tuple takes several values, False makes a
    flag.
    """
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a smoke test with tiny settings; its figures mean nothing",
    )
    for name, default in defaults.items():
        flag = f"--{name.replace('_', '-')}"
        if default is False:
            parser.add_argument(flag, action="store_true")
        elif isinstance(default, tuple):
            parser.add_argument(
                flag, nargs="+", type=type(default[0]), default=default, help=f"default: {default}"
            )
        else:
            parser.add_argument(
                flag, type=type(default), default=default, help=f"default: {default}"
            )
    return parser.parse_args()


def about_run() -> Json:
    """When, where and with what something was measured."""
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "load_average": [round(load, 2) for load in os.getloadavg()],
        "environment": {
            name: os.environ[name]
            for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
            if name in os.environ
        },
        "versions": {"dalm": dalm.__version__}
        | {name: found for name in PEERS if (found := installed(name))},
    }


def installed(name: str) -> str | None:
    """The version of a package, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def commit() -> str:
    """The commit under test; `+` says that files differ from it."""
    asked = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True
    )
    return asked.stdout.strip() or "unknown"


def place(name: str, quick: bool) -> Path:
    """Where the result of a benchmark goes; a smoke test never replaces a real one."""
    folder = QUICK if quick else RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.json"


def save(name: str, content: Json, quick: bool) -> Path:
    """Write a result with everything needed to judge it."""
    path = place(name, quick)
    path.write_text(
        json.dumps({"benchmark": name, "quick": quick} | about_run() | content, indent=1) + "\n"
    )
    print(path)
    return path


def take_turns(
    contestants: dict[str, Callable[[], Any]], repeats: int, warm: bool = True
) -> dict[str, list[float]]:
    """Seconds of each contestant in each turn. The order is reversed from turn to turn, so that
    drift hits all alike.
    """
    if warm:
        for run in contestants.values():
            run()
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(repeats):
        for name in list(contestants)[:: 1 if turn % 2 == 0 else -1]:
            times[name].append(timed(contestants[name]))
    return times


def timed(run: Callable[[], Any]) -> float:
    """Wall-clock seconds of a call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def spread(values: Sequence[float]) -> Json:
    """Median with a distribution-free interval: two order statistics that hold the true median with
    the stated probability.
    """
    ordered = sorted(values)
    n = len(values)
    tails = [sum(math.comb(n, i) for i in range(k + 1)) / 2**n for k in range(n)]
    k = max((k for k in range((n + 1) // 2) if 2 * tails[k] <= 0.05), default=0)
    return {
        "median": statistics.median(ordered),
        "low": ordered[k],
        "high": ordered[n - 1 - k],
        "coverage": round(max(0.0, 1 - 2 * tails[k]), 3),
        "n": n,
    }


def ratio(times: dict[str, list[float]], slow: str, fast: str) -> Json:
    """How many times as long `slow` takes as `fast`, from the pairs of each turn."""
    return spread([a / b for a, b in zip(times[slow], times[fast], strict=True)])


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a short table."""
    drawn = Table(*columns, title=title, title_justify="left", box=None, pad_edge=False)
    for row in rows:
        drawn.add_row(*(show(value) for value in row))
    Console(width=None if sys.stdout.isatty() else 140).print(drawn)


def show(value: Any) -> str:
    """A figure in four digits, a spread as median and interval."""
    if isinstance(value, dict) and "median" in value:
        return f"{value['median']:.4g} ({value['low']:.4g} to {value['high']:.4g})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def mnist(binary: bool) -> Data:
    """MNIST if the file is there, else random bits or bytes of the same shape, said in the data's
    name.
    """
    if MNIST.exists():
        return dalm.load_data(MNIST, binary=binary)
    generator = torch.Generator().manual_seed(0)
    levels = 2 if binary else 256
    parts = [
        Split(torch.randint(levels, (n, 1, 28, 28), generator=generator, dtype=torch.uint8))
        for n in (12_800, 1000, 1000)
    ]
    return Data("random", "random", {}, dalm.Spec((1, 28, 28), levels), *parts)
