"""Numbers and units: what offsets, units, constants, repetition and tails do to a density."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import gaussian_kde, norm, t
from sklearn.covariance import LedoitWolf  # type: ignore[import-untyped]
from sklearn.datasets import load_breast_cancer  # type: ignore[import-untyped]
from sklearn.discriminant_analysis import (  # type: ignore[import-untyped]
    QuadraticDiscriminantAnalysis,
)
from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

import dalm
from dalm.core import Density
from dalm.data import load_data
from dalm.errors import DalmError
from trust.rows import Json, answer, quietly, rng


def fitted(family: str, data: Any, **options: Any) -> Any:
    """A fitted model; its run is thrown away."""
    with quietly() as folder:
        return dalm.fit(family, data, out=folder / "run", progress=False, **options).model


def nats(model: Density, x: Any) -> float:
    """Mean log density of rows."""
    return model.log_prob(x).mean().item()


def large_offsets() -> Json:
    """B1: a normal around a billion, and one that has the size of a timestamp."""
    found = {}
    rows = {}
    for name, offset in (("1e9", 1e9), ("1.7e9", 1.7e9)):
        data = load_data(offset + rng().normal(size=(4000, 1)))
        found[name] = nats(fitted("kde", data), data.test.x)
        rows[name] = len(np.unique(data.train.x.numpy()))
    truth = norm.logpdf(rng(1).normal(size=100_000)).mean()
    now = f"{found['1e9']:.2f} and {found['1.7e9']:.2f} nats; {rows['1e9']} rows differ"
    before = "1 of 4,000 rows left, +46.6 nats; 671 of 4,000 left"
    ok = max(abs(value - truth) for value in found.values()) < 0.1 and rows["1e9"] > 3000
    return answer("B1", before, now, f"{truth:.2f} nats", ok)


def cancer() -> Any:
    """Breast cancer, and its labels."""
    return load_breast_cancer(return_X_y=True)


def units() -> Json:
    """B2: KDE on breast cancer in raw units, and the same with each column in another unit."""
    x, _ = cancer()
    scale = 10.0 ** rng().integers(-6, 7, x.shape[1])
    raw = _cut(x)
    scaled = _cut(x * scale)
    here = nats(fitted("kde", raw), raw.test.x)
    there = nats(fitted("kde", scaled), scaled.test.x) + np.log(scale).sum()
    std = raw.train.x.numpy().std(0)
    theirs = gaussian_kde((raw.train.x.numpy() / std).T)
    scipys = theirs.logpdf((raw.test.x.numpy() / std).T).mean() - np.log(std).sum()
    now = f"raw {here:.2f}, other units {there:.2f}"
    ok = here > 11.7 and abs(here - there) < 1e-6
    reference = f"equal; scipy on these rows {scipys:.2f}"
    return answer("B2", "−129.0 nats; by hand 11.7", now, reference, ok)


def _cut(x: Any) -> Any:
    """The same rows in the same splits, whatever their unit."""
    order = rng().permutation(len(x))
    train, val, test = np.split(x[order], [8 * len(x) // 10, 9 * len(x) // 10])
    return load_data({"x_train": train, "x_val": val, "x_test": test})


def few_rows() -> Json:
    """B2: a Gaussian of 200 rows of breast cancer, against Ledoit–Wolf in standard units."""
    x, _ = cancer()
    order = rng().permutation(len(x))
    train = x[order[:200]]
    test = x[order[200:]]
    data = load_data({"x_train": train, "x_test": test})
    ours = nats(fitted("gaussian", data), data.test.x)
    rows = data.train.x.numpy()
    mean = rows.mean(0)
    std = rows.std(0)
    theirs = LedoitWolf().fit((rows - mean) / std)
    reached = theirs.score((data.test.x.numpy() - mean) / std) - np.log(std).sum()
    return answer(
        "B2", "−154 nats", f"{ours:.1f}", f"Ledoit–Wolf {reached:.1f}", ours > reached - 2
    )


def classes() -> Json:
    """B2: the discriminant's accuracy on breast cancer, 10 splits."""
    ours = []
    theirs = []
    for seed in range(10):
        data = load_data(*cancer(), seed=seed)
        ours.append(
            (fitted("discriminant", data).classify(data.test.x) == data.test.y).double().mean()
        )
        discriminant = QuadraticDiscriminantAnalysis(solver="eigen", shrinkage="auto")
        peer = make_pipeline(StandardScaler(), discriminant)
        peer.fit(data.train.x.numpy(), data.train.y.numpy())
        theirs.append(peer.score(data.test.x.numpy(), data.test.y.numpy()))
    now = f"{np.mean(ours):.3f}"
    reference = f"scikit-learn's QDA, shrinkage auto, on the same rows {np.mean(theirs):.3f}"
    return answer("B2", "0.778", now, reference, np.mean(ours) > np.mean(theirs) - 0.01)


