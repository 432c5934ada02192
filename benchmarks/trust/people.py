"""What people bring, and what they expect to find.

Each function makes a row. `python -m trust.people` in `benchmarks/` prints them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from common import ROOT
from torch.utils.data import TensorDataset

import dalm
from dalm.data import Data
from dalm.errors import DalmError
from trust.rows import Json, answer, quietly, rng, said, shell

X = rng().normal(size=(200, 3))
Y = rng(1).integers(0, 2, 200)
STILL: Json = {"progress": False}
TINY: Json = {"steps": 3, "snapshots": 0, "progress": False}
"""Options of a fit that is over at once."""


class Frame:
    """What dalm asks of a pandas DataFrame; pandas is not installed here."""

    columns = ("a", "b", "c", "kind")

    def __getitem__(self, column: str) -> Any:
        return Y if column == "kind" else X[:, self.columns.index(column)]

    def to_numpy(self) -> Any:
        return np.column_stack([X, Y])


def _same(data: Data, labelled: bool) -> bool:
    """Whether data are the rows of X, each with its label."""
    splits = (data.train, data.val, data.test)
    x = np.concatenate([split.x.numpy() for split in splits])
    order = [int(np.abs(X - row).sum(1).argmin()) for row in x]
    right = sorted(order) == [*range(len(X))] and np.allclose(x, X[order], atol=1e-6)
    if not labelled:
        return right
    y = np.concatenate([split.y.numpy() for split in splits if split.y is not None])
    return right and np.array_equal(y, Y[order])


def _loads(given: Any, labelled: bool = True, **options: Any) -> str:
    """Whether data come in whole, in a word or in those of the error."""
    try:
        return "right" if _same(dalm.load_data(given, **options), labelled) else "wrong rows"
    except (DalmError, ValueError, TypeError) as error:
        return str(error)[:80]


def data_in_memory() -> Json:
    """G1: everything that a row of Python holds data in."""
    tensor = torch.from_numpy(X)
    labels = torch.from_numpy(Y)
    found = {
        "X, y=y": _loads(X, y=Y),
        "(X, y)": _loads((X, Y)),
        "dict": _loads({"x": X, "y": Y}),
        "tensor": _loads(tensor, labelled=False),
        "Dataset": _loads(TensorDataset(tensor, labels)),
        "list": _loads(X.tolist(), labelled=False),
        "DataFrame": _loads(Frame(), label="kind"),
    }
    ok = set(found.values()) == {"right"}
    now = ", ".join(f"{name}: {word}" for name, word in found.items())
    return answer("G1", "refused; a DataFrame a raw ValueError", now, "all taken", ok)


def csv_file() -> Json:
    """G1: a CSV, with a line of names and without."""
    with quietly() as folder:
        named = folder / "named.csv"
        bare = folder / "bare.csv"
        np.savetxt(named, X, delimiter=",", header="a,b,c", comments="")
        np.savetxt(bare, X, delimiter=",")
        now = [_loads(path, labelled=False).replace(str(folder), "") for path in (named, bare)]
    return answer("G1", "refused", ", ".join(now), "taken", set(now) == {"right"})


def label_of_npz() -> Json:
    """G1: `--label NAME` picks among the arrays of a file."""
    with quietly() as folder:
        np.savez(folder / "a.npz", x=X, age=Y + 30, sex=np.where(Y, "m", "f"))
        ended = shell("fit discriminant a.npz --label sex --out run", folder)
        now = _meta(folder / "run")["data"]["classes"] if not ended.returncode else said(ended)
    return answer("G1", "no such option", f"classes {now}", "f, m", now == ["f", "m"])


def _meta(run: Path) -> Json:
    content: Json = json.loads((run / "run.json").read_text())
    return content


def verbs_take_arrays() -> Json:
    """G1: `fit("vae", X, y)` and `compare(X, y)`."""
    with quietly() as folder:
        run = dalm.fit("vae", X, Y, out=folder / "run", conditional=True, **TINY)
        quick: Json = {"families": ["gaussian"], "steps": 1, **STILL}
        board = dalm.compare(X, Y, out=folder / "board", **quick)
        rows = [row["name"] for row in board.rows]
    now = f"fit: {run.meta['state']}, {run.model.spec.classes} classes; compare: {len(rows)} rows"
    ok = run.meta["state"] == "done" and run.model.spec.classes == 2 and "gaussian" in rows
    return answer("G1", "refused", now, "both work", ok)


def arrays_out() -> Json:
    """G2: who gives NumPy gets NumPy, who gives tensors gets tensors, with the same numbers."""
    with quietly() as folder:
        model: Any = dalm.fit("vae", X, Y, out=folder / "run", conditional=True, **TINY).model
    calls = {
        "log_prob": lambda x, y: model.log_prob(x),
        "classify": lambda x, y: model.classify(x),
        "encode": model.encode,
    }
    kinds = {}
    for name, call in calls.items():
        arrays = call(X, Y)
        tensors = call(torch.from_numpy(X), torch.from_numpy(Y))
        same = np.allclose(np.asarray(arrays), tensors.detach().numpy(), atol=1e-5)
        kinds[name] = (type(arrays).__name__, type(tensors).__name__, same)
    ok = set(kinds.values()) == {("ndarray", "Tensor", True)}
    return answer("G2", "NumPy refused", kinds, "as given", ok)


def seed_of_samples() -> Json:
    """G2: `sample(n, seed=7)`, of a model and of a run."""
    with quietly() as folder:
        run = dalm.fit("vae", X, out=folder / "run", **TINY)
        ways: list[Callable[[int], Any]] = [
            lambda seed: run.model.sample(5, seed=seed),
            lambda seed: dalm.sample(run, 5, seed=seed),
        ]
        draws = [[np.asarray(way(seed)) for seed in (7, 7, 8)] for way in ways]
    same = [np.array_equal(first, again) for first, again, _ in draws]
    other = [not np.array_equal(first, third) for first, _, third in draws]
    now = f"seed 7 twice the same: {same}, seed 8 another: {other}"
    return answer("G2", "no such argument", now, "same, another", all(same + other))


def samples_as_table() -> Json:
    """G2: `dalm sample RUN --out x.csv` holds the very numbers of the arrays."""
    with quietly() as folder:
        dalm.fit("vae", X, out=folder / "run", **TINY)
        ended = [shell(f"sample run -n 5 --out x.{end}", folder) for end in ("csv", "npy")]
        if any(one.returncode for one in ended):
            return answer("G2", "refused", [said(one) for one in ended], "a table", False)
        names, *lines = (folder / "x.csv").read_text().splitlines()
        table = np.array([line.split(",") for line in lines], np.float32)
        same = np.array_equal(table, np.load(folder / "x.npy").astype(np.float32))
    now = f"{names}; {len(lines)} rows, equal to the .npy: {same}"
    return answer("G2", "refused", now, "a table", same and len(lines) == 5)


def samples_as_pictures() -> Json:
    """G2: samples as separate PNGs, and a grid that a person can see."""
    with quietly() as folder:
        dalm.fit("vae", "digits", out=folder / "run", **TINY)
        shell("sample run -n 5 --out pictures", folder)
        shell("sample run -n 64 --out grid.png", folder)
        files = sorted((folder / "pictures").glob("*.png"))
        sizes = {PIL.Image.open(path).size for path in files}
        grid = PIL.Image.open(folder / "grid.png").size
    now = f"{len(files)} files of {sizes}; the grid of 64 digits is {grid[0]}×{grid[1]}"
    ok = len(files) == 5 and grid[0] >= 400
    return answer("G2", "a grid, 71 pixels wide", now, "5 files; a grid of 400", ok)


def classifiers() -> Json:
    """G3: accuracy, log loss and confusion are in the metrics, and right."""
    data = dalm.load_data("digits")
    with quietly() as folder:
        run = dalm.fit("discriminant", data, out=folder / "run", **STILL)
        scores = dalm.score(run, data)
        page = dalm.report([run.path]).read_text()
    model: Any = run.model
    taken = np.asarray(model.classify(data.test.x))
    taken = taken.argmax(1) if taken.ndim == 2 else taken
    right = float((taken == np.asarray(data.test.y)).mean())
    found = {score.metric for score in scores}
    close = "accuracy" in found and abs((scores["accuracy"].value or 0) - right) < 1e-6
    words = [word for word in ("accuracy", "log loss", "taken for") if word in page.lower()]
    told = [one.note for one in scores if one.metric == "accuracy" and one.split == "test"]
    wrong = sum(int(n) for note in told for n in re.findall(r"(\d+) × ", note))
    confused = wrong == round(len(taken) * (1 - right))
    now = f"accuracy {right:.3f} as by hand: {close}; confusions {wrong}, all: {confused}; {words}"
    ok = close and confused and "log_loss" in found and len(words) == 3
    return answer("G3", "in no metric or report", now, "in both", ok)


def classifiers_in_readme() -> Json:
    """G3: the README says that conditional models classify."""
    text = (ROOT / "README.md").read_text().lower()
    found = [word for word in ("accuracy", "log loss", "classif") if word in text]
    return answer("G3", "not a word in the README", found, "accuracy", "accuracy" in found)


def coin_toss() -> Json:
    """G4: 10,000 values of two kinds."""
    coin = rng().integers(0, 2, 10_000)
    try:
        with quietly() as folder:
            run = dalm.fit("histogram", coin, out=folder / "run", **STILL)
            bits = dalm.score(run, dalm.load_data(coin))["bits_per_dim"].value
    except DalmError as error:
        return answer("G4", "refused", str(error), "1 bit", False)
    return answer("G4", "refused", f"{bits:.4f} bits", "1 bit", abs((bits or 0) - 1) < 0.01)


ROWS: tuple[Callable[[], Json], ...] = (
    data_in_memory,
    csv_file,
    label_of_npz,
    verbs_take_arrays,
    arrays_out,
    seed_of_samples,
    samples_as_table,
    samples_as_pictures,
    classifiers,
    classifiers_in_readme,
    coin_toss,
)


if __name__ == "__main__":
    for row in ROWS:
        print(json.dumps(row(), ensure_ascii=False), flush=True)
