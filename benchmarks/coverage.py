"""How often 95 % intervals hold the value that they are about, with every set redrawn in each
repeat: 92 to 98 % are asked for, or a mark that says that the interval does not hold.

The truth is a closed form, or, for measures that depend on the number of rows, their mean over as
many other draws as there are repeats. Of the winner among equal models the figure on test data is
asked for, chosen by validation figures and, as a warning, by the test figures themselves.

python benchmarks/coverage.py [--repeats 200]
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from common import Json, arguments, save, table
from torch import Tensor

from dalm.metrics.c2st import c2st
from dalm.metrics.frechet import frechet
from dalm.metrics.intervals import median_interval, wilson_interval
from dalm.metrics.kid import kid
from dalm.metrics.likelihood import bits_per_dim
from dalm.metrics.prdc import prdc
from dalm.records import Score
from dalm.report.paired import difference, holm
from dalm.report.ranking import rank_densities

NATS = math.log(2)
VARIANCES = {"normal": 1.0, "exponential": 2.0, "laplace": 2.0, "t5": 5 / 3, "t3": 3.0}
"""Second moments of the data whose cost under a standard normal is measured."""
SKEWED: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "exponential": lambda rng, shape: rng.exponential(size=shape),
    "laplace": lambda rng, shape: rng.laplace(size=shape),
    "lognormal": lambda rng, shape: rng.lognormal(size=shape),
    "t3": lambda rng, shape: rng.standard_t(3, shape),
    "Bernoulli of 2 %": lambda rng, shape: rng.random(shape) < 0.02,
}
"""Equal distributions whose Fréchet distance, 0, is measured."""
MODELS = 20


class Setting(NamedTuple):
    """Two sets of n normal rows, one scaled and shifted."""

    n: int
    d: int
    shift: float = 0.0
    scale: float = 1.0

    @property
    def truth(self) -> float:
        """The Fréchet distance of their distributions."""
        return self.d * (self.shift**2 + (self.scale - 1) ** 2)

    def draw(self, seed: int) -> tuple[Tensor, Tensor]:
        """Samples and held-out rows."""
        generator = torch.Generator().manual_seed(seed)
        fake, real = torch.randn(
            2, self.n, self.d, generator=generator, dtype=torch.float64
        ).unbind()
        return self.scale * fake + self.shift, real


SETTINGS = (
    Setting(500, 8),
    Setting(500, 8, 0.1),
    Setting(500, 8, 0.3, 1.2),
    Setting(500, 32),
    Setting(500, 32, 0.2, 1.1),
    Setting(180, 32, 0.2, 1.1),
    Setting(180, 64, 0.2, 1.1),
)
SMALLER = (
    Setting(200, 2, 0.5, 0.8),
    Setting(200, 8),
    Setting(200, 8, 0.3, 1.1),
    Setting(200, 32, 0.1),
)


def main() -> None:
    options = arguments(__doc__, repeats=200)
    repeats = 10 if options.quick else options.repeats
    rows = [row for part in (costs, distances, shares, choices) for row in part(repeats)]
    columns = ["what", "held", "marked", "held unmarked", "truth", "mean"]
    table(
        f"Intervals of 95 % that hold, of {repeats}",
        columns,
        [[row.get(column, "") for column in columns] for row in rows],
    )
    save("coverage", {"settings": vars(options), "rows": rows}, options.quick)


def row(what: str, scores: list[Score], truth: float) -> Json:
    """How many of these intervals hold the truth, and how many say that they may not."""
    held = [_holds(score, truth) for score in scores]
    unmarked = [hit for hit, score in zip(held, scores, strict=True) if not score.unreliable]
    values = [score.value for score in scores if score.value is not None]
    return {
        "what": what,
        "held": sum(held) / len(held),
        "marked": 1 - len(unmarked) / len(held),
        "held unmarked": sum(unmarked) / len(unmarked) if unmarked else None,
        "truth": truth,
        "mean": sum(values) / len(values),
        "interval of held": wilson_interval(torch.tensor(held))[1:],
    }


def _holds(score: Score, truth: float) -> bool:
    assert score.low is not None
    assert score.high is not None
    return score.low <= truth <= score.high


# Likelihood


def draws(name: str, n: int, rng: np.random.Generator) -> np.ndarray:
    """Data of a distribution."""
    if name.startswith("t"):
        return rng.standard_t(int(name[1:]), n)
    return getattr(rng, name)(size=n)


def costs(repeats: int) -> Iterator[Json]:
    """Bits of data under a standard normal, and their median."""
    for name, n in itertools.product([*VARIANCES, "t2"], (20, 50, 500, 2000)):
        rng = np.random.default_rng(0)
        bits = [
            torch.from_numpy(draws(name, n, rng) ** 2 + math.log(2 * math.pi)) / 2 / NATS
            for _ in range(repeats)
        ]
        truth = (VARIANCES.get(name, math.inf) + math.log(2 * math.pi)) / 2 / NATS
        scores = [bits_per_dim(-one * NATS, 1, "exact") for one in bits]
        yield row(f"bits/dim, {name}, n={n}", scores, truth)
    middle = np.median(draws("t2", 10**6, np.random.default_rng(1)) ** 2)
    truth = (middle + math.log(2 * math.pi)) / 2 / NATS
    medians = [median_interval(one) for one in bits]
    yield {
        "what": "median bits/dim, t2, n=2000",
        "held": sum(low <= truth <= high for _, low, high in medians) / repeats,
        "truth": float(truth),
        "mean": sum(median.value for median in medians) / repeats,
    }


# Samples


def named(what: str, setting: Setting) -> str:
    n, d, shift, scale = setting
    return f"{what}, n={n}, d={d}, shift {shift:g}, scale {scale:g}"


def distances(repeats: int) -> Iterator[Json]:
    """Of Fréchet and KID."""
    for setting in SETTINGS:
        scores = [frechet(*setting.draw(seed)) for seed in range(repeats)]
        yield row(named("Fréchet", setting), scores, setting.truth)
    for name, n in itertools.product(SKEWED, (50, 200, 1000)):
        rng = np.random.default_rng(0)
        pairs = (
            torch.from_numpy(SKEWED[name](rng, (2, n, 8)).astype(float)) for _ in range(repeats)
        )
        yield row(f"Fréchet, {name}, n={n}, d=8", [frechet(x, y) for x, y in pairs], 0.0)
    for setting in SETTINGS:
        yield repeated(named("KID", setting), setting, lambda x, y: kid(x, y), repeats)


def repeated(
    what: str, setting: Setting, measure: Callable[[Tensor, Tensor], Score], repeats: int
) -> Json:
    """Of a measure whose expectation is found by other draws."""
    scores = [measure(*setting.draw(seed)) for seed in range(2 * repeats)]
    others = [score.value for score in scores[repeats:] if score.value is not None]
    return row(what, scores[:repeats], sum(others) / repeats)


def shares(repeats: int) -> Iterator[Json]:
    """Of precision and its kin, of the classifier test, and of a classifier's accuracy."""
    for setting in SMALLER:
        found = [prdc(*setting.draw(seed)) for seed in range(2 * repeats)]
        for name in ("precision", "recall", "density", "coverage"):
            scores = [getattr(one, name) for one in found]
            truth = sum(score.value for score in scores[repeats:]) / repeats
            yield row(named(name, setting), scores[:repeats], truth)
    for setting in SMALLER:
        yield repeated(named("C2ST", setting), setting, lambda x, y: c2st(x, y), repeats)

    generator = torch.Generator().manual_seed(0)
    hits = torch.rand(repeats, 300, generator=generator) < 0.9
    accuracies = [wilson_interval(one) for one in hits]
    yield {
        "what": "accuracy, n=300",
        "held": sum(low <= 0.9 <= high for _, low, high in accuracies) / repeats,
        "truth": 0.9,
        "mean": hits.double().mean().item(),
    }


