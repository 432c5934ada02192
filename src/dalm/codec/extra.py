"""Packages that come with the extra `dalm[codecs]`: what classical coders and baselines need beyond
the core. They are imported when they are first used.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import Any

from dalm.errors import DalmError

PACKAGES = ("bitarray", "imagecodecs", "pydivsufsort", "pyppmd", "zstandard")
"""What the extra installs."""


def require(module: str) -> Any:
    """A module of one of the `PACKAGES`.

    Raises:
        DalmError: it is not installed.

    >>> require("bitarray.util").__name__
    'bitarray.util'
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        raise _missing([module.partition(".")[0]]) from None


def installed() -> bool:
    """Whether every package of the extra is there."""
    return not _absent()


def require_all() -> None:
    """Raise DalmError unless every package of the extra is installed."""
    absent = _absent()
    if absent:
        raise _missing(absent)


def _absent() -> list[str]:
    return [package for package in PACKAGES if find_spec(package) is None]


def _missing(packages: list[str]) -> DalmError:
    return DalmError(
        f"classical coders and baselines need {', '.join(packages)}, which dalm does without "
        "otherwise; install them with: pip install 'dalm[codecs]'"
    )
