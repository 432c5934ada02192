"""The machine that a number was measured on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

CPU_INFO = Path("/proc/cpuinfo")


def machine(device: str | None = "cpu") -> dict[str, Any]:
    """Facts about this machine, as they stand in every record of a measurement.

    Args:
        device: where it was measured, such as `"cpu"` or `"cuda"`; without one, nothing is said
            of devices and threads, and torch is not imported.

    >>> sorted(machine(None))
    ['cores', 'cpu', 'python', 'system']
    >>> machine()["device"]
    'cpu'
    """
    facts: dict[str, Any] = {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
    }
    if device is None:
        return facts

    import torch  # here, since this room imports nothing heavy

    on_gpu = device.startswith("cuda")
    return facts | {
        "device": torch.cuda.get_device_name(device) if on_gpu else "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def _cpu() -> str:
    """The processor's name, which Python knows on some systems only."""
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()
