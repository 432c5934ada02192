"""Columns and arrays that are not what they seem: collinear, on a lattice, masked, without a class.

Each function makes a row. `python -m trust.columns` in `benchmarks/` prints them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np

import dalm
from dalm.data import load_data
from dalm.errors import DalmError
from trust.rows import Json, answer, quietly, rng, said, shell

STILL: Json = {"progress": False}
NORMAL = 0.5 * np.log2(2 * np.pi * np.e)
"""Bits of a standard normal number."""


def collinear_figure() -> Json:
    """J10: a fourth column, the sum of two others: the figure is that of the other three."""
    x = rng().normal(size=(3000, 3))
    data = load_data(np.column_stack([x, x[:, 0] + x[:, 1]]))
    with quietly() as folder:
        run = dalm.fit("gaussian", data, out=folder / "run", **STILL)
        score = dalm.score(run, data)["bits_per_dim"]
    truth = 3 * NORMAL / 4
    now = f"{score.value:.3f} ({score.low:.3f} to {score.high:.3f})"
    ok = (score.low or 0) <= truth <= (score.high or 0)
    return answer("J10", "−3.96 bits/dim", now, f"{truth:.3f}", ok)


def collinear_said() -> Json:
    """J10: and it is said, when the data are loaded or the model is fitted, and on the page."""
    x = rng().normal(size=(300, 3))
    with quietly() as folder:
        np.savez(folder / "data.npz", x=np.column_stack([x, x[:, 0] + x[:, 1]]))
        fit = shell("fit gaussian data.npz --out run", folder)
        shell("score run", folder)
        page = dalm.report([folder / "run"]).read_text()
    sign = r"[^.\n]*(?:determined|collinear|\brank\b|linear rule|sum of)[^.\n<]*"
    heard = {
        name: bool(re.search(sign, text))
        for name, text in (("screen", fit.stdout + fit.stderr), ("page", page))
    }
    found = re.search(sign, fit.stdout + fit.stderr)
    now = f"{heard}; {found[0].strip() if found else 'not a word'}"
    return answer("J10", "not a word", now, "said on both", all(heard.values()))


def lattice() -> Json:
    """J11: floats in [0, 1] on a lattice: the advice, and whether following it works."""
    with quietly() as folder:
        np.save(folder / "x.npy", rng().integers(0, 256, (200, 8, 8)) / 255)
        advice = shell("fit gaussian x.npy --out real", folder)
        flag = re.search(r"--levels \d+", advice.stdout + advice.stderr)
        words = flag[0] if flag else "--levels 256"
        ended = shell(f"fit gaussian x.npy {words} --out run", folder)
    now = f"advice: {flag and flag[0]}; followed: {said(ended)}"
    ok = flag is not None and ended.returncode == 0
    return answer("J11", "bring them to levels; --levels refuses floats", now, "works", ok)


def negative_bits() -> Json:
    """J11: bits/dim below zero: a word of what that means, on screen and page."""
    with quietly() as folder:
        np.savez(folder / "data.npz", x=1e-6 * rng().normal(size=(300, 3)))
        shell("fit gaussian data.npz --out run", folder)
        ended = shell("score run", folder)
        page = dalm.report([folder / "run"]).read_text()
    below = r"(?:negative|below (?:0|zero))"
    about = r"(?:densit|bits/dim)"
    sign = rf"{below}[^.<]*{about}|{about}[^.<]*{below}"
    places = (("screen", ended.stdout + ended.stderr), ("page", page))
    heard = {name: bool(re.search(sign, text)) for name, text in places}
    figure = re.search(r"bits/dim +[−-][\d.]+", ended.stdout)
    now = f"{figure and figure[0]}; remarked: {heard}"
    return answer("J11", "unremarked", now, "remarked on both", all(heard.values()))


def masked() -> Json:
    """J11: a masked array of data, and one of labels."""
    x, y = rng().normal(size=(200, 3)), np.ones(200, int)
    some = rng().random((200, 3)) < 0.1
    now = [
        _refusal(np.ma.masked_array(x, some)),
        _refusal(x, np.ma.masked_array(y, some[:, 0])),
    ]
    return answer("J11", "the mask is ignored", now, "refused", all("masked" in one for one in now))


def _refusal(*given: Any) -> str:
    try:
        return f"{load_data(*given)!r}"
    except DalmError as error:
        return str(error)[:60]


def untrained_class() -> Json:
    """J11: a class without training rows, drawn from a VAE."""
    x = rng().normal(size=(120, 3))
    y: Json = {"y_train": np.array([0, 1] * 40), "y_test": np.array([0, 1, 2, 2] * 10)}
    with quietly() as folder:
        np.savez(folder / "data.npz", x_train=x[:80], x_test=x[80:], **y)
        fit = shell("fit vae data.npz --conditional --steps 2 --out run", folder)
        ended = shell("sample run -n 3 --class 2 --out x.npz", folder)
    loaded = "no training row" in fit.stdout + fit.stderr
    words = ended.stdout + ended.stderr
    told = "training row" in words or "never" in words
    now = f"said when loaded: {loaded}; when drawn: {said(ended)}"
    return answer("J11", "drawn without a word", now, "refused, or said", loaded and told)


def stratified() -> Json:
    """J11: a class of 5 %: its share of each split."""
    y = np.array([0] * 950 + [1] * 50)
    worst = 0.0
    for seed in range(5):
        data = load_data(rng(seed).normal(size=(1000, 2)), y, seed=seed)
        shares = [np.mean(np.asarray(split.y)) for split in (data.train, data.val, data.test)]
        worst = max(worst, float(np.abs(np.array(shares) - 0.05).max()))
    now = f"off by at most {worst:.4f} in 5 seeds"
    return answer("J11", "not stratified", now, "at most 1 row: 0.01", worst <= 0.01)


ROWS: tuple[Callable[[], Json], ...] = (
    collinear_figure,
    collinear_said,
    lattice,
    negative_bits,
    masked,
    untrained_class,
    stratified,
)


if __name__ == "__main__":
    for row in ROWS:
        print(json.dumps(row(), ensure_ascii=False), flush=True)
