"""Mixtures of kernels, entry by entry: shortcuts change no table."""

from __future__ import annotations

import torch

from dalm.exact import KernelPredictor, kernel_masses, kernels


def test_kernels_of_data_that_begin_alike_are_those_of_each_alone():
    rows = torch.tensor([[0, 0, 1, 2, 2], [0, 2, 1, 0, 1], [0, 1, 1, 2, 0], [0, 1, 1, 1, 1]])
    x = torch.tensor(
        [[0, 0, 1, 2, 2], [0, 0, 1, 0, 1], [2, 1, 1, 2, 0], [0, 0, 1, 2, 1], [2, 1, 0, 2, 2]]
    )
    together = KernelPredictor(kernel_masses(0.6, 3), rows, len(x))
    alone = [KernelPredictor(kernel_masses(0.6, 3), rows, 1) for _ in x]
    for at in range(5):
        tables = torch.cat([one.predict() for one in alone])
        assert torch.equal(together.predict(), tables)
        together.update(x[:, at : at + 1])
        for one, datum in zip(alone, x, strict=True):
            one.update(datum[None, at : at + 1])
    assert len(together.log_weights) == 5


def test_rows_are_left_out_only_while_they_cannot_count(monkeypatch):
    """Some rows at a time, against all rows at every entry."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(0, 3, (1500, 24), generator=generator)
    x = rows[:40].where(
        torch.rand(40, 24, generator=generator) < 0.8,
        torch.randint(0, 3, (40, 24), generator=generator),
    )

    def tables(few):
        monkeypatch.setattr(kernels, "FEW_SHARE", few)
        predictor = KernelPredictor(kernel_masses(0.45, 3), rows, len(x))
        found = []
        periods = set()
        for at in range(24):
            found.append(predictor.predict())
            predictor.update(x[:, at : at + 1])
            periods.add(predictor.every)
        return torch.stack(found), periods

    (some, periods) = tables(0.5)
    (every, always) = tables(0.0)
    assert max(periods) > 1
    assert always == {1}
    assert torch.equal(some, every)
