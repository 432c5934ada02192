"""The smallest files that dalm can prove: digits by other writers, binarised MNIST without and with
the model inside, raw MNIST.

    python benchmarks/targets.py [--tasks digits binary small raw] [--again]

Each model is fitted (runs/targets/NAME, kept unless `--again`), then the test images are
compressed, decoded in another process with another batch size and thread count, and compared;
decoding is timed once more as `dalm decompress` comes. For `small` the model goes into the file,
and decoding knows nothing else. The models of MNIST learn from its 60,000 training images but the
last 2,000, which choose; binarised, these are drawn five times, and the test images once, by
`numpy.random.RandomState(0)`. Digits: the first 1,297 images to learn from, the last 500, by other
writers, as the file; its options were chosen with 197 of the 1,297 held out.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

from common import MNIST, PROGRAM, QUICK, ROOT, Json, arguments, place, save, table  # isort: skip

import numpy as np
import torch

import dalm
from dalm.data import Data, Split
from dalm.train import Run
from dalm.verbs import prove

RUNS = ROOT / "runs" / "targets"
HELD_OUT = 2000
DRAWS = 5
MOST = {"digits": 7200, "binary": 150_000, "small": 195_000, "raw": 990_000}
"""Bytes."""
FITS: dict[str, Json] = {
    "digits": {
        "steps": 2100,
        "patience": 0,
        "conditional": True,
        "dropout": 0.6,
        "weight_decay": 0.4,
    },
    "binary": {"seconds": 2640, "lr": 2e-3, "patience": 0, "compile": True},
    "small": {"seconds": 1500, "lr": 4e-3, "patience": 0, "compile": True, "width": 10, "depth": 8},
    "raw": {"seconds": 4000, "lr": 3e-3, "patience": 0, "compile": True},
}


def digits() -> Data:
    """Digits, where all that is not the test split is learned from."""
    data = dalm.load_data("digits")
    assert data.val is not None and data.train.y is not None and data.val.y is not None
    everything = Split(torch.cat([data.train.x, data.val.x]), torch.cat([data.train.y, data.val.y]))
    return replace(data, train=everything)


def mnist(binary: bool) -> Path:
    """MNIST with all training images but the last as x_train, made once."""
    path = RUNS / f"mnist-{'binary' if binary else 'raw'}.npz"
    if path.exists():
        return path
    arrays = np.load(MNIST)
    x = np.concatenate([arrays["x_train"], arrays["x_val"]])
    test = arrays["x_test"]
    train = x[:-HELD_OUT]
    val = x[-HELD_OUT:]
    if binary:
        draw = np.random.RandomState(1)
        test = np.random.RandomState(0).random_sample(test.shape) < test / 255
        train = np.concatenate(
            [draw.random_sample(train.shape) < train / 255 for _ in range(DRAWS)]
        )
        val = draw.random_sample(val.shape) < val / 255
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        x_train=train.astype(np.uint8),
        x_val=val.astype(np.uint8),
        x_test=test.astype(np.uint8),
    )
    return path


def shell(*command: str | Path) -> float:
    """Wall-clock seconds of a dalm command in a process of its own."""
    began = time.perf_counter()
    subprocess.run([PROGRAM, *map(str, command)], check=True, capture_output=True)
    return time.perf_counter() - began


def sealed(run: Run, data: Data) -> Json:
    """The proof of a run, and how long decoding takes as it comes."""
    record = prove(run, data).to_json()
    back = run.path / "back.npy"
    seconds = shell("decompress", run.path / "proof.dalm", "--run", run.path, "-o", back, "--force")
    equal = bool(np.array_equal(np.load(back), data.test.x.numpy()))
    back.unlink()
    return record | {
        "claim_bytes": record["claimed"] * data.test.x.numel() / 8,
        "decode_seconds": seconds,
        "equal": equal,
    }


def inside(run: Run, data: Data) -> Json:
    """An archive of the test images with the model inside, decoded from nothing else."""
    x = run.path / "x.npy"
    archive = run.path / "inside.dalm"
    back = run.path / "back.npy"
    np.save(x, data.test.x.numpy())
    encode = shell("compress", run.path, x, "-o", archive, "--embed", "--force")
    decode = shell("decompress", archive, "-o", back, "--force")
    equal = bool(np.array_equal(np.load(back), np.load(x)))
    alone = run.path / "alone.dalm"
    shell("compress", run.path, x, "-o", alone, "--force")
    found = {
        "bytes": archive.stat().st_size,
        "images_with_unrounded_weights_bytes": alone.stat().st_size,
    }
    back.unlink()
    return found | {"encode_seconds": encode, "decode_seconds": decode, "equal": equal}


def one(name: str, again: bool, quick: bool) -> Json:
    """Fit a target's model if it is not there, and weigh the file."""
    path = (QUICK / "targets" if quick else RUNS) / name
    options = {"steps": 3} if quick else FITS[name]
    if again:
        shutil.rmtree(path, ignore_errors=True)
    data = digits() if name == "digits" else dalm.load_data(mnist(binary=name != "raw"))
    run = Run.open(path) if path.exists() else dalm.fit("pixelcnn", data, **options, out=path)
    if any(
        {**run.meta["model"], **run.meta["fit"]}[key] != value for key, value in options.items()
    ):
        raise SystemExit(f"{path} was fitted with other options; --again fits it anew")
    found = inside(run, data) if name == "small" else sealed(run, data)
    fitted = {key: run.meta[key] for key in ("seconds", "parameters", "model", "fit")}
    return (
        found
        | {
            "most": MOST[name],
            "nats": found["bytes"] * 8 * math.log(2) / len(data.test),
            "n": len(data.test),
        }
        | fitted
    )


def main() -> None:
    asked = arguments(__doc__, tasks=tuple(FITS), again=False)
    path = place("targets", asked.quick)
    found: Json = json.loads(path.read_text())["results"] if path.exists() else {}
    for name in asked.tasks:
        found[name] = one(name, asked.again or asked.quick, asked.quick)
        save("targets", {"results": found}, asked.quick)
    columns = ("bytes", "most", "nats", "parameters", "seconds", "decode_seconds", "equal")
    table(
        "targets",
        ["file", *columns],
        [[name, *(one[column] for column in columns)] for name, one in found.items()],
    )


if __name__ == "__main__":
    main()
