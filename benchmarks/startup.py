"""How long `dalm --help` and `import dalm` take, in fresh processes, beside a Python that does
nothing.

python benchmarks/startup.py
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from common import PROGRAM, arguments, save, spread, table, take_turns

COMMANDS = {
    "dalm --help": [PROGRAM, "--help"],
    "import dalm": [sys.executable, "-c", "import dalm"],
    "python alone": [sys.executable, "-c", "pass"],
}


def runner(command: list[str]) -> Callable[[], object]:
    """A call that runs a command and insists on success."""
    return lambda: subprocess.run(command, check=True, capture_output=True)


def main() -> None:
    options = arguments(__doc__, repeats=10)
    times = take_turns(
        {name: runner(command) for name, command in COMMANDS.items()},
        2 if options.quick else options.repeats,
    )
    seconds = {name: spread(values) for name, values in times.items()}
    table("Seconds (median, interval)", ["command", "seconds"], list(seconds.items()))
    content = {"settings": vars(options), "seconds": seconds, "all_seconds": times}
    save("startup", content, options.quick)


if __name__ == "__main__":
    main()
