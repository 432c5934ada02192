"""Alarms: each names what was planted, and says nothing of honest samples."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from tiny import DIGITS

from dalm.core import Batch, Spec, Work
from dalm.data import load_data
from dalm.metrics import ALARMS
from dalm.metrics.copied import COPIED
from dalm.metrics.evidence import Evidence
from dalm.metrics.excess import explained, more_often
from dalm.metrics.missing import MISSING
from dalm.metrics.poses import POSES
from dalm.metrics.repeated import REPEATED, repeated
from dalm.metrics.reproduced import REPRODUCED
from dalm.models import Copycat, Discriminant, Gaussian
from dalm.testing.cases import learn
from dalm.testing.general import generator_of

TRAIN = DIGITS.train.x
RING = load_data("ring8", n=2000)


def flags(samples, data=DIGITS, alarms=ALARMS):
    evidence = Evidence(
        data.spec, data.train.x, data.test.x, samples, labels=data.test.y, classes=data.classes
    )
    found = [score for measure in alarms for score in measure.scores(evidence)]
    return {score.metric: score for score in found if score.flag}


def copies(n=400):
    return TRAIN[torch.randperm(len(TRAIN), generator=generator_of())[:n]]


POSED = {
    "as they are": lambda x: x,
    "mirrored": lambda x: x.flip(-1),
    "shifted": lambda x: x.roll((1, -1), (-2, -1)),
    "inverted": lambda x: 16 - x,
    "darker": lambda x: (0.8 * x).round().to(x.dtype),
}


@pytest.mark.parametrize("pose", POSED)
def test_copies_are_named_in_any_pose(pose):
    found = flags(POSED[pose](copies()), alarms=(COPIED,))
    assert found["copied"].flag == "copies"
    assert found["copied"].value > 0.9


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_copies_among_honest_samples_are_named(share):
    model = Gaussian(DIGITS.spec)
    learn(model, TRAIN, None, 0)
    honest = model.sample(400 - int(400 * share), generator=generator_of())
    found = flags(torch.cat([copies(int(400 * share)), honest]), alarms=(COPIED,))
    assert found["copied"].value == pytest.approx(share, abs=0.02)


def test_a_lost_class_is_named():
    samples = DIGITS.train.x[DIGITS.train.y != 7].repeat(2, 1, 1, 1)
    assert "class 7" in flags(samples, alarms=(MISSING,))["missing"].note


def test_lost_modes_of_points_are_named():
    angle = torch.atan2(RING.train.x[:, 1], RING.train.x[:, 0])
    found = flags(RING.train.x[angle > 0], RING, alarms=(MISSING,))
    assert found["missing"].value == pytest.approx(3 / 8, abs=0.05)


def test_what_lies_off_the_data_misses_nothing():
    noise = torch.randint(17, (1000, 1, 8, 8), generator=generator_of()).to(torch.uint8)
    [score] = MISSING.scores(Evidence(DIGITS.spec, TRAIN, DIGITS.test.x, noise))
    assert score.flag is None
    assert "off the data" in score.note


def test_repeated_samples_are_named():
    found = flags(copies(20).repeat(50, 1, 1, 1), alarms=(REPEATED,))
    assert found["repeated"].value == 1.0


def test_reproduced_test_rows_are_named():
    assert flags(DIGITS.test.x, alarms=(REPRODUCED,))["reproduced"].flag == "test rows"


@pytest.mark.parametrize("n", [10, 300])
def test_rows_that_repeat_by_chance_are_no_copies(n):
    """Fresh draws of the truth, where every row was there before."""
    bits = torch.randint(2, (3 * n, 6), generator=generator_of()).to(torch.uint8)
    evidence = Evidence(Spec((6,), levels=2), bits[:n], bits[n : 2 * n], bits[2 * n :])
    assert not [s for m in ALARMS for s in m.scores(evidence) if s.flag]


@pytest.mark.parametrize("seed", range(3))
def test_fresh_draws_of_the_truth_raise_nothing(seed):
    fresh = load_data("ring8", n=2500, seed=100 + seed).train.x
    assert flags(fresh, RING) == {}


def test_rows_that_repeat_among_many_are_no_copies():
    source = generator_of()
    spec = Spec((4,), levels=18)

    def rows(n):
        return torch.randint(18, (n, 4), generator=source, dtype=torch.uint8)

    evidence = Evidence(spec, rows(20_000), rows(1000), rows(1000))
    (score,) = COPIED.scores(evidence)
    assert score.flag is None
    assert score.value < 0.03


def subjects(seed, spread=0.3):
    """300 subjects whom the seed does not change, 10 rows of each, (3000, 6)."""
    centres = torch.randn(300, 1, 6, generator=generator_of())
    rows = torch.randn(300, 10, 6, generator=generator_of(seed))
    return (centres + spread * rows).reshape(-1, 6)


def drift(seed):
    """Points that move by three of their spreads, (3000, 4)."""
    time = torch.linspace(0, 3, 3000)[:, None]
    return torch.randn(3000, 4, generator=generator_of(seed)) + time


@pytest.mark.parametrize("draw", [subjects, drift])
def test_where_test_rows_come_later_only_copies_are_named(draw):
    """A perfect model of the training rows is unlike the test rows, which are of other people or
    of another time."""
    x = draw(1)
    train, test = x[:2400], x[2400:]
    chosen = torch.randperm(2400, generator=generator_of())[:1500]
    fresh = draw(2)[chosen]
    copies = train[chosen]
    noisy = copies + 0.05 * torch.randn(copies.shape, generator=generator_of())
    for samples, flag in ((fresh, None), (copies, "copies"), (noisy, "copies")):
        evidence = Evidence(Spec(tuple(x.shape[1:])), train, test, samples)
        found = {score.flag for measure in ALARMS for score in measure.scores(evidence)}
        assert found - {None} == ({flag} if flag else set())


@pytest.mark.parametrize(("share", "train", "test"), [(0.02, 2000, 200), (0.1, 60, 1000)])
def test_a_few_exact_copies_are_named_whichever_split_is_small(share, train, test):
    rows = torch.randn(train + test, 8, generator=generator_of(1))
    fresh = torch.randn(1000, 8, generator=generator_of(2))
    fresh[: int(share * 1000)] = rows[torch.arange(int(share * 1000)) % train]
    evidence = Evidence(Spec((8,)), rows[:train], rows[train:], fresh)
    (score,) = COPIED.scores(evidence)
    assert score.flag == "copies"


def test_rows_of_few_values_at_other_sites_are_no_copies():
    """A perfect model of training rows that repeat by chance, while test rows are of another site:
    what equals a training row is as usual as for a training row.
    """
    draws = [torch.randint(0, 3, (2000, 6), generator=generator_of(k)) for k in (1, 2)]
    other = torch.randint(0, 4, (500, 6), generator=generator_of(3)).clamp(min=1)
    train, fresh = (rows.clamp(max=1) + rows // 2 for rows in draws)
    evidence = Evidence(Spec((6,), levels=4), train.byte(), other.byte(), fresh.byte())
    found = [score for measure in ALARMS for score in measure.scores(evidence)]
    assert not [score.metric for score in found if score.flag == "copies"]


def test_few_training_rows_and_many_others_are_judged():
    rows = torch.randn(2030, 3, generator=generator_of(1))
    evidence = Evidence(Spec((3,)), rows[:30], rows[30:], rows[:200])
    assert MISSING.scores(evidence)[0].value is not None


def test_a_class_of_wide_spread_is_not_missing():
    source = generator_of()

    def rows(n):
        y = torch.randint(2, (n,), generator=source)
        x = torch.randn(n, 64, generator=source, dtype=torch.float64)
        return x * torch.where(y == 0, 0.6, 1.0)[:, None], y

    (train, _), (heldout, y), (samples, _) = rows(1000), rows(500), rows(500)
    honest = Evidence(Spec((64,), classes=2), train, heldout, samples, labels=y)
    assert MISSING.scores(honest)[0].flag is None


def test_pairs_that_repeat_by_chance_are_rarely_named():
    source = generator_of()
    n = 200
    named = 0
    for _ in range(300):
        fake, real = torch.randint(8 * n, (2, n, 1), generator=source).double()
        named += repeated(fake, real).flag is not None
    assert named == 0


def test_honest_digits_raise_nothing():
    assert flags(DIGITS.val.x) == {}
    model = Discriminant(DIGITS.spec)
    model.passes(Work(Batch(TRAIN, DIGITS.train.y)))
    assert flags(model.sample(1000, generator=generator_of())) == {}


def test_the_references_show_what_alarms_see():
    noisy = Copycat(DIGITS.spec, noise=0.05)
    collapsed = Copycat(DIGITS.spec, share=0.1)
    for model in (noisy, collapsed):
        learn(model, TRAIN, None, 0)
    assert flags(noisy.sample(500, generator=generator_of()))["copied"].flag == "copies"
    assert "missing" in flags(collapsed.sample(500, generator=generator_of()))


def test_a_noisy_copycat_keeps_to_the_levels():
    model = Copycat(DIGITS.spec, noise=0.5)
    learn(model, TRAIN, None, 0)
    DIGITS.spec.check(model.sample(50, generator=generator_of()))


@pytest.mark.parametrize(("hits", "n", "usual", "m"), [(5, 20, 1, 30), (0, 4, 3, 9), (7, 7, 0, 7)])
def test_more_often_is_fishers_test(hits, n, usual, m):
    found = more_often(torch.arange(n) < hits, torch.arange(m) < usual)
    table = [[hits, n - hits], [usual, m - usual]]
    assert found == pytest.approx(stats.fisher_exact(table, "greater").pvalue)


def test_what_chance_explains_is_taken_off():
    assert explained(0.75, 0.5) == 0.5
    assert explained(0.1, 0.2) == 0.0
    assert explained(1.0, 1.0) == 0.0


def test_every_pose_keeps_the_shape():
    x = torch.rand(3, 2, 9, 8)
    assert {pose(x).shape for pose in POSES} == {x.shape}
