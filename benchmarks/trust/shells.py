"""Shells, disks and clocks: what happens where a run is stopped, doubled, moved or has no room.

Each function makes a row. `python -m trust.shells` in `benchmarks/` prints them.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from common import PROGRAM

import dalm
from dalm.train import Listener
from trust.rows import Json, answer, quietly, rng, said, shell

STILL: Json = {"progress": False}
MOMENTS = (0.02, 0.1, 0.2, 0.25, 0.28, 0.3, 0.32, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Seconds after which Ctrl-C comes."""


def _state(run: Path) -> str:
    """The state of a run, and whether its weights are there."""
    try:
        state = str(json.loads((run / "run.json").read_text())["state"])
    except OSError as error:
        return f"no run: {error}"
    return state if (run / "weights.safetensors").exists() else f"{state} without weights"


def _at_once(count: int, words: str, folder: Path) -> list[subprocess.CompletedProcess[str]]:
    """So many commands at the same time."""
    command = [PROGRAM, *words.split()]
    pipes: Json = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, cwd=folder, **pipes) for _ in range(count)]
    outputs = [process.communicate(timeout=120) for process in started]
    return [
        subprocess.CompletedProcess(command, process.returncode, *output)
        for process, output in zip(started, outputs, strict=True)
    ]


def fits_without_out() -> Json:
    """J6: four fits at the same time, none told where to write."""
    with quietly() as folder:
        ended = _at_once(4, "fit vae digits --steps 3", folder)
        runs = [*(folder / "runs").iterdir()]
        states = [_state(run) for run in runs if not run.name.startswith(".")]
    now = f"exit codes {[one.returncode for one in ended]}, runs {states}"
    ok = states == ["done"] * 4 and not any(one.returncode for one in ended)
    return answer("J6", "2 of 4 fail, one without weights", now, "4 done", ok)


def fits_into_one() -> Json:
    """J6: two fits at the same time into one folder."""
    with quietly() as folder:
        ended = _at_once(2, "fit vae digits --steps 30 --out run", folder)
        state = _state(folder / "run")
    codes = sorted(one.returncode for one in ended)
    words = [said(one) for one in ended if one.returncode]
    now = f"{codes}, run {state}; {words}"
    clear = all(re.search(r"another process|exists already", one) for one in words)
    ok = codes == [0, 2] and state == "done" and clear
    return answer("J6", "Errno 39", now, "one done, one told why", ok)


def resume_without_out() -> Json:
    """J7: `--resume` that does not say with what."""
    with quietly() as folder:
        words = "fit vae digits --steps 3"
        shell(words, folder)
        ended = shell(f"{words} --resume", folder)
        runs = len([*(folder / "runs").glob("vae*")])
    ok = ended.returncode == 2 and runs == 1 and "--out" in ended.stderr
    return answer("J7", "starts anew", f"{said(ended)}; {runs} run", "asks for --out", ok)


def empty_folder() -> Json:
    """J7: an empty folder as `--out`."""
    with quietly() as folder:
        (folder / "run").mkdir()
        ended = shell("fit gaussian digits --out run", folder)
        state = _state(folder / "run")
    return answer("J7", "refused", f"{said(ended)}; {state}", "done", state == "done")


def moved_data() -> Json:
    """J7: data that have moved, with `--data` and without."""
    with quietly() as folder:
        np.savez(folder / "old.npz", x=rng().normal(size=(300, 3)))
        shell("fit gaussian old.npz --out run", folder)
        (folder / "old.npz").rename(folder / "new.npz")
        without = shell("score run", folder)
        ended = shell("score run --data new.npz", folder)
    now = f"{said(without).replace(str(folder), '')}; with --data: {ended.returncode}"
    ok = "--data" in without.stderr and without.returncode == 2 and not ended.returncode
    return answer("J7", "cannot be scored", now, "scored with --data", ok)


def trained_further() -> Json:
    """J7: `dalm fit --from RUN --steps 4`, as the list puts it, and by the option that there is."""
    with quietly() as folder:
        shell("fit vae digits --steps 3 --out run", folder)
        short = shell("fit vae digits --from run --steps 4 --out more", folder)
        shell("fit vae digits --start-from run --steps 4 --out further", folder)
        state = _state(folder / "further")
    ways = {"--from": short.returncode == 0, "--start-from": state == "done"}
    return answer("J7", "cannot be trained further", ways, "one of them", any(ways.values()))


class Stop(Listener):
    """Stops a fit as Ctrl-C does."""

    name = "stop"

    def __init__(self, step: int) -> None:
        self.at = step

    def on_step_end(self, session: Any) -> None:
        if session.step == self.at:
            session.interrupted.set()


def stopped_run() -> Json:
    """J7: the score of a stopped run."""
    with quietly() as folder:
        np.savez(folder / "data.npz", x=rng().normal(size=(200, 3)))
        where: Json = {"out": folder / "run", "listeners": [Stop(4)], **STILL}
        dalm.fit("vae", folder / "data.npz", steps=50, **where)
        words = shell("score run", folder).stdout
        page = dalm.report([folder / "run"]).read_text()
    found = re.search(r"[^.\n]*stopped at step 4 of 50[^.\n]*", words)
    paged = re.search(r"state is stopped|stopped at step", page) is not None
    now = f"{found[0] if found else 'not a word'}; on the page: {paged}"
    return answer("J7", "not a word", now, "said on both", bool(found) and paged)


