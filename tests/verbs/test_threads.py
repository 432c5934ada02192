"""How many threads score, by a clock that the test sets."""

from __future__ import annotations

import pytest
import torch

import dalm
from dalm.train import clock
from dalm.train.speed import threads_kept, use_threads
from dalm.verbs import threads
from dalm.verbs.threads import fastest_threads, neighbourly


@pytest.fixture
def two_threads():
    with threads_kept():
        use_threads(2)
        yield


@pytest.mark.parametrize(("seconds", "best"), [({1: 1.0, 2: 0.6}, 2), ({1: 1.0, 2: 1.2}, 1)])
def test_one_thread_where_two_are_no_faster(monkeypatch, two_threads, seconds, best):
    time = [0.0]

    def work() -> None:
        time[0] += seconds[torch.get_num_threads()]

    monkeypatch.setattr(clock, "now", lambda: time[0])
    monkeypatch.setattr(threads, "_work", work)
    assert fastest_threads() == best
    assert torch.get_num_threads() == 2


def test_threads_are_measured_for_a_budget_alone_and_come_back(monkeypatch, two_threads):
    monkeypatch.setattr(threads, "fastest_threads", lambda: 1)
    for measured, expected in ((True, 1), (False, 2)):
        with neighbourly(measured):
            assert torch.get_num_threads() == expected
        assert torch.get_num_threads() == 2


def test_a_score_says_how_many_threads_it_took(tmp_path, monkeypatch, two_threads):
    monkeypatch.setattr(threads, "fastest_threads", lambda: 1)
    run = dalm.fit("gaussian", "digits", seconds=1.0, out=tmp_path / "run", progress=False)
    assert dalm.score(run).record["machine"]["threads"] == 1
    assert dalm.score(run, full=True).record["machine"]["threads"] == 2
