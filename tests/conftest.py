"""What tests of several rooms share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from torch import Tensor

from dalm.core import Stage
from dalm.data import Data
from dalm.train.state import State


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterable[float]], list[Any]]:
    """Give validation the results that follow; the list that comes back holds the weights that were
    scored each time.
    """

    def script(values: Iterable[float]) -> list[dict[str, Tensor]]:
        scored: list[dict[str, Tensor]] = []
        results = iter(values)

        def validate(state: State, stage: Stage, data: Data, *_: int) -> float:
            weights = state.average.state_dict()
            scored.append({name: value.clone() for name, value in weights.items()})
            return next(results)

        monkeypatch.setattr("dalm.train.learning.validate", validate)
        return scored

    return script