def constant_column() -> Json:
    """B3: two columns, one of them constant in training."""
    x = np.column_stack([rng().normal(size=2000), np.full(2000, 3.0)])
    data = load_data(x)
    found = {name: nats(fitted(name, data), data.test.x) for name in ("histogram", "gaussian")}
    truth = norm.logpdf(data.test.x[:, 0].numpy()).mean()
    now = ", ".join(f"{name} {value:.2f}" for name, value in found.items())
    before = "histogram −21.62 bits where 8.45 is right; gaussian fails as singular"
    ok = max(abs(value - truth) for value in found.values()) < 0.2
    return answer("B3", before, now, f"{truth:.2f} nats: a point mass costs none", ok)


def recorded() -> Json:
    """B4: three categorical columns as floats."""
    x = rng().integers(0, 4, (1000, 3)).astype(float)
    with quietly() as folder:
        board = dalm.compare(x, families=["kde"], out=folder / "board", progress=False)
        words = " ".join(board.legend)
    ranked = "Best density" in words or "Density: kde" in words
    now = "said, not ranked" if "not ranked" in words and not ranked else words[:120]
    return answer("B4", "Best density: kde −12.05 bits/dim", now, "not ranked", not ranked)


def each_row_twice() -> Json:
    """B5: KDE of rows that all stand twice, on fresh ones."""
    x = np.repeat(rng().normal(size=(500, 2)), 2, 0)
    fresh = rng(1).normal(size=(2000, 2))
    ours = nats(fitted("kde", load_data(x)), _tensor(fresh))
    reference = gaussian_kde(x.T).logpdf(fresh.T).mean()
    truth = norm.logpdf(fresh).sum(1).mean()
    before = "h = 3e-5, −4,791,744 nats"
    words = f"truth {truth:.2f}, scipy {reference:.2f}"
    return answer("B5", before, f"{ours:.2f} nats", words, ours > reference - 0.02)


def _tensor(x: Any) -> Any:
    return load_data({"x_train": x, "x_test": x}).train.x


def heavy_tails() -> Json:
    """B6: KDE of t with 1.5 degrees."""
    found = []
    for seed in range(5):
        data = load_data(t.rvs(1.5, size=(2000, 1), random_state=seed), seed=seed)
        found.append(nats(fitted("kde", data), data.test.x))
    truth = t.logpdf(t.rvs(1.5, size=200_000, random_state=99), 1.5).mean()
    now = f"{np.mean(found):.2f} nats, mean of 5"
    reference = f"truth {truth:.2f}, best fixed bandwidth −3.1, histogram −2.5"
    return answer("B6", "−12.5 nats", now, reference, np.mean(found) > -3.1)


def one_row() -> Json:
    """B7: one training row, a class of one row, and a shrinkage that is whole already."""
    told = []
    rows = {"x_val": np.ones((5, 2)), "x_test": np.ones((5, 2))}
    one = {"x_train": np.zeros((1, 2))} | rows
    for family in ("kde", "histogram", "gaussian"):
        told.append(_told(family, load_data(one)))
    y = np.array([0] * 50 + [1])
    x = rng().normal(size=(51, 3))
    told.append(
        _told(
            "discriminant",
            load_data(
                {
                    f"{name}_{part}": rows
                    for part in ("train", "val", "test")
                    for name, rows in (("x", x), ("y", y))
                }
            ),
        )
    )
    raw = [words for words in told if words.startswith("raw")]
    loud = [words for words in told if "larger shrinkage" in words]
    now = f"{len(told) - len(raw)} of {len(told)} in words or fitted"
    return answer(
        "B7", "a raw ValueError; a larger shrinkage than 1", now, "words", not raw and not loud
    )


def _told(family: str, data: Any) -> str:
    try:
        fitted(family, data)
    except DalmError as error:
        return str(error)
    except Exception as error:
        return f"raw {type(error).__name__}"
    return "fitted"


ROWS: tuple[Callable[[], Json], ...] = (
    large_offsets,
    units,
    few_rows,
    classes,
    constant_column,
    recorded,
    each_row_twice,
    heavy_tails,
    one_row,
)
