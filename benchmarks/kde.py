"""KDE against scikit-learn: seconds for 10,000 queries against 10,000 rows, and the largest error
against a float64 reference.

    python benchmarks/kde.py

Rows and queries are standard normal, rounded to float32, and every contestant gets the same
numbers. scikit-learn runs twice: as it comes, and with its best valid setting, the fastest whose
answers are right to 1e-3 nats on a few other queries (`leaf_size` as large as the data turns its
tree into a plain sum, which is right where the tree is not). scikit-learn uses one thread, so dalm
is timed with one thread as well.
"""

from __future__ import annotations

import itertools
import math

from common import Json, arguments, ratio, save, spread, table, take_turns, timed  # isort: skip
import torch
from sklearn.neighbors import KernelDensity
from torch import Tensor

from dalm import Spec
from dalm.models import KDE

VALID = 1e-3  # nats
DEFAULT: Json = {"algorithm": "auto", "leaf_size": 40, "breadth_first": True}


def normal(n: int, dims: int, seed: int) -> Tensor:
    """Standard-normal points in float32."""
    return torch.randn(n, dims, generator=torch.Generator().manual_seed(seed))


def reference(x: Tensor, rows: Tensor, width: float) -> Tensor:
    """Log densities by brute force: differences, squares and sums in float64."""
    wide = rows.double()
    scores = torch.stack(
        [-(wide - q).square().sum(1) / (2 * width**2) for q in x.double()]
    ).logsumexp(1)
    return scores - math.log(len(rows)) - rows.shape[1] * math.log(width * math.sqrt(2 * math.pi))


def ours(rows: Tensor, width: float) -> KDE:
    """dalm's KDE that remembers the rows."""
    model = KDE(Spec((rows.shape[1],)), bandwidth=width)
    model.passes(rows, None, torch.Generator())
    return model


def theirs(rows: Tensor, width: float, setting: Json) -> KernelDensity:
    """scikit-learn's, with its tolerances at their defaults of 0."""
    return KernelDensity(bandwidth=width, kernel="gaussian", **setting).fit(rows.double().numpy())


def error(found: object, true: Tensor) -> float:
    """Largest absolute difference in nats."""
    return (torch.as_tensor(found).double() - true).abs().max().item()


def tune(rows: Tensor, width: float, queries: int) -> list[Json]:
    """Seconds and error of each setting of scikit-learn on queries of their own, valid and fast
    ones first.
    """
    x = normal(queries, rows.shape[1], seed=2)
    true = reference(x, rows, width)
    tried = []
    for algorithm, leaf, broad in itertools.product(
        ("kd_tree", "ball_tree"), (40, 400, len(rows)), (True, False)
    ):
        setting = {"algorithm": algorithm, "leaf_size": leaf, "breadth_first": broad}
        model = theirs(rows, width, setting)
        wide = x.double().numpy()
        found = []
        seconds = min(
            timed(lambda m=model, q=wide, f=found: f.append(m.score_samples(q))) for _ in range(2)
        )
        tried.append({"setting": setting, "seconds": seconds, "error": error(found[0], true)})
    return sorted(tried, key=lambda one: (one["error"] > VALID, one["seconds"]))


def accuracy(dims: int, width: float, n: int, queries: int, tuning: int) -> Json:
    """Largest errors at one dimension and bandwidth."""
    rows = normal(n, dims, seed=0)
    x = normal(queries, dims, seed=1)
    true = reference(x, rows, width)
    tried = tune(rows, width, tuning)
    wide = x.double().numpy()
    best = tried[0]["setting"]
    return {
        "dims": dims,
        "bandwidth": width,
        "queries": queries,
        "rows": n,
        "dalm": error(ours(rows, width).log_prob(x), true),
        "sklearn_default": error(theirs(rows, width, DEFAULT).score_samples(wide), true),
        "sklearn_best": error(theirs(rows, width, best).score_samples(wide), true),
        "best_setting": best,
        "settings_tried": tried,
    }


