"""dalm learns the probability distribution behind a data set, with every family of generative
model.

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

# OpenMP threads that wait by spinning stall for seconds when another process wants their core;
# waiting asleep slows small models by
# a factor of two. A short spin avoids both (figures in docs/log.md). It has no effect if torch was
# imported first.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
# What cuBLAS asks for to give the same bits every time.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

if TYPE_CHECKING:
    from dalm import models
    from dalm.core import Spec
    from dalm.data import load_data
    from dalm.errors import DalmError
    from dalm.verbs import compare, compress, decompress, fit, load, prove, score
    from dalm.verbs.codecs import codecs

_HOMES = {
    "DalmError": "errors",
    "Spec": "core",
    "codecs": "verbs",
    "compare": "verbs",
    "compress": "verbs",
    "decompress": "verbs",
    "fit": "verbs",
    "load": "verbs",
    "load_data": "data",
    "prove": "verbs",
    "score": "verbs",
}
_ROOMS = (
    "codec",
    "core",
    "data",
    "errors",
    "exact",
    "features",
    "metrics",
    "models",
    "nn",
    "probability",
    "report",
    "testing",
    "train",
    "verbs",
)

__all__ = [
    "DalmError",
    "Spec",
    "codecs",
    "compare",
    "compress",
    "decompress",
    "fit",
    "load",
    "load_data",
    "models",
    "prove",
    "score",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"dalm.{_HOMES[name]}"), name)
    if name in _ROOMS:
        return importlib.import_module(f"dalm.{name}")
    raise AttributeError(f"module 'dalm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*_HOMES, *_ROOMS, "__version__"})
