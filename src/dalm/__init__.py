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
import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any

from dalm.verbs import Face, verb_places

__version__ = "0.1.0"

# OpenMP threads that wait by spinning stall for seconds when another process wants their core;
# waiting asleep slows small models by
# a factor of two. A short spin avoids both (figures in docs/log.md). It has no effect if torch was
# imported first.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
# What cuBLAS asks for to give the same bits every time.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

if TYPE_CHECKING:  # what type checkers and editors see; at run time `VERBS` alone decides
    from dalm import models as models
    from dalm.core import Spec as Spec
    from dalm.data import load_data as load_data
    from dalm.errors import DalmError as DalmError
    from dalm.verbs.archives import compress as compress
    from dalm.verbs.archives import decompress as decompress
    from dalm.verbs.codecs import codecs as codecs
    from dalm.verbs.comparison import compare as compare
    from dalm.verbs.listings import families as families
    from dalm.verbs.listings import sources as sources
    from dalm.verbs.models import fit as fit
    from dalm.verbs.models import load as load
    from dalm.verbs.pages import report as report
    from dalm.verbs.proof import prove as prove
    from dalm.verbs.samples import sample as sample
    from dalm.verbs.scores import score as score

NAMES = {
    "DalmError": "dalm.errors",
    "Spec": "dalm.core",
    "load": "dalm.verbs.models",
    "load_data": "dalm.data",
}
"""What is of use in Python alone, and where it lives."""

__all__ = [*NAMES, *verb_places(), "models"]


class _Dalm(Face):
    """The face of the package: the verbs, a few names, and the rooms."""

    def __getattr__(self, name: str) -> Any:
        if name in NAMES:
            return getattr(importlib.import_module(NAMES[name]), name)
        room = f"{self.__name__}.{name}"
        if name in verb_places() or not importlib.util.find_spec(room):
            return super().__getattr__(name)
        return importlib.import_module(room)

    def __dir__(self) -> list[str]:
        return sorted({*NAMES, *verb_places(), "models", "__version__"})


sys.modules[__name__].__class__ = _Dalm