def speed(dims: int, width: float, n: int, repeats: int, best: Json) -> Json:
    """Seconds to score as many queries as there are rows, and ratios."""
    rows = normal(n, dims, seed=0)
    x = normal(n, dims, seed=1)
    wide = x.double().numpy()
    threads = torch.get_num_threads()
    model = ours(rows, width)
    default = theirs(rows, width, DEFAULT)
    tuned = theirs(rows, width, best)

    def alone() -> None:
        torch.set_num_threads(1)
        model.log_prob(x)
        torch.set_num_threads(threads)

    runs = {
        "dalm": lambda: model.log_prob(x),
        "dalm_1_thread": alone,
        "sklearn_default": lambda: default.score_samples(wide),
    }
    times = take_turns(
        runs | {"sklearn_best": lambda: tuned.score_samples(wide)}, repeats, warm=False
    )
    pairs = [
        ("sklearn_default", "dalm"),
        ("sklearn_best", "dalm"),
        ("sklearn_default", "dalm_1_thread"),
        ("sklearn_best", "dalm_1_thread"),
    ]
    return {
        "dims": dims,
        "bandwidth": width,
        "rows": n,
        "queries": n,
        "threads": threads,
        "best_setting": best,
        "seconds": {name: spread(values) for name, values in times.items()},
        "ratios": {f"{a} / {b}": ratio(times, a, b) for a, b in pairs},
    }


def print_speeds(found: list[Json]) -> None:
    """The table of seconds and ratios."""
    names = ("dalm", "dalm_1_thread", "sklearn_default", "sklearn_best")
    rows = [
        [
            f["dims"],
            *(f["seconds"][n]["median"] for n in names),
            *(r["median"] for r in f["ratios"].values()),
        ]
        for f in found
    ]
    titles = ["dims", *(f"{n} s" for n in names), *(found[0]["ratios"] if found else [])]
    table("Seconds and ratios (medians; intervals are in the JSON)", titles, rows)


def print_errors(found: list[Json]) -> None:
    """The table of errors."""
    rows = [
        [
            f["dims"],
            f["bandwidth"],
            f["queries"],
            f["dalm"],
            f["sklearn_default"],
            f["sklearn_best"],
            " ".join(map(str, f["best_setting"].values())),
        ]
        for f in found
    ]
    columns = [
        "dims",
        "bandwidth",
        "queries",
        "dalm",
        "sklearn default",
        "sklearn best",
        "sklearn's best setting",
    ]
    table("Largest error in nats against float64 brute force", columns, rows)


def main() -> None:
    options = arguments(
        __doc__,
        rows=10_000,
        queries=500,
        repeats=5,
        speed_dims=(2, 8, 64),
        accuracy_dims=(2, 8, 64, 784),
        bandwidth=0.5,
    )
    n, queries, tuning, repeats = (
        (1000, 50, 20, 2)
        if options.quick
        else (options.rows, options.queries, 100, options.repeats)
    )
    exact = []
    for dims in options.accuracy_dims:
        scott = n ** (-1 / (dims + 4))
        exact += [
            accuracy(dims, width, n, queries, tuning)
            for width in sorted({0.2, options.bandwidth, round(scott, 4)})
        ]
    best = {f["dims"]: f["best_setting"] for f in exact if f["bandwidth"] == options.bandwidth}
    fast = [
        speed(dims, options.bandwidth, n, repeats, best.get(dims, DEFAULT))
        for dims in options.speed_dims
    ]
    print_errors(exact)
    print_speeds(fast)
    save(
        "kde",
        {
            "settings": vars(options) | {"seeds": "rows 0, queries 1, tuning 2", "valid": VALID},
            "speed": fast,
            "accuracy": exact,
        },
        options.quick,
    )


if __name__ == "__main__":
    main()
