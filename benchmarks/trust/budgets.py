"""Budgets of seconds, scoring, parallel runs and threads: what was wrong, and what is seen now."""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dalm  # before torch: it chooses how OpenMP threads wait

import torch  # isort: skip
from budgets import bare_rate, data_of, neighbours, weights
from safetensors.torch import load_file

from dalm.errors import DalmError
from dalm.train import Listener
from trust.rows import Json, answer

SECONDS = 30.0
QUIET = {"progress": False}


def timed_fit(family: str, shape: str, seconds: float, busy: int) -> Json:
    """A fit beside busy neighbours: seconds of the call, steps, steps of a bare loop."""
    data = data_of(shape)
    with tempfile.TemporaryDirectory() as folder, neighbours(busy):
        began = time.perf_counter()
        run = dalm.fit(family, data, seconds=seconds, out=Path(folder) / "run", **QUIET)
        used = time.perf_counter() - began
        fit = run.meta["fit"]
        allowed = bare_rate(family, data, fit) * seconds if fit["steps"] else None
        return {"used": used, "steps": fit["steps"], "allowed": allowed, "threads": fit["threads"]}


def one_step_in_silence() -> Json:
    """F1: `vae` on colour images, two neighbours beside it."""
    found = timed_fit("vae", "32x32x3", SECONDS, 2)
    now = f"{found['steps']} steps in {found['used']:.1f} s"
    reference = f"{found['allowed']:.0f} steps of a bare loop, within a third; {SECONDS:g} s"
    ok = found["steps"] >= found["allowed"] * 2 / 3 and found["used"] < 1.25 * SECONDS
    return answer("F1", "1 step in 1.2 of 30 s", now, reference, ok)


def overrun() -> Json:
    """F2: the worst of some families, two neighbours beside it."""
    families = ("pixelcnn", "kde", "gaussian")
    used = {name: timed_fit(name, "28x28", SECONDS, 2)["used"] for name in families}
    now = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in used.items())
    limit = 1.1 * SECONDS + 2
    ok = max(used.values()) <= limit
    return answer(
        "F2", "151 s of 60; kde 88.7 s of 5", now, f"{SECONDS:g} s, at most {limit:g}", ok
    )


def cost_of_scoring() -> Json:
    """F3: the slowest scorer, `pixelcnn`, on 28×28 images."""
    data = data_of("28x28")
    with tempfile.TemporaryDirectory() as folder:
        run = dalm.fit("pixelcnn", data, seconds=SECONDS, out=Path(folder) / "run", **QUIET)
        began = time.perf_counter()
        scores = dalm.score(run, data)
        used = time.perf_counter() - began
    sizes = scores.record["sizes"]
    now = f"{used:.1f} s for {sizes['samples']} samples, {sizes['likelihoods']} likelihoods"
    return answer(
        "F3", "909 s after 45", now, f"about {SECONDS / 2:g} s", used <= 1.25 * SECONDS / 2
    )


def busy_neighbour() -> Json:
    """F5: the convolutional VAE on 28×28 images beside one busy loop."""
    found = timed_fit("vae", "28x28", SECONDS, 1)
    rate = found["steps"] / found["used"]
    best = found["allowed"] / SECONDS
    now = f"{rate:.1f} steps/s by {found['threads']} threads, {found['used']:.1f} s"
    before = "3.1 steps/s by two threads, 10.8 by one"
    return answer("F5", before, now, f"{best:.1f} in a bare loop", rate >= best * 2 / 3)


PATIENCE = 300
"""Seconds until fits that say nothing count as stuck."""


def _fit_here(barrier: Any, told: Any, place: str, out: str | None) -> None:
    os.chdir(place)
    barrier.wait()
    try:
        run = dalm.fit("gaussian", dalm.load_data("digits"), out=out, **QUIET)
        told.put("done" if (run.path / "weights.safetensors").exists() else "no weights")
    except DalmError as error:
        told.put("refused" if "exists already" in str(error) else f"unclear: {error}")
    except OSError as error:
        told.put(f"unclear: {error}")


def _at_once(out: str | None, count: int = 4) -> dict[str, int]:
    """How several fits at the same time end."""
    with tempfile.TemporaryDirectory() as place:
        # Started anew: a fork of a process whose threads hold locks would wait for ever.
        fresh = multiprocessing.get_context("spawn")
        barrier = fresh.Barrier(count)
        told: Any = fresh.Queue()
        work = [
            fresh.Process(target=_fit_here, args=(barrier, told, place, out)) for _ in range(count)
        ]
        for process in work:
            process.start()
        ends = [told.get(timeout=PATIENCE) for _ in work]
        for process in work:
            process.join()
    return {end: ends.count(end) for end in sorted(set(ends))}


