"""Two processes that train one model: are their losses those of one process?

    python benchmarks/processes.py [--steps 50]

`torchrun` starts two processes on this machine (gloo), which share out the two shards of each
batch; one process works on the same two shards one after another. Batch, seed and steps are the
same. The losses of every step are compared, in single precision; so are the weights at the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from common import Json, arguments, save, table
from safetensors.torch import load_file

WORKER = Path(__file__).with_name("worker.py")
FAMILIES = ("vae", "dcgan", "trio")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


def losses_of(family: str, steps: int, folder: Path, processes: int) -> list[dict[str, float]]:
    """The losses of every step of a fit."""
    out = folder / str(processes)
    start = [sys.executable] if processes == 1 else TORCHRUN
    words = [str(WORKER), family, "digits", "--steps", str(steps), "--shards", "2"]
    words += ["--out", str(out), "--precision", "float32", "--losses", f"{out}.json"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([*start, *words], check=True, env=environment, capture_output=True)
    steps_losses: list[dict[str, float]] = json.loads(Path(f"{out}.json").read_text())
    return steps_losses


def compare(family: str, steps: int) -> Json:
    """The largest difference of any loss, and of any weight."""
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root)
        one = losses_of(family, steps, folder, 1)
        two = losses_of(family, steps, folder, 2)
        weights = [load_file(folder / str(k) / "weights.safetensors") for k in (1, 2)]
    apart = [abs(a[name] - b[name]) for a, b in zip(one, two, strict=True) for name in a]
    floats = [name for name, value in weights[0].items() if value.is_floating_point()]
    away = [float((weights[0][name] - weights[1][name]).abs().max()) for name in floats]
    return {
        "family": family,
        "steps": len(one),
        "losses": len(apart),
        "largest difference of a loss": max(apart),
        "largest difference of a weight or statistic": max(away),
        "last losses": one[-1],
    }


def main() -> int:
    options = arguments(__doc__, steps=50)
    steps = 5 if options.quick else options.steps
    torch.set_num_threads(1)
    results = [compare(family, steps) for family in FAMILIES]
    table(
        "One process with two shards, and two processes",
        list(results[0])[:-1],
        [list(result.values())[:-1] for result in results],
    )
    save("processes", {"settings": vars(options), "results": results}, options.quick)
    return int(any(result["largest difference of a loss"] > 1e-6 for result in results))


if __name__ == "__main__":
    sys.exit(main())
