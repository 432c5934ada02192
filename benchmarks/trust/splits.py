"""Splits: what a held-out figure is worth where rows repeat, belong together or leak."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits  # type: ignore[import-untyped]

import dalm
from dalm.data import load_data
from dalm.metrics import evaluate
from dalm.models import Histogram
from dalm.testing.cases import learn
from trust.rows import Json, answer, quietly, rng

SEEDS = 20


def binary(n: int, columns: int, seed: int) -> Any:
    """Rows of ones with a chance of 3 %."""
    return (rng(seed).random((n, columns)) < 0.03).astype(np.uint8)


def repeated_rows() -> Json:
    """A1: the held-out bits of a histogram against those of fresh rows of the same distribution."""
    held = 0
    values = []
    truths = []
    for seed in range(SEEDS):
        data = load_data(binary(5000, 16, seed), seed=seed)
        model = Histogram(data.spec)
        learn(model, data.train.x, None, 0)
        [score] = evaluate(None, data.train.x, data.test.x, data.spec, model=model)
        fresh = torch.from_numpy(binary(50_000, 16, 1000 + seed))
        truth = -model.log_prob(fresh).mean().item() / (16 * np.log(2))
        held += score.low <= truth <= score.high  # type: ignore[operator]
        values.append(score.value)
        truths.append(truth)
    now = f"{np.mean(values):.3f}, on fresh rows {np.mean(truths):.3f}; {held} of {SEEDS} hold"
    before = "test bits 0.543, fresh rows 0.207; 0 of 13 intervals hold"
    return answer("A1", before, now, "entropy 0.194; at least 17 of 20", held >= 17)


TRUE: dict[str, Callable[[int], Any]] = {
    "10 binary columns": lambda seed: binary(2000, 10, seed),
    "4 columns of 5 levels": lambda seed: rng(seed).integers(0, 5, (2000, 4)),
    "ages": lambda seed: rng(seed).normal(45, 15, (2000, 1)).round().clip(0, 99).astype(np.uint8),
    "floats rounded to 0.1": lambda seed: rng(seed).normal(size=(2000, 2)).round(1),
}


def honest_copiers() -> Json:
    """A2: fresh rows of the true distribution, which copy nothing."""
    flagged = 0
    tests = []
    count = 0
    for draw in TRUE.values():
        for seed in range(SEEDS // 4):
            data = load_data(draw(seed), seed=seed)
            fresh = load_data(draw(500 + seed), seed=seed).train.x
            found = evaluate(fresh, data.train.x, data.test.x, data.spec, seed=seed)
            flagged += any(score.flag for score in found)
            tests += [score.value for score in found if score.metric == "c2st"]
            count += 1
    now = f"{flagged} of {count} flagged; classifier test {np.mean(tests):.2f}"
    before = "20 of 20 flagged; classifier test 0.76 to 0.96"
    return answer("A2", before, now, "none; 0.5", flagged == 0 and abs(np.mean(tests) - 0.5) < 0.05)


def subjects() -> tuple[Any, Any]:
    """300 subjects with 10 rows each, and who each row is."""
    who = np.repeat(np.arange(300), 10)
    return rng().normal(size=(300, 2))[who] + 0.01 * rng(1).normal(size=(3000, 2)), who


def kde_bits(data: Any, fresh: Any) -> tuple[float, float]:
    """Held-out bits of a KDE, and those of fresh rows."""
    with quietly() as folder:
        model = dalm.fit("kde", data, out=folder / "run", progress=False).model
    scale = data.spec.dims * np.log(2)
    test = -model.log_prob(data.test.x).mean().item() / scale  # type: ignore[operator]
    return test, -model.log_prob(fresh).mean().item() / scale  # type: ignore[operator]


def groups() -> Json:
    """A3: subjects that stand on both sides of a split."""
    x, who = subjects()
    alone = load_data(x)
    together = load_data(x, group=who)
    others = rng(2).normal(size=(300, 2))
    before, now = (kde_bits(data, others) for data in (alone, together))
    warned = any("alike" in warning or "group" in warning for warning in alone.warnings)
    words = f"by row {before[0]:.2f}, new subjects {before[1]:.2f}, warned: {warned}; "
    words += f"by group {now[0]:.2f}, new subjects {now[1]:.2f}"
    ok = warned and abs(now[0] - now[1]) < 0.5
    return answer("A3", "0.03 bits/dim, on new subjects 19.95, not a word", words, "equal", ok)


def walk() -> Json:
    """A3: a random walk, whose next steps are none of those between the others."""
    x = rng().normal(size=(3000, 1)).cumsum(0)
    alone = load_data(x[:2000])
    warned = any("order" in warning for warning in alone.warnings)
    cut = load_data(x[:2000], order="file")
    last = cut.test.x[-1].item() == x[1999, 0]
    now = f"warned: {warned}; with --order file the last rows are tested: {last}"
    before = "2.15 bits/dim, 689 on the next 1,000 steps, not a word"
    return answer("A3", before, now, "said, and cut in time", warned and last)


def leaks() -> Json:
    """A4: a given test split that holds all of the training rows."""
    x = load_digits().images.astype(np.uint8)[:, None]
    data = load_data({"x_train": x[:600], "x_test": x}, levels=17)
    said = [warning for warning in data.warnings if "train" in warning]
    with quietly() as folder:
        run = dalm.fit("kde", data, out=folder / "run", progress=False)
        dalm.score(run, data)
        dalm.report(run.path)
        page = (run.path / "report.html").read_text(encoding="utf-8")
        sealed = dalm.prove(run, data)
    on_seal = any("training" in words for words in sealed.legend)
    now = f"notes: {bool(said)}, page: {bool(said) and said[0][:30] in page}, seal: {on_seal}"
    ok = bool(said) and said[0][:30] in page and on_seal
    return answer("A4", "not a word; sealed at 4,617 bytes", now, "said on all three", ok)


def reduced_levels() -> Json:
    """A5: rows that become equal when levels are reduced, and zeros of either sign."""
    x = rng().integers(0, 256, (400, 1, 3, 3), dtype=np.uint8)
    twice = np.concatenate([x, x ^ 1])  # the last bit differs, which two levels do not see
    data = load_data(twice, levels=2, repeats="together")
    train = {row.numpy().tobytes() for row in data.train.x}
    across = np.mean([row.numpy().tobytes() in train for row in data.test.x])
    zeros = load_data(
        np.where(np.arange(400) % 2, 0.0, -0.0)[:, None] + np.repeat(range(200), 2)[:, None]
    )
    signs = len(zeros.train) + len(zeros.val) + len(zeros.test) == 400
    now = f"{across:.0%} of test rows equal a training row after the reduction"
    return answer(
        "A5", "100 % may", now, "0 % where equal rows stay together", across == 0 and signs
    )


def contradiction() -> Json:
    """A6: what is said of few distinct rows among many."""
    x = np.repeat(rng().integers(0, 2, (5, 1, 8, 8), dtype=np.uint8), 1000, 0)
    try:
        data = load_data(x, levels=2)
        now = f"{len(data.train)} train, {len(data.val)} val, {len(data.test)} test"
    except dalm.errors.DalmError as error:
        now = str(error)
    before = "too few data: 5000 (173 distinct) … give at least 10 distinct ones"
    ok = "at least 10 distinct" not in now
    return answer("A6", before, now[:160], "no contradiction", ok)


ROWS: tuple[Callable[[], Json], ...] = (
    repeated_rows,
    honest_copiers,
    groups,
    walk,
    leaks,
    reduced_levels,
    contradiction,
)
