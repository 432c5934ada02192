"""The classifier two-sample test between equals, and on a difference.

Statistical tests fix their seed and state how rarely they would fail with another.
"""

from __future__ import annotations

import pytest
from draws import normals, number

from dalm.metrics.c2st import c2st


def test_classifier_guesses_between_equals_and_sees_a_difference() -> None:
    """Under the null accuracy is Binomial(1000, 1/2) / 1000, SD 0.016: 0.07 is over four. The
    difference is only a correlation.
    """
    x = normals(1000, 5)
    y = normals(1000, 5, seed=1)
    assert number(c2st(x, y).value) == pytest.approx(0.5, abs=0.07)
    y[:, 0] = y[:, 1] * 0.9 + y[:, 0] * 0.19**0.5
    seen = c2st(x, y)
    assert number(seen.low) > 0.6
    assert seen == c2st(x, y)
    assert seen.n == 1000