# Choice


def choices(repeats: int) -> Iterator[Json]:
    """Of the best of 20 equal models, of its differences from the others, and of Holm's claims."""
    rng = np.random.default_rng(0)
    boards = [equal_models(rng) for _ in range(repeats)]
    for what, splits in (("validation", ("val", "test")), ("test", ("test",))):
        winners = [rank_densities([_seen(model, splits) for model in board]) for board in boards]
        scores = [Score(**find(ranking.rows[0], "test")) for ranking in winners]
        yield row(f"winner of {MODELS} by {what} figures", scores, 0.0)

    pairs = [[difference(board[0], other) for other in board[1:]] for board in boards]
    known = [[pair for pair in one if pair] for one in pairs]
    every = [abs(pair.value) <= pair.half for one in known for pair in one]
    yield {"what": "paired difference", "held": sum(every) / len(every), "truth": 0.0}
    quiet = [not any(holm([pair.p for pair in one])) for one in known]
    yield {"what": f"no false claim in {MODELS - 1} pairs (Holm)", "held": sum(quiet) / repeats}


def equal_models(rng: np.random.Generator, n: int = 300) -> list[Json]:
    """Rows of equally good models: what the data cost all alike, and what each errs by."""
    shared = {split: rng.exponential(size=n) - 1 for split in ("val", "test")}
    rows = []
    for place in range(MODELS):
        bits = {split: cost + rng.normal(size=n) for split, cost in shared.items()}
        scores = [
            bits_per_dim(torch.from_numpy(-one * NATS), 1, "exact").to_json() | {"split": split}
            for split, one in bits.items()
        ]
        each = {"bits_per_dim.test": bits["test"], "bits_per_dim.test.rows": np.arange(n)}
        rows.append({"name": str(place), "kind": "model", "scores": scores, "each": each})
    return rows


def find(model: Json, split: str) -> Json:
    """The record of a split."""
    return next(score for score in model["scores"] if score["split"] == split)


def _seen(model: Json, splits: tuple[str, ...]) -> Json:
    """A row with the records of some splits."""
    return model | {"scores": [find(model, split) for split in splits]}


if __name__ == "__main__":
    main()