def one_test_row() -> Json:
    """J7: a verdict from one test row."""
    x = rng().normal(size=(201, 3))
    with quietly() as folder:
        np.savez(folder / "one.npz", x_train=x[:200], x_test=x[200:])
        quick = "--families gaussian kde --seconds 1"
        ended = shell(f"compare one.npz {quick} --out board", folder)
    best = re.search(r"Best density:[^.]*\.[^.]*\.", ended.stdout)
    told = re.search(r"[^.\n]*\b(?:1|one|single) (?:test )?row[^.\n]*", ended.stdout)
    now = f"{best[0] if best else said(ended)}; said: {told and told[0]}"
    ok = ended.returncode == 0 and (best is None or told is not None)
    return answer("J7", "a verdict", now, "none, or said", ok)


def narrow_output() -> Json:
    """J8: output that is Latin-1 or ASCII."""
    found = {}
    with quietly() as folder:
        np.savez(folder / "data.npz", x=rng().normal(size=(200, 2)))
        for narrow in ("latin-1", "ascii"):
            env = {**os.environ, "PYTHONIOENCODING": narrow, "LC_ALL": "C"}
            more: Json = {"env": env, "encoding": narrow}
            commands = (f"fit gaussian data.npz --out {narrow}", f"score {narrow}")
            ended = [shell(words, folder, **more) for words in commands]
            broken = any("Traceback" in one.stderr for one in ended)
            found[narrow] = "traceback" if broken else str([one.returncode for one in ended])
    ok = set(found.values()) == {"[0, 0]"}
    return answer("J8", "a traceback", found, "[0, 0] each", ok)


def closed_pipe() -> Json:
    """J8: `dalm --help | head -1`, five times."""
    command = f"{PROGRAM} --help | head -1"
    runs = [subprocess.run(command, shell=True, capture_output=True, text=True) for _ in range(5)]
    errors = [one.stderr.strip()[-80:] for one in runs if one.stderr.strip()]
    first = all(one.stdout.startswith("dalm: ") for one in runs)
    ok = first and not errors
    return answer("J8", "a broken pipe", errors or "nothing on stderr", "nothing", ok)


def _heeds_interrupts() -> None:
    """What a shell starts in the background ignores SIGINT, and so would all that it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def early_interrupt() -> Json:
    """J8: Ctrl-C in the first second."""
    bad = {}
    with quietly() as folder:
        for place, moment in enumerate(MOMENTS):
            command = [PROGRAM, "fit", "vae", "digits", "--seconds", "20", "--out", f"run{place}"]
            pipes: Json = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            process = subprocess.Popen(command, cwd=folder, preexec_fn=_heeds_interrupts, **pipes)
            time.sleep(moment)
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=60)
            if "Traceback" in error or process.returncode != 130:
                bad[moment] = error.strip().splitlines()[-1][:60] if error else process.returncode
    now = f"{len(bad)} of {len(MOMENTS)} moments: {bad}" if bad else f"none at {len(MOMENTS)}"
    return answer("J8", "a traceback", now, "stopped (130)", not bad)


def _limited(kind: int, size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(kind, (size, size))


def out_of_memory() -> Json:
    """J8: a full covariance of 64×64×3, with 3 GB of memory."""
    with quietly() as folder:
        np.savez(folder / "data.npz", x=rng().normal(size=(40, 64, 64, 3)))
        room = _limited(resource.RLIMIT_AS, 3 * 10**9)
        ended = shell("fit gaussian data.npz --out run", folder, preexec_fn=room)
    first = "1.2 GB" in ended.stdout + ended.stderr
    now = f"{said(ended)}; 1.2 GB is said: {first}"
    ok = "Traceback" not in ended.stderr and first and ended.returncode in (1, 2)
    return answer("J8", "a traceback", now, "the size, in words", ok)


def full_disk() -> Json:
    """J8: no room for a file, as on a full disk: which one is it?"""
    room = _limited(resource.RLIMIT_FSIZE, 6000)
    with quietly() as folder:
        shell("fit gaussian digits --out run", folder)
        wanted = {
            "fit vae digits --steps 2 --out other": "other",
            "sample run -n 900 --out x.npz": "x.npz",
            "score run": "run/",
            "report run": "report.html",
        }
        ended = {words: shell(words, folder, preexec_fn=room) for words in wanted}
    bad = [
        f"{words}: {said(ended[words])}"
        for words, name in wanted.items()
        if ended[words].returncode != 1 or name not in said(ended[words])
    ]
    return answer("J8", "names no file", bad or "each names its file", "named", not bad)


def help_command() -> Json:
    """J8: `dalm help`, and `dalm help fit`."""
    with quietly() as folder:
        plain, flag = shell("help", folder), shell("--help", folder)
        fit = shell("help fit", folder)
    same = plain.stdout == flag.stdout and not plain.returncode
    now = f"as --help: {same}; help fit: {fit.stdout[:15]!r}"
    return answer("J8", "suggests report", now, "the help", same and "dalm fit" in fit.stdout)


ROWS: tuple[Callable[[], Json], ...] = (
    fits_without_out,
    fits_into_one,
    resume_without_out,
    empty_folder,
    moved_data,
    trained_further,
    stopped_run,
    one_test_row,
    narrow_output,
    closed_pipe,
    early_interrupt,
    out_of_memory,
    full_disk,
    help_command,
)


if __name__ == "__main__":
    for row in ROWS:
        print(json.dumps(row(), ensure_ascii=False), flush=True)
