"""Messages that coders are tried on: of every kind, of any alphabet, and the digits."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

LEVELS = (1, 2, 3, 17, 255, 256, 257, 1000, 65535, 65536)


KINDS = {
    "even": lambda noise, n, levels: noise.integers(0, levels, n),
    "geometric": lambda noise, n, levels: np.minimum(noise.geometric(0.3, n) - 1, levels - 1),
    "runs": lambda noise, n, levels: np.repeat(
        noise.integers(0, levels, n), noise.geometric(0.1, n)
    )[:n],
    "walk": lambda noise, n, levels: np.cumsum(noise.integers(-2, 3, n)) % levels,
    "equal": lambda noise, n, levels: np.full(n, noise.integers(0, levels)),
    "phrases": lambda noise, n, levels: np.resize(noise.integers(0, levels, 1 + n // 7), n),
}


modest = settings(max_examples=60, derandomize=True, deadline=None, database=None)


@st.composite
def messages(draw, most=300):
    """Symbols and levels: short ones of any symbols, which shrink well, and longer ones with some
    structure.
    """
    levels = draw(st.sampled_from(LEVELS))
    if draw(st.booleans()):
        return np.array(
            draw(st.lists(st.integers(0, levels - 1), max_size=20)), dtype=np.int64
        ), levels
    noise = np.random.default_rng(draw(st.integers(0, 2**32)))
    return KINDS[draw(st.sampled_from(sorted(KINDS)))](
        noise, draw(st.integers(0, most)), levels
    ), levels


def message(kind, n, levels, seed=0):
    return KINDS[kind](np.random.default_rng(seed), n, levels)


def digits():
    from dalm.data import load_data

    return load_data("digits").test.x.flatten().numpy()
