"""Decodes a run's proof in a process of its own, which starts with nothing but the files:

    python -P -m dalm.verbs.decoding RUN OUT --batch N --threads N

It writes the data to OUT, a .npy file, and prints a JSON object: the `seconds` that decoding took,
with reading the model and without starting the process. Bad input ends it with exit code 2 and one
line on standard error.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from dalm.core import allow
from dalm.errors import DalmError
from dalm.verbs.archives import decompress


def main(arguments: Sequence[str]) -> int:
    """Decode as the arguments of the command say; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dalm.verbs.decoding")
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--allow", action="append", default=[])
    parser.add_argument("--path", action="append", default=[])
    options = parser.parse_args(arguments)

    sys.path.extend(options.path)
    allow(*options.allow)
    torch.set_num_threads(options.threads)
    archive = options.run / "proof.dalm"
    try:
        result = decompress(archive, options.out, run=options.run, batch=options.batch)
    except DalmError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps({"seconds": result.seconds}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
