"""SIGKILL at random moments of a fit: does each one resume, and end with the bits of the
uninterrupted run?

    python benchmarks/kill.py

One `dalm fit` runs undisturbed. Then it is started again and again in new folders, killed at a
moment drawn uniformly within its own slice of the undisturbed run's duration (so the moments cover
everything from the start of the process to its end), and resumed by the same command until it is
done.
"""

from __future__ import annotations

import json
import math
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import Json, arguments, save, table

from dalm.records.status import run_state

STEPS = {"vae": 600, "pixelcnn": 250, "trio": 900, "em-mixture": 250}
"""Steps of each fit; `trio` has three players, `em-mixture` makes passes."""
WORKER = Path(__file__).with_name("worker.py")
PATIENCE = 5.0
"""Seconds within which a killed run must be seen as crashed."""


def command(family: str, steps: int, out: Path, checkpoint: float) -> list[str]:
    """The fit, the same each time; it resumes what is there."""
    words = [sys.executable, str(WORKER), family, "digits", "--steps", str(steps)]
    return [*words, "--checkpoint", str(checkpoint), "--out", str(out)]


def finish(words: list[str]) -> tuple[int, float]:
    """Run a command to its end: exit code and seconds."""
    began = time.perf_counter()
    code = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    return code, time.perf_counter() - began


def kill_at(words: list[str], moment: float) -> bool:
    """Start a command and kill it after so many seconds; whether it was still running."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def left_in(out: Path) -> Json:
    """What a killed fit left behind."""
    if not (out / "run.json").exists():
        return {"folder": out.exists(), "state": None, "step": None}
    lines = (out / "log.jsonl").read_text().splitlines() if (out / "log.jsonl").exists() else []
    whole = [json.loads(line)["step"] for line in lines if line.endswith("}")]
    return {
        "folder": True,
        "state": json.loads((out / "run.json").read_text())["state"],
        "step": max(whole, default=0),
    }


def seconds_to_be_seen(out: Path) -> float | None:
    """Seconds until a killed run is said to have crashed; none if there is no run yet, or it was
    done.
    """
    began = time.perf_counter()
    if not (out / "run.json").exists():
        return None
    while time.perf_counter() - began < PATIENCE:
        if run_state(out) == "crashed":
            return time.perf_counter() - began
        if run_state(out) == "done":
            return None
        time.sleep(0.05)
    return math.inf


def attempt(words: list[str], out: Path, moment: float, truth: bytes, tries: int = 5) -> Json:
    """Kill once at a moment, resume to the end, compare. A kill that came too late counts as not
    killed.
    """
    killed = kill_at(words, moment)
    crash_seen = seconds_to_be_seen(out) if killed else None
    left = left_in(out)
    resumes = 0
    code = -1
    while code and resumes < tries:
        code, _ = finish(words)
        resumes += 1
    same = not code and (out / "weights.safetensors").read_bytes() == truth
    stray = [str(path.relative_to(out.parent)) for path in out.parent.rglob("*.partial")]
    story: Json = {
        "moment": round(moment, 3),
        "killed": killed,
        "left": left,
        "resumes": resumes,
        "exit": code,
        "crash_seen_after": crash_seen,
    }
    return story | {"same_bits": same, "stray_files": stray}


def family_kills(family: str, steps: int, kills: int, checkpoint: float, seed: int) -> Json:
    """All kills of one family."""
    dice = random.Random(f"{seed}/{family}")
    with tempfile.TemporaryDirectory() as root:
        whole = Path(root) / "whole"
        code, seconds = finish(command(family, steps, whole, checkpoint))
        if code:
            raise SystemExit(f"the uninterrupted fit of {family} ended with exit code {code}")
        truth = (whole / "weights.safetensors").read_bytes()
        attempts = []
        for k in range(kills):
            out = Path(root) / f"kill-{k}"
            moment = (k + dice.random()) / kills * seconds
            attempts.append(attempt(command(family, steps, out, checkpoint), out, moment, truth))
    settings = {"family": family, "steps": steps, "seconds": round(seconds, 2)}
    return settings | count(attempts) | {"kills": attempts}


def count(attempts: list[Json]) -> Json:
    """How the attempts went."""
    killed = [attempt for attempt in attempts if attempt["killed"]]
    return {
        "attempts": len(attempts),
        "killed": len(killed),
        "before_folder": sum(not attempt["left"]["folder"] for attempt in killed),
        "before_first_log": sum(attempt["left"]["step"] == 0 for attempt in killed),
        "same": sum(attempt["same_bits"] for attempt in attempts),
        "crashes_seen": sum(attempt["crash_seen_after"] is not None for attempt in killed),
        "slowest_seen": max((attempt["crash_seen_after"] or 0 for attempt in killed), default=0),
        "stray": sum(bool(attempt["stray_files"]) for attempt in attempts),
    }


def main() -> None:
    options = arguments(__doc__, families=tuple(STEPS), kills=20, checkpoint=1.0, seed=0)
    kills = 3 if options.quick else options.kills
    results = []
    for family in options.families:
        steps = 40 if options.quick else STEPS[family]
        results.append(family_kills(family, steps, kills, options.checkpoint, options.seed))
    columns = [column for column in results[0] if column != "kills"]
    rows = [[result[column] for column in columns] for result in results]
    table("Killed, resumed, and equal bit for bit", columns, rows)
    save("kill", {"settings": vars(options) | {"steps": STEPS}, "results": results}, options.quick)


if __name__ == "__main__":
    main()
