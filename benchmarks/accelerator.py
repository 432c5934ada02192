"""Fits on an accelerator: the same bits twice, and after a stop, and how fast.

    python benchmarks/accelerator.py [--device cuda] [--steps 200]

Each family is fitted twice with one seed, then once more with a stop halfway and a resume, and once
with its batch in two shards. Weights are compared bit for bit; of the shards only that they learn.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import worker  # its family `trio` has three players
from common import Json, arguments, save, table

import dalm
from dalm.data import Data
from dalm.train import Listener, Run, Session, fit
from dalm.train.step import Played
from dalm.verbs.models import make

FAMILIES = ("vae", "pixelcnn", "dcgan", "trio")
assert worker.Trio.family in FAMILIES


class Halfway(Listener):
    """Stops as Ctrl-C does, after half of the steps."""

    name = "halfway"

    def on_step(self, session: Session, played: Sequence[Played]) -> None:
        """Press it."""
        if session.step == (session.options.steps or 0) // 2:
            session.interrupted.set()


def fitted(family: str, data: Data, out: Path, device: str, steps: int, **options: Any) -> Run:
    """A run of so many steps."""
    model = make(family, data, 0)
    settings = {"device": device, "steps": steps, "progress": False, "out": out}
    return fit(model, data, **settings | options)


def try_family(family: str, data: Data, device: str, steps: int) -> Json:
    """What came of one family."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        first = fitted(family, data, folder / "first", device, steps)
        second = fitted(family, data, folder / "second", device, steps)
        halves = folder / "halves"
        stopped = fitted(family, data, halves, device, steps, listeners=[Halfway()])
        resumed = fitted(family, data, halves, device, steps, resume=True)
        shards = fitted(family, data, folder / "shards", device, steps, shards=2)
    whole = first.meta["weights"]
    return {
        "family": family,
        "device": device,
        "precision": first.meta["fit"]["precision"],
        "steps": steps,
        "steps/s": steps / first.meta["seconds"],
        "same bits twice": second.meta["weights"] == whole,
        "stopped": stopped.meta["state"] == "stopped",
        "same bits resumed": resumed.meta["weights"] == whole,
        "shards done": shards.meta["state"] == "done",
    }


def main() -> None:
    options = arguments(__doc__, device="cuda", steps=200)
    data = dalm.load_data("digits")
    steps = 10 if options.quick else options.steps
    results = [try_family(family, data, options.device, steps) for family in FAMILIES]
    table("On an accelerator", list(results[0]), [list(result.values()) for result in results])
    save("accelerator", {"settings": vars(options), "results": results}, options.quick)


if __name__ == "__main__":
    main()
