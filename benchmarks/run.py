"""Run the benchmarks one after another: `python benchmarks/run.py [NAMES] [--quick]`. Each one also
runs alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

ORDER = (
    "same_bits",
    "startup",
    "kde",
    "sampling",
    "overhead",
    "pythae_vae",
    "kill",
    "processes",
    "folder",
    "coverage",
    "quality",
    "coders",
    "craystack",
    "codec",
    "hostile",
    "proof",
    "targets",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", default=list(ORDER), help=f"of {', '.join(ORDER)}; all by default"
    )
    parser.add_argument("--quick", action="store_true", help="smoke tests")
    options = parser.parse_args()
    if unknown := set(options.names) - set(ORDER):
        parser.error(
            f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(ORDER)}"
        )
    failed = [name for name in options.names if run(name, options.quick)]
    print(f"failed: {', '.join(failed)}" if failed else "all done")
    return bool(failed)


def run(name: str, quick: bool) -> int:
    """One benchmark in a process of its own; returns its exit code."""
    print(f"── {name}", flush=True)
    began = time.perf_counter()
    code = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(f"{name}.py")), *["--quick"][: int(quick)]]
    ).returncode
    print(f"── {name}: exit code {code} after {time.perf_counter() - began:.0f} s", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
