"""dalm learns the probability distribution behind a data set, with every family of generative model.

    import dalm
    data = dalm.load_data("digits")
    run = dalm.fit("vae", data, seconds=60)
    run.model.sample(64)

Names are loaded when they are first used, so that `import dalm` is quick and imports no torch.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Threads that spin while they wait stall for seconds when another process wants the core. Has no effect if torch was imported first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from dalm import models
    from dalm.core import DalmError, Spec
    from dalm.data import load_data
    from dalm.verbs import compare, fit, load, score

_HOMES = {
    "DalmError": "core",
    "Spec": "core",
    "compare": "verbs",
    "fit": "verbs",
    "load": "verbs",
    "load_data": "data",
    "score": "verbs",
}
_ROOMS = ("core", "data", "dist", "metrics", "models", "nn", "report", "testing", "train", "verbs")

__all__ = ["DalmError", "Spec", "compare", "fit", "load", "load_data", "models", "score"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"dalm.{_HOMES[name]}"), name)
    if name in _ROOMS:
        return importlib.import_module(f"dalm.{name}")
    raise AttributeError(f"module 'dalm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*_HOMES, *_ROOMS, "__version__"})
