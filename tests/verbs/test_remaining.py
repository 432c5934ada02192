"""How long a comparison will still take, by a clock that the test sets."""

from __future__ import annotations

import io

import pytest
import rich
from rich.console import Console
from toys import MOONS

import dalm
from dalm.models import KDE, VAE, Gaussian, Histogram
from dalm.train import clock
from dalm.verbs.remaining import Remaining, in_words
from dalm.verbs.scoreboard import live_rows

FAMILIES = [VAE, Gaussian, KDE, VAE, Histogram]


@pytest.fixture
def time(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(clock, "now", lambda: now[0])
    return now


def pass_row(remaining, time, fit, score):
    remaining.row("row")
    time[0] += fit
    remaining.score()
    time[0] += score
    remaining.end()


def test_what_is_left_falls_to_nothing(time):
    remaining = Remaining(FAMILIES, seconds=60.0, scoring=30.0)
    time[0] = 1000.0
    said = [remaining.left()]
    assert said[0] == pytest.approx(2 * 60 + 3 * 0.02 * 60 + 5 * 30)
    for fit in (60.0, 0.5, 2.0, 60.0, 0.1):
        pass_row(remaining, time, fit, 12.0)
        said.append(remaining.left())
    assert said == sorted(said, reverse=True)
    assert said[3] == pytest.approx(60 + 1.25 + 2 * 12), "as those like it took"
    assert said[-1] == 0


def test_time_goes_by_within_a_row(time):
    remaining = Remaining([VAE, VAE], seconds=60.0, scoring=30.0)
    time[0] = 5.0
    remaining.row("vae")
    time[0] += 20
    assert remaining.left() == pytest.approx(160)
    time[0] += 500
    assert remaining.left() == pytest.approx(120), "late, but the rest is as it was"


def test_a_budget_of_steps_is_told_by_the_share_that_is_done(time):
    remaining = Remaining([VAE])
    time[0] = 5.0
    remaining.row("vae")
    time[0] += 30
    assert remaining.left() is None
    assert remaining.line() == "vae 1/1 · fit"
    remaining.share = 0.25
    remaining.scoring = 10.0
    assert remaining.left() == pytest.approx(100)
    assert remaining.line() == "vae 1/1 · fit 25 % · about 2 min left in all"


@pytest.mark.parametrize("seconds", [0.0, 3.0, 59.0, 61.0, 7000.0, 9e4])
def test_times_are_rounded_and_have_units(seconds):
    assert in_words(seconds).split()[1] in ("s", "min", "h")


def test_the_live_view_moves_by_itself(monkeypatch, time):
    """Between two rows nothing is told to it, and it shows how far the fit is all the same."""
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr(rich, "_console", terminal)
    remaining = Remaining([VAE], seconds=600.0, scoring=300.0)
    time[0] = 5.0
    remaining.row("vae")
    with live_rows(True, remaining):
        for share in (0.2, 0.4):
            before = len(screen.getvalue())
            remaining.share = share
            _wait_until(lambda share=share: f"fit {100 * share:.0f} %" in screen.getvalue())
            assert len(screen.getvalue()) > before
    assert "about 15 min left in all" in screen.getvalue()


def _wait_until(true):
    import time

    for _ in range(200):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("the view stood still")


def test_a_comparison_says_before_it_starts_how_long_it_may_take(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("dalm.verbs.scores.evaluate", lambda *_, **__: {})
    dalm.compare(MOONS, families=["gaussian"], seconds=20, out=tmp_path / "board")
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("7 rows, 20 s for each fit by steps and up to 10 s for each score")
    assert said[1].startswith("gaussian: done (about")
    assert said[-1] == "collapsed copycat: done"
