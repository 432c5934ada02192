"""Held-out nats of small tables in raw units and in units scaled by 10^-6 to 10^6, beside
scikit-learn's on standardised columns.

    python benchmarks/units.py [--splits 10]

Iris, breast cancer, diabetes and a skewed table. `kde` meets scikit-learn's KernelDensity with the
best bandwidth of a 10-fold cross-validation, `discriminant` its LDA and QDA with automatic
shrinkage, each learned from the same training rows; ours may look at the validation rows, which
choose nothing but its estimate. Nats are in the raw units of the data.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from common import Json, arguments, learn, save, table  # isort: skip
import numpy as np
from sklearn import datasets  # type: ignore[import-untyped]
from sklearn.discriminant_analysis import (  # type: ignore[import-untyped]
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.model_selection import GridSearchCV  # type: ignore[import-untyped]
from sklearn.neighbors import KernelDensity  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

from dalm.data import Data, load_data
from dalm.models import KDE, Discriminant, Gaussian

Parts = dict[str, Any]
BANDWIDTHS = np.geomspace(0.03, 3, 41)


def skewed() -> tuple[Any, Any]:
    """Lognormal columns with a common factor, in two classes."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 600)
    factor = rng.normal(size=600) + y
    return np.exp(0.7 * factor[:, None] + 0.5 * rng.normal(size=(600, 5))), y


TABLES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "iris": lambda: datasets.load_iris(return_X_y=True),
    "breast_cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
    "diabetes": lambda: (datasets.load_diabetes().data, None),
    "skewed": skewed,
}


def cut(x: Any, y: Any, seed: int) -> Parts:
    """Train, val and test of rows, the same for every unit."""
    order = np.random.default_rng(seed).permutation(len(x))
    places = np.split(order, [8 * len(x) // 10, 9 * len(x) // 10])
    parts = dict(zip(("train", "val", "test"), places, strict=True))
    found = {f"x_{name}": x[rows] for name, rows in parts.items()}
    return found | ({} if y is None else {f"y_{name}": y[rows] for name, rows in parts.items()})


def taught(family: Any, data: Data) -> Any:
    return learn(family(data.spec), data)


def ours(parts: Parts, labelled: bool) -> Json:
    data = load_data(parts)
    found = {}
    for family in (KDE, Gaussian, Discriminant)[: 2 + labelled]:
        model = taught(family, data)
        found[family.family] = model.log_prob(data.test.x).mean().item()
        if family is Discriminant:
            found["accuracy"] = (model.classify(data.test.x) == data.test.y).double().mean().item()
    return found


def theirs(parts: Parts, labelled: bool) -> Json:
    scaler = StandardScaler().fit(parts["x_train"])
    train, test = (scaler.transform(parts[f"x_{name}"]) for name in ("train", "test"))
    volume = np.log(scaler.scale_).sum()
    search = GridSearchCV(KernelDensity(), {"bandwidth": BANDWIDTHS}, cv=10).fit(train)
    found = {"kde": search.best_estimator_.score_samples(test).mean() - volume}
    if labelled:
        y, truth = parts["y_train"], parts["y_test"]
        for name, peer in PEERS.items():
            found[name] = peer().fit(train, y).score(test, truth)
            found[f"{name} nats"] = _nats(train, y, test, name == "lda") - volume
    return found


PEERS: dict[str, Callable[[], Any]] = {
    "lda": lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"),
    "qda": lambda: QuadraticDiscriminantAnalysis(solver="eigen", shrinkage="auto"),
}


def _nats(train: Any, y: Any, test: Any, pooled: bool) -> float:
    """The density of the mixture that LDA or QDA with Ledoit–Wolf's shrinkage stands for."""
    from scipy.special import logsumexp
    from scipy.stats import multivariate_normal
    from sklearn.covariance import LedoitWolf  # type: ignore[import-untyped]

    kinds, counts = np.unique(y, return_counts=True)
    covariances = [LedoitWolf().fit(train[y == k]).covariance_ for k in kinds]
    if pooled:
        whole = sum(n * c for n, c in zip(counts, covariances, strict=True)) / len(y)
        covariances = [whole] * len(kinds)
    logs = [
        np.log(n / len(y)) + multivariate_normal(train[y == k].mean(0), c).logpdf(test)
        for k, n, c in zip(kinds, counts, covariances, strict=True)
    ]
    return float(logsumexp(logs, axis=0).mean())


def rows(name: str, splits: int) -> Json:
    x, y = TABLES[name]()
    scale = 10.0 ** np.random.default_rng(0).integers(-6, 7, x.shape[1])
    found: dict[str, list[float]] = {}
    apart = 0.0
    for seed in range(splits):
        raw = ours(cut(x, y, seed), y is not None)
        other = ours(cut(x * scale, y, seed), y is not None)
        for key, value in raw.items():
            shift = 0.0 if key == "accuracy" else np.log(scale).sum()
            apart = max(apart, abs(value - other[key] - shift))
            found.setdefault(key, []).append(value)
        for key, value in theirs(cut(x, y, seed), y is not None).items():
            found.setdefault(f"sklearn {key}", []).append(value)
    means = {key: float(np.mean(values)) for key, values in found.items()}
    paired = {
        key: _pair(found[mine], found[f"sklearn {peer}"])
        for key, mine, peer in (
            ("kde", "kde", "kde"),
            ("lda", "accuracy", "lda"),
            ("qda", "accuracy", "qda"),
            ("lda nats", "discriminant", "lda nats"),
            ("qda nats", "discriminant", "qda nats"),
        )
        if f"sklearn {peer}" in found
    }
    return {"data": name, "splits": splits, "apart": apart, "means": means, "ours - theirs": paired}


def _pair(mine: list[float], peers: list[float]) -> Json:
    """Mean difference over splits, and its standard error, which splits that overlap understate."""
    apart = np.subtract(mine, peers)
    return {"mean": float(apart.mean()), "se": float(apart.std(ddof=1) / len(apart) ** 0.5)}


def main() -> None:
    options = arguments(__doc__, splits=10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [rows(name, options.splits) for name in TABLES]
    lines = []
    for row in found:
        for key, value in row["means"].items():
            lines.append([row["data"], key, value])
        for key, pair in row["ours - theirs"].items():
            difference = f"{pair['mean']:.4f} ± {pair['se']:.4f}"
            lines.append([row["data"], f"ours - sklearn, {key}", difference])
        lines.append([row["data"], "raw and scaled units differ by at most", f"{row['apart']:.1e}"])
    table("units", ["data", "what", "value"], lines)
    save("units", {"rows": found}, options.quick)


if __name__ == "__main__":
    main()
