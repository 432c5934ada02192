"""The clock of a fit. All that depends on time asks here, so that a test can set it."""

from __future__ import annotations

import time


def now() -> float:
    """Seconds since some moment; it never goes back.

    >>> now() <= now()
    True
    """
    return time.perf_counter()
