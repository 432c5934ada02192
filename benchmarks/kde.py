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

import functools
import itertools
import math

from common import (  # isort: skip
    Json,
    arguments,
    learn,
    ratio,
    save,
    spread,
    table,
    take_turns,
    timed,
)
import torch
from sklearn.neighbors import KernelDensity
from torch import Tensor

from dalm.core import Generative, Spec
from dalm.data import Data, Split
from dalm.models import KDE

VALID = 1e-3  # nats
DEFAULT: Json = {"algorithm": "auto", "leaf_size": 40, "breadth_first": True}


def normal(n: int, dims: int, seed: int) -> Tensor:
    """Standard-normal points in float32."""
    return torch.randn(n, dims, generator=torch.Generator().manual_seed(seed))


def reference(x: Tensor, rows: Tensor, width: float) -> Tensor:
    """Log densities by brute force: differences, squares and sums in float64."""
    wide = rows.double()
    distances = torch.stack([(wide - query).square().sum(1) for query in x.double()])
    scores = (-distances / (2 * width**2)).logsumexp(1)
    volume = rows.shape[1] * math.log(width * math.sqrt(2 * math.pi))
    return scores - math.log(len(rows)) - volume


def ours(rows: Tensor, width: float) -> Generative:
    """dalm's KDE that remembers the rows."""
    spec = Spec((rows.shape[1],))
    parts = [Split(rows), Split(rows[:1]), Split(rows[:1])]
    model = KDE(spec, bandwidth=width)
    return learn(model, Data("normal", "normal", {}, spec, *parts))


def theirs(rows: Tensor, width: float, setting: Json) -> KernelDensity:
    """scikit-learn's, with its tolerances at their defaults of 0."""
    return KernelDensity(bandwidth=width, kernel="gaussian", **setting).fit(rows.double().numpy())


def error(scores: object, true: Tensor) -> float:
    """Largest absolute difference in nats."""
    difference = torch.as_tensor(scores).double() - true
    return difference.abs().max().item()


def tune(rows: Tensor, width: float, queries: int) -> list[Json]:
    """Seconds and error of each setting of scikit-learn on queries of their own, valid and fast
    ones first.
    """
    x = normal(queries, rows.shape[1], seed=2)
    true = reference(x, rows, width)
    wide = x.double().numpy()
    trials = []
    for setting in settings(len(rows)):
        model = theirs(rows, width, setting)
        seconds = min(timed(functools.partial(model.score_samples, wide)) for _ in range(2))
        largest = error(model.score_samples(wide), true)
        trials.append({"setting": setting, "seconds": seconds, "error": largest})
    return sorted(trials, key=lambda trial: (trial["error"] > VALID, trial["seconds"]))


def settings(rows: int) -> list[Json]:
    """What scikit-learn's tree lets one choose."""
    trees = ("kd_tree", "ball_tree")
    return [
        {"algorithm": tree, "leaf_size": leaf, "breadth_first": broad}
        for tree, leaf, broad in itertools.product(trees, (40, 400, rows), (True, False))
    ]


def accuracy(dims: int, width: float, n: int, queries: int, tuning: int) -> Json:
    """Largest errors at one dimension and bandwidth."""
    rows = normal(n, dims, seed=0)
    x = normal(queries, dims, seed=1)
    true = reference(x, rows, width)
    trials = tune(rows, width, tuning)
    wide = x.double().numpy()
    best = trials[0]["setting"]
    return {
        "dims": dims,
        "bandwidth": width,
        "queries": queries,
        "rows": n,
        "dalm": error(ours(rows, width).log_prob(x), true),
        "sklearn_default": error(theirs(rows, width, DEFAULT).score_samples(wide), true),
        "sklearn_best": error(theirs(rows, width, best).score_samples(wide), true),
        "best_setting": best,
        "settings_tried": trials,
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
        "sklearn_best": lambda: tuned.score_samples(wide),
    }
    times = take_turns(runs, repeats, warm=False)
    pairs = itertools.product(("dalm", "dalm_1_thread"), ("sklearn_default", "sklearn_best"))
    ratios = {f"{slow} / {fast}": ratio(times, slow, fast) for fast, slow in pairs}
    return {
        "dims": dims,
        "bandwidth": width,
        "rows": n,
        "queries": n,
        "threads": threads,
        "best_setting": best,
        "seconds": {name: spread(values) for name, values in times.items()},
        "ratios": ratios,
    }


def print_speeds(results: list[Json]) -> None:
    """The table of seconds and ratios."""
    names = ("dalm", "dalm_1_thread", "sklearn_default", "sklearn_best")
    rows = []
    for result in results:
        seconds = [result["seconds"][name]["median"] for name in names]
        ratios = [ratio["median"] for ratio in result["ratios"].values()]
        rows.append([result["dims"], *seconds, *ratios])
    titles = ["dims", *(f"{name} s" for name in names), *results[0]["ratios"]]
    table("Seconds and ratios (medians; intervals are in the JSON)", titles, rows)


def print_errors(results: list[Json]) -> None:
    """The table of errors."""
    columns = ["dims", "bandwidth", "queries", "dalm", "sklearn_default", "sklearn_best"]
    rows = []
    for result in results:
        setting = " ".join(map(str, result["best_setting"].values()))
        rows.append([*(result[column] for column in columns), setting])
    title = "Largest error in nats against float64 brute force"
    table(title, [*columns, "sklearn's best setting"], rows)


def main() -> None:
    options = arguments(
        __doc__,
        rows=10_000,
        queries=500,
        tuning=100,
        repeats=5,
        speed_dims=(2, 8, 64),
        accuracy_dims=(2, 8, 64, 784),
        bandwidth=0.5,
    )
    if options.quick:
        vars(options).update(rows=1000, queries=50, tuning=20, repeats=2)
    n = options.rows
    errors = []
    for dims in options.accuracy_dims:
        scott = round(n ** (-1 / (dims + 4)), 4)
        for width in sorted({0.2, options.bandwidth, scott}):
            errors.append(accuracy(dims, width, n, options.queries, options.tuning))
    usual = [result for result in errors if result["bandwidth"] == options.bandwidth]
    best = {result["dims"]: result["best_setting"] for result in usual}
    speeds = [
        speed(dims, options.bandwidth, n, options.repeats, best.get(dims, DEFAULT))
        for dims in options.speed_dims
    ]

    print_errors(errors)
    print_speeds(speeds)
    kept = vars(options) | {"seeds": "rows 0, queries 1, tuning 2", "valid": VALID}
    save("kde", {"settings": kept, "speed": speeds, "accuracy": errors}, options.quick)


if __name__ == "__main__":
    main()
