"""Cheats planted on purpose, and honest samples: which alarm names each, and which none does.

    python benchmarks/cheats.py [--data digits ring8 …] [--seeds 3] [--honest 10]

Each cheat is a rule that turns training rows (or test rows) into 2,000 samples. Honest samples are
fresh draws of the true distribution where it is known, held-out rows against others elsewhere, and
those of families in closed form. MNIST is read from shared/data and left out where it is not there.
Figures: how many of the seeds raise an alarm, and which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from common import MNIST, Json, arguments, save, table  # isort: skip
import torch
from planted import (
    CHEATS,
    CLAIMS,
    FAMILIES,
    IMAGES,
    SAMPLES,
    SEALS,
    fitted,
    forget,
)
from torch import Tensor

from dalm.data import Data, load_data
from dalm.metrics import ALARMS
from dalm.metrics.evidence import Evidence


def flags_of(data: Data, samples: Tensor, seed: int) -> list[str]:
    evidence = Evidence(
        data.spec, data.train.x, data.test.x, samples, labels=data.test.y, seed=seed
    )
    found = [score for measure in ALARMS for score in measure.scores(evidence)]
    return sorted({f"{score.flag} ({score.metric})" for score in found if score.flag})


def claimed(data: Data, seed: int) -> Iterator[tuple[str, list[str]]]:
    """Cheats that claim too much, and what they raise."""
    for name, claim in (CLAIMS | (SEALS if data.spec.levels else {})).items():
        yield name, claim(data, seed)


def honest_samples(data: Data, seed: int) -> Iterator[tuple[str, Tensor]]:
    generator = torch.Generator().manual_seed(1000 + seed)
    for name in FAMILIES:
        if name != "discriminant" or data.classes:
            yield name, fitted(name, data).sample(SAMPLES, generator=generator)
    fresh = fresh_rows(data, seed)
    if fresh is not None:
        yield "fresh", fresh


def fresh_rows(data: Data, seed: int) -> Tensor | None:
    if data.name in ("ring8", "grid25"):
        other = load_data(data.name, n=4000, seed=9000 + seed)
        return other.train.x[:SAMPLES]
    return data.val.x


def breast_cancer(seed: int) -> Data:
    from sklearn import datasets

    from dalm.data.arrays import from_arrays
    from dalm.data.options import RowOptions

    x, y = datasets.load_breast_cancer(return_X_y=True)
    return from_arrays("breast_cancer", "sklearn", {"x": x, "y": y}, RowOptions(seed=seed))


SOURCES: dict[str, Callable[[int], Data]] = {
    "digits": lambda seed: load_data("digits"),
    "ring8": lambda seed: load_data("ring8", seed=seed),
    "grid25": lambda seed: load_data("grid25", seed=seed),
    "mnist": lambda seed: load_data(str(MNIST), seed=seed),
    "breast_cancer": breast_cancer,
}


def cases(names: list[str], seeds: int, honest_seeds: int) -> Iterator[Json]:
    for name in names:
        cheats = CHEATS | (IMAGES if name in ("digits", "mnist") else {})
        found: dict[tuple[str, str], list[list[str]]] = {}
        for seed in range(max(seeds, honest_seeds)):
            data = SOURCES[name](seed)
            if seed < seeds:
                for cheat, draw in cheats.items():
                    samples = draw(data, torch.Generator().manual_seed(seed))
                    found.setdefault(("cheat", cheat), []).append(flags_of(data, samples, seed))
                for cheat, flags in claimed(data, seed):
                    found.setdefault(("cheat", cheat), []).append(flags)
            if seed < honest_seeds:
                for who, samples in honest_samples(data, seed):
                    found.setdefault(("honest", who), []).append(flags_of(data, samples, seed))
            forget()
        for (kind, who), flags in found.items():
            raised = sum(bool(f) for f in flags)
            alarms = sorted(set().union(*flags))
            row = {"data": name, "kind": kind, "who": who, "flagged": raised, "of": len(flags)}
            print(
                f"{name:14} {kind:7} {who:24} {raised}/{len(flags)} {', '.join(alarms)}", flush=True
            )
            yield row | {"alarms": alarms}


def main() -> None:
    options = arguments(__doc__, data=tuple(SOURCES), seeds=3, honest=10)
    names = [n for n in options.data if n != "mnist" or MNIST.exists()]
    rows = list(cases(names, options.seeds, options.honest))
    summary = {}
    for name in names:
        mine = [row for row in rows if row["data"] == name and row["kind"] == "cheat"]
        told = sum(row["flagged"] for row in mine)
        summary[name] = {"cheats flagged": told, "of": sum(row["of"] for row in mine)}
        good = [row for row in rows if row["data"] == name and row["kind"] == "honest"]
        summary[name] |= {
            "honest flagged": sum(r["flagged"] for r in good),
            "honest": sum(r["of"] for r in good),
        }
    headings = ["data", "cheats flagged", "of", "honest flagged", "honest"]
    lines = [[name, *facts.values()] for name, facts in summary.items()]
    table("alarms", headings, lines)
    save("cheats", {"rows": rows, "summary": summary}, options.quick)


if __name__ == "__main__":
    main()