def fits_at_once() -> Json:
    """J6: four fits without a folder, and four into one."""
    apart, together = _at_once(None), _at_once("one")
    now = f"without --out: {apart}; into one: {together}"
    ok = apart == {"done": 4} and together == {"done": 1, "refused": 3}
    before = "2 of 4 fail, one without weights; Errno 39"
    return answer("J6", before, now, "4 done; 1 done, 3 refused in words", ok)


def going_on() -> Json:
    """J7: an empty folder, a run trained further, a resume that does not say of what."""
    data = dalm.load_data("digits")
    asked = {"net": "mlp", "width": 16, "steps": 20} | QUIET
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "empty")
        place.mkdir()
        first = dalm.fit("vae", data, out=place, **asked)
        further = dalm.fit("vae", data, out=Path(folder, "on"), start_from=str(first.path), **asked)
        try:
            dalm.fit("vae", data, resume=True, **asked)
            words = "started anew"
        except DalmError as error:
            words = str(error)
    started = further.meta["fit"]["start_from"]
    now = f"empty accepted; trained further: {started is not None}; {words[:60]}…"
    ok = "say which one" in words and started is not None
    before = "refused; impossible; starts anew"
    return answer("J7", before, now, "accepted; possible; said", ok)


class StopAt(Listener):
    """Stops a fit as Ctrl-C does.

    Args:
        step: after which.
    """

    name = "stop-at"

    def __init__(self, step: int) -> None:
        self.at = step

    def on_step(self, session: Any, played: Any) -> None:
        """Stop, if it is time."""
        if session.step == self.at:
            session.interrupted.set()


def threads_at_resume() -> Json:
    """J9: a run begun with one thread and gone on with in a process that has two."""
    data = dalm.load_data("digits")
    asked = {"steps": 60, "out": None} | QUIET
    before = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        torch.set_num_threads(1)
        whole = dalm.fit("vae", data, **asked | {"out": Path(folder, "whole")})
        part = Path(folder, "part")
        dalm.fit("vae", data, listeners=[StopAt(30)], **asked | {"out": part})
        torch.set_num_threads(2)
        again = dalm.fit("vae", data, resume=True, **asked | {"out": part})
        torch.set_num_threads(before)
        pair = [load_file(run.path / "weights.safetensors") for run in (whole, again)]
    same = all(torch.equal(pair[0][name], pair[1][name]) for name in pair[0])
    now = f"the same bits: {same}; {again.meta['fit']['threads']} thread recorded and used"
    return answer(
        "J9", "one and two threads differ", now, "the same, by the threads recorded", same
    )


def the_plan_repeats() -> Json:
    """F5: a run with a clock, made again by its recorded plan."""
    data = data_of("28x28")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        with neighbours(1):
            first = dalm.fit("vae", data, seconds=SECONDS / 2, out=out, **QUIET)
        again = dalm.fit("vae", data, plan=str(out), out=Path(folder) / "again", **QUIET)
        same = weights(first.path) == weights(again.path)
    now = f"the same bits: {same}, {len(first.meta['plan'])} legs"
    return answer("F5", "no plan is recorded", now, "the same bits", same)


def ring8() -> Json:
    """H10: the README's own example, `vae` on ring8."""
    data = dalm.load_data("ring8")
    with tempfile.TemporaryDirectory() as folder:
        run = dalm.fit("vae", data, seconds=40, out=Path(folder) / "run", **QUIET)
        noise = torch.Generator().manual_seed(0)
        rows = data.test.x[:1000]
        bound = run.model.importance_bound(rows, samples=128, generator=noise)  # type: ignore
        nats = -bound.mean().item()
    return answer("H10", "2.548 nats, as noise", f"{nats:.3f} nats", "below noise", nats < 2.0)


ROWS: tuple[Callable[[], Json], ...] = (
    one_step_in_silence,
    overrun,
    cost_of_scoring,
    busy_neighbour,
    the_plan_repeats,
    ring8,
    fits_at_once,
    going_on,
    threads_at_resume,
)


if __name__ == "__main__":
    for measure in ROWS:
        print(measure())
