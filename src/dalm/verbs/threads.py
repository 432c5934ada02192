"""How many threads score: all, or one where others keep the processor busy."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dalm.train.speed import GAIN, duration, threads_kept, use_threads

SIZE = (256, 1024)
"""Of the matrix of a trial."""
ROUNDS = 25
"""Passes over it in a trial: ten milliseconds, long enough to be interrupted."""
TRIALS = 5
"""Trials of each number of threads, in turns."""


def fastest_threads() -> int:
    """All threads, or one if all are no faster now: each waits for the one that was interrupted.

    >>> fastest_threads() in (1, torch.get_num_threads())
    True
    """
    every = torch.get_num_threads()
    counts = (1, every)
    times: dict[int, list[float]] = {count: [] for count in counts}
    with threads_kept():
        for count in counts * TRIALS:
            use_threads(count)
            times[count].append(duration(_work))
    typical = {count: statistics.median(seconds) for count, seconds in times.items()}
    return every if typical[every] < GAIN * typical[1] else 1


def _work() -> None:
    matrix = torch.ones(SIZE)
    for _ in range(ROUNDS):  # short work, as that of metrics is: threads wait after each piece
        (matrix.square() - matrix).amin(1)


@contextmanager
def neighbourly(measured: bool) -> Iterator[None]:
    """Compute with as many threads as are fastest now, in torch and in what lies below it.

    Args:
        measured: whether to measure; else all threads compute, and the same call has the same bits.
    """
    if not measured or (threads := fastest_threads()) == torch.get_num_threads():
        yield
        return
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threads_kept(), threadpool_limits(threads):
        use_threads(threads)
        yield
