"""Does a budget of seconds hold beside busy neighbours, and is it used?

    python benchmarks/budgets.py [--seconds 30] [--busy 2] [--families vae kde] [--shapes 28x28]

Fits each family on digits, on 28×28 and on 32×32 colour images (random ones: only their cost
matters) while processes that do nothing but count keep cores busy. Printed are the seconds of the
whole call of `fit`, the steps, and how many steps the machine's free share would have allowed:
right after the fit, beside the same neighbours, the same net takes steps in a bare loop, with one
thread and with all, and the faster of the two counts. Then the run is made again by its recorded
plan, without a clock, and must end with the same bits.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dalm  # before torch: it chooses how OpenMP threads wait

import torch  # isort: skip
from common import Json, arguments, save, table

from dalm.data import Data, Split
from dalm.models import FAMILIES
from dalm.train.group import Group
from dalm.train.options import FitOptions, resolve
from dalm.train.speed import Trial, Way, threads_kept
from dalm.verbs.models import make

SHAPES = {"digits": None, "28x28": (1, 28, 28), "32x32x3": (3, 32, 32)}
ROWS = (10_000, 1000, 1000)
CLASSES = 10
BARE_SECONDS = 3.0
"""For which a bare loop is timed."""
NAMES = tuple(family.family for family in FAMILIES)


def data_of(name: str, rows: tuple[int, int, int] = ROWS) -> Data:
    """The digits, or random images of a shape."""
    shape = SHAPES[name]
    if shape is None:
        return dalm.load_data("digits")
    source = torch.Generator().manual_seed(0)
    parts = []
    for n in rows:
        x = torch.randint(256, (n, *shape), generator=source, dtype=torch.uint8)
        parts.append(Split(x, torch.randint(CLASSES, (n,), generator=source)))
    return Data(name, name, {}, dalm.Spec(shape, 256, CLASSES), *parts)


def count_for_ever() -> None:
    """A neighbour that keeps a core busy."""
    number = 0
    while True:
        number += 1


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """Some processes that keep cores busy."""
    busy = [multiprocessing.Process(target=count_for_ever, daemon=True) for _ in range(count)]
    for process in busy:
        process.start()
    try:
        yield
    finally:
        for process in busy:
            process.terminate()
            process.join()


def bare_rate(family: str, data: Data, fit: Json) -> float:
    """Steps a second of a bare loop, with as many threads as are best now."""
    options = resolve(FitOptions(seconds=1.0), make(family, data), len(data.train))
    rates = []
    with threads_kept():
        for threads in sorted({1, torch.get_num_threads()}):
            way = Way(threads, fit["precision"], fit["layout"])
            trial = Trial(make(family, data), data, options, 0, Group(), way)
            trial.first()
            began = time.perf_counter()
            while not trial.times or time.perf_counter() - began < BARE_SECONDS:
                trial.measure()
            rates.append(len(trial.times) / sum(trial.times))
    return max(rates)


def weights(run: Path) -> str:
    """The hash of a run's weights."""
    return hashlib.sha256((run / "weights.safetensors").read_bytes()).hexdigest()


def measure(family: str, shape: str, seconds: float, busy: int, again: bool) -> Json:
    """One fit, the bare loop after it, and the fit again by its plan."""
    data = data_of(shape)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        with neighbours(busy):
            began = time.perf_counter()
            run = dalm.fit(family, data, seconds=seconds, out=out, progress=False)
            used = time.perf_counter() - began
            fit = run.meta["fit"]
            steps = fit["steps"]
            rate = bare_rate(family, data, fit) if steps else None
        line = {"family": family, "shape": shape, "asked": seconds, "used": used, "steps": steps}
        line |= {"allowed": rate and rate * seconds, "passes": run.meta.get("passes")}
        line |= {"share": rate and steps / (rate * seconds), "speed": run.meta.get("speed")}
        line |= {name: fit[name] for name in ("threads", "precision", "layout")}
        if again:
            plan = dalm.fit(family, data, plan=str(out), out=Path(folder) / "again", progress=False)
            line["same_bits"] = weights(plan.path) == weights(out)
        return line


def shown(line: Json) -> list[object]:
    """A row of the table."""
    way = f"{line['threads']} {line['precision'] or ''} {line['layout'] or ''}"
    share = line["share"]
    return [
        line["family"],
        line["shape"],
        f"{line['used']:.1f} / {line['asked']:g}",
        line["steps"] or "–",
        f"{line['allowed']:.0f}" if line["allowed"] else "–",
        f"{share:.2f}" if share else "–",
        way,
        line.get("same_bits", "–"),
    ]


def main() -> None:
    options = arguments(
        __doc__, seconds=30.0, busy=2, families=NAMES, shapes=tuple(SHAPES), again=False
    )
    if options.quick:
        vars(options).update(seconds=2.0, families=("vae",), shapes=("digits",))
    lines = []
    columns = ["family", "shape", "seconds", "steps", "free share", "of it", "way", "same bits"]
    for shape in options.shapes:
        for family in options.families:
            line = measure(family, shape, options.seconds, options.busy, options.again)
            lines.append(line)
            print(*shown(line), sep="  ", flush=True)
    table(f"Budgets beside {options.busy} busy loops", columns, [shown(line) for line in lines])
    save("budgets", {"settings": vars(options), "fits": lines}, options.quick)


if __name__ == "__main__":
    main()
