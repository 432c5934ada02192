"""What people expect of a program and a library, beside what they came for.

Each function makes a row. `python -m trust.expected` in `benchmarks/` prints them.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from common import PROGRAM, ROOT
from scipy import stats

import dalm
from dalm.data import data_options
from dalm.errors import DalmError
from dalm.train import Listener
from trust.rows import Json, answer, quietly, rng, said, shell

X = rng().normal(size=(200, 3))
STILL: Json = {"progress": False}


def _in_terminal(code: str, folder: Path) -> str:
    """What a Python program shows in a terminal."""
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(folder)
        os.execv(sys.executable, [sys.executable, "-c", code])
    return b"".join(_read(terminal)).decode(errors="replace")


def _read(terminal: int) -> Iterator[bytes]:
    with contextlib.suppress(OSError):  # Linux says so when the other end is closed
        while piece := os.read(terminal, 4096):
            yield piece


def python_shows() -> Json:
    """G5: `fit` and `compare` show what they do, and give back what a person can read."""
    with quietly() as folder:
        code = "import dalm; print('GAVE', dalm.fit('vae', 'digits', steps=30, out='run'))"
        fit = _in_terminal(code, folder)
        more = "families=['gaussian'], seconds=1, n=120, out='board'"
        board = _in_terminal(f"import dalm; print('GAVE', dalm.compare('ring8', {more}))", folder)
    shown, _, given = fit.partition("GAVE")
    lines, _, table = board.partition("GAVE")
    found = {
        "fit shows": bool(re.search(r"\d+ ?%|\d+/30|30 steps", shown)),
        "gives": " ".join(given.split())[:60],
        "compare shows": "gaussian" in lines,
        "gives a table": "bits/dim" in table and "gaussian" in table,
    }
    ok = all(found.values()) and "vae on digits" in given
    return answer("G5", "print nothing, return bare dicts", found, "a bar, words", ok)


def python_words() -> Json:
    """G5: a taken folder, in the words of Python, and `overwrite=True`."""
    with quietly() as folder:
        dalm.fit("gaussian", X, out=folder / "run", **STILL)
        try:
            dalm.fit("gaussian", X, out=folder / "run", **STILL)
            now = "written over"
        except DalmError as error:
            now = str(error).replace(str(folder), "")
        run = dalm.fit("histogram", X, out=folder / "run", overwrite=True, **STILL)
    named = "resume=True" in now and "overwrite=True" in now
    now = f"{now}; overwrite=True: {run.model.family}"
    ok = named and run.model.family == "histogram"
    return answer("G5", "--resume alone; no overwrite", now, "resume=True, overwrite=True", ok)


def beside_the_clone() -> Json:
    """G6: a script beside a clone of this repository."""
    with quietly() as folder:
        clone = ["git", "clone", "--quiet", "--shared", str(ROOT), str(folder / "dalm")]
        subprocess.run(clone, check=True, capture_output=True)
        (folder / "script.py").write_text("import dalm; print(len(dalm.load_data('digits').train))")
        command = [sys.executable, "script.py"]
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return answer("G6", "imports the folder", said(ended), "1100 (0)", said(ended) == "1100 (0)")


def _seconds(*command: str) -> tuple[float, str]:
    """Processor time of a command, which a busy machine does not change, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(command, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, ended.stdout


def help_of_fit() -> Json:
    """G7: `dalm fit vae --help`, against what torch alone takes to import."""
    turns = [
        (_seconds(PROGRAM, "fit", "vae", "--help"), _seconds(sys.executable, "-c", "import torch"))
        for _ in range(3)
    ]
    seconds, text = min(shown for shown, _ in turns)
    floor, _ = min(alone for _, alone in turns)
    family, none = "FAMILY DATA" in text, "default: None" in text
    now = f"FAMILY: {family}; (default: None): {none}; {seconds:.1f} s, torch alone {floor:.1f}"
    ok = family and not none and seconds < 1.5 * floor
    reference = "FAMILY, no None, at most 1.5 times torch"
    return answer("G7", "no FAMILY, (default: None), 2.4 s", now, reference, ok)


def net_by_name() -> Json:
    """G8: `--net conv`."""
    with quietly() as folder:
        good = shell("fit vae digits --net conv --steps 2 --out run", folder)
        net = _meta(folder / "run")["model"].get("net") if not good.returncode else said(good)
        bad = shell("fit vae digits --net cnov --steps 2 --out other", folder)
    listed = bad.returncode == 2 and "conv" in bad.stderr
    now = f"net {net}; cnov is refused with the choices: {listed}"
    return answer("G8", "taken for 4 numbers", now, "conv", net == "conv" and listed)


def _meta(run: Path) -> Json:
    content: Json = json.loads((run / "run.json").read_text())
    return content


def quiet() -> Json:
    """J12: `--quiet` leaves one line, the result."""
    with quietly() as folder:
        loud = shell("fit gaussian digits --out loud", folder)
        ended = shell("fit gaussian digits --out run --quiet", folder)
    lines = (ended.stdout + ended.stderr).splitlines()
    more = len((loud.stdout + loud.stderr).splitlines())
    now = f"{len(lines)} of {more} lines: {said(ended)}"
    return answer("J12", "no --quiet", now, "one line", len(lines) == 1 and not ended.returncode)


class Count(Listener):
    """Counts the steps that it is told of."""

    name = "count"
    steps = 0

    def on_step_end(self, session: Any) -> None:
        self.steps += 1


def progress_callback() -> Json:
    """J12: a callback that hears of each step."""
    count = Count()
    with quietly() as folder:
        dalm.fit("vae", X, steps=5, out=folder / "run", listeners=[count], **STILL)
    return answer("J12", "no callback", f"{count.steps} of 5 steps heard", "5", count.steps == 5)


def temperature() -> Json:
    """J12: a low temperature makes samples of a fitted model more alike."""
    with quietly() as folder:
        dalm.fit("pixelcnn", "digits", steps=3, out=folder / "run", **STILL)
        spreads = []
        for degree in ("1", "0.05"):
            ended = shell(f"sample run -n 16 --temperature {degree} --out x.npy", folder)
            if ended.returncode:
                return answer("J12", "no temperature", said(ended), "fewer kinds", False)
            spreads.append(float(np.load(folder / "x.npy").std(0).mean()))
    now = f"spread of a pixel {spreads[0]:.2f}, at 0.05 {spreads[1]:.2f}"
    return answer("J12", "no temperature", now, "smaller", spreads[1] < 0.5 * spreads[0])


def scores_of_rows() -> Json:
    """J12: `dalm score RUN --rows DATA --out scores.csv` holds what the model says in Python."""
    with quietly() as folder:
        np.savez(folder / "data.npz", x=X)
        np.savez(folder / "other.npz", x=X[:7] + 0.5)
        shell("fit gaussian data.npz --out run", folder)
        ended = shell("score run --rows other.npz --out scores.csv", folder)
        if ended.returncode:
            return answer("J12", "missing", said(ended), "a table", False)
        names, *lines = (folder / "scores.csv").read_text().splitlines()
        place = names.split(",").index("nats")
        found = [float(line.split(",")[place]) for line in lines]
        model: Any = dalm.load(folder / "run")
        right = np.allclose(found, model.log_prob(X[:7] + 0.5), atol=1e-5)
    now = f"{names}; {len(lines)} rows, as log_prob says: {right}"
    return answer("J12", "missing", now, "7 rows, right", right and len(lines) == 7)


def log_transform() -> Json:
    """J12: an option by which a family learns the logarithm of heavy-tailed data; the density of
    the data themselves is what counts.
    """
    heavy = np.exp(3 * rng().normal(size=(3000, 1)))
    names = [name for name, one in data_options().items() if re.search(r"\blog", one.meaning)]
    if not names:
        known = ", ".join(data_options())
        return answer("J12", "missing", f"no option of {known}", "the true density", False)
    data = dalm.load_data(heavy, **{names[0]: True})
    with quietly() as folder:
        run = dalm.fit("gaussian", data, out=folder / "run", **STILL)
        score = dalm.score(run, data)["bits_per_dim"]
    truth = -stats.lognorm(3).logpdf(data.test.x.numpy()).mean() / np.log(2)
    now = f"{names[0]}: {score.value:.3f} bits"
    close = abs(score.value - truth) < 0.05
    return answer("J12", "missing", now, f"{truth:.3f} by the true density, same rows", close)


def compressed_folder() -> Json:
    """J12: `dalm compress RUN FOLDER`, and back."""
    images = rng().integers(0, 256, (60, 8, 8), dtype=np.uint8)
    with quietly() as folder:
        (folder / "images").mkdir()
        for place, image in enumerate(images):
            PIL.Image.fromarray(image).save(folder / "images" / f"{place:02}.png")
        shell("fit histogram images --out run", folder)
        ended = shell("compress run images --out images.dalm", folder)
        if ended.returncode:
            return answer("J12", "refused", said(ended), "the same pixels", False)
        back = shell("decompress images.dalm --out back.npz", folder)
        x = np.load(folder / "back.npz")["x"] if not back.returncode else images[:0]
    same = sorted(row.tobytes() for row in x) == sorted(row.tobytes() for row in images)
    return answer("J12", "refused", f"{len(x)} back, equal: {same}", "the same pixels", same)


ROWS: tuple[Callable[[], Json], ...] = (
    python_shows,
    python_words,
    beside_the_clone,
    help_of_fit,
    net_by_name,
    quiet,
    progress_callback,
    temperature,
    scores_of_rows,
    log_transform,
    compressed_folder,
)


if __name__ == "__main__":
    for row in ROWS:
        print(json.dumps(row(), ensure_ascii=False), flush=True)
