r"""Standard units: what a family sees of real data, whatever units they were measured in.

    z = (x - c) / s,   log p(x) = log p(z) - Σ log s

c and s are the mean and the standard deviation of each entry in training, taken in double precision
before any is lost, so a change of units x → a x + b changes log p(x) by -Σ log |a| and nothing
else. Images have one c and one s for each channel.

An entry of a vector that the others determine (a constant, a sum of others) has no density of its
own. The family does not see it: samples get it back from the others, and a datum that breaks the
rule costs log (n + 2) nats for each broken entry, Laplace's price of what n rows never showed. That
is a price, no probability: the density is one of the entries that are kept (which of a sum's are,
the order of columns decides), on the surface where the rules hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from dalm.core.spec import Spec

DETERMINED = 1e-5
"""An entry is determined if the others leave less than this of its standard deviation."""
SLACK = 10
"""A rule holds where a datum breaks it by at most so many times the most in training."""
ROWS_EACH = 5
"""Rows for each entry from which a linear rule between entries is believed."""


GRAIN = 2.0**-36
"""To multiples of which rules between entries are rounded, in standard units."""
TINY = 1e-300
"""What a logarithm sees in place of 0 and less, whose density is 0."""


class Scaler(nn.Module):
    """Standard units of real data, and the rules of the entries that others determine.

    Args:
        centre: c of each entry that is kept, (r,) float64.
        scale: s of each, likewise.
        kept: their places in a flat datum, (r,).
        rules: the other entries as sums of those kept in standard units, (D - r, r + 1) with the
            constant last.
        slack: how far a datum may be off each rule, (D - r,).
        rows: n, how many rows showed them.
        logged: which entries are seen by their logarithm, (D,); none where it is not given.

    >>> scaler = Scaler.of(torch.tensor([[1.0, 5.0], [3.0, 5.0]]), Spec((2,)))
    >>> scaler.standard(torch.tensor([[4.0, 5.0]]))
    tensor([[2.]], dtype=torch.float64)
    """

    centre: Tensor
    scale: Tensor
    kept: Tensor
    rules: Tensor
    slack: Tensor
    rows: Tensor
    logged: Tensor | None

    NAMES = ("centre", "scale", "kept", "rules", "slack", "rows")

    def __init__(self, logged: Tensor | None = None, **buffers: Tensor) -> None:
        super().__init__()
        for name in self.NAMES:
            self.register_buffer(name, buffers[name])
        self.register_buffer("logged", logged)

    @classmethod
    def of(cls, x: Tensor, spec: Spec, log: bool = False) -> Scaler:
        """The units of training data.

        Args:
            x: real data, (N, *spec.shape).
            spec: what one datum is.
            log: see the logarithm of entries that are above 0 in all of them, but of those that a
                sum of entries rules: a logarithm would hide the rule.
        """
        flat = x.flatten(1).double()
        logged = (flat > 0).all(0) & ~cls.of(x, spec).in_sums if log else None
        flat = _by_logarithm(flat, logged)
        centre, scale = _moments(flat, spec)
        z = (flat - centre) / scale
        kept, others = _divide(z, spec)
        sums = torch.linalg.lstsq(z[:, kept], z[:, others]).solution.T
        # Rounded, since the last bits of a solution depend on where in memory it was found.
        sums = (sums.where(sums.abs() > DETERMINED, 0.0) / GRAIN).round() * GRAIN
        off = ((z[:, others] - z[:, kept] @ sums.T).abs().amax(0) / GRAIN).ceil() * GRAIN
        return cls(
            centre=centre[kept],
            scale=scale[kept],
            kept=kept,
            rules=torch.cat([sums * scale[others, None], centre[others, None]], 1),
            slack=SLACK * off * scale[others] + 1e-9 * centre[others].abs(),
            rows=torch.tensor(len(x)),
            logged=logged,
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Scaler:
        """Move, but never round: a model in single precision keeps its units in double."""
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = buffer.to(fn(buffer).device)
        return self

    @property
    def others(self) -> Tensor:
        """Places of the entries that are determined, (D - r,)."""
        known = torch.zeros(len(self.kept) + len(self.rules), dtype=torch.bool)
        known[self.kept.cpu()] = True
        return (~known).nonzero()[:, 0].to(self.kept.device)

    @property
    def in_sums(self) -> Tensor:
        """Which entries determine others or are determined by others, (D,)."""
        taking_part = self.rules[:, :-1] != 0
        found = torch.zeros(len(self.kept) + len(self.rules), dtype=torch.bool)
        found = found.to(self.kept.device)
        found[self.kept] = taking_part.any(0)
        found[self.others] = taking_part.any(1)
        return found

    def inner(self, spec: Spec) -> Spec:
        """The Spec of what a family sees of data of a Spec."""
        return spec if not len(self.rules) else replace(spec, shape=(len(self.kept),))

    def standard(self, x: Tensor) -> Tensor:
        """Data (B, *shape) in standard units, (B, *inner shape) float64."""
        kept, centre, scale = (part.to(x.device) for part in (self.kept, self.centre, self.scale))
        z = (_by_logarithm(x.flatten(1).double(), self.logged)[:, kept] - centre) / scale
        return z if len(self.rules) else z.view(x.shape)

    def own(self, z: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The opposite of `standard`: data in their own units, (B, *shape) float64.

        Args:
            z: (B, *inner shape).
            shape: of a datum.
        """
        flat = z.flatten(1).double()
        x = flat.new_empty(len(z), len(self.kept) + len(self.rules))
        x[:, self.kept] = flat * self.scale + self.centre
        x[:, self.others] = self._ruled(flat)
        if self.logged is not None:
            x[:, self.logged] = x[:, self.logged].exp()
        return x.view(len(z), *shape)

    def log_density(self, x: Tensor) -> Tensor:
        """What a log density in standard units lacks to be one of the data x, (B,) nats."""
        volume = -self.scale.log().sum() - self._stretched(x)
        return volume - math.log(int(self.rows) + 2) * self._broken(x).double().sum(1)

    def _stretched(self, x: Tensor) -> Tensor:
        """Log volume that the logarithm takes away, (B,) or a single 0: the sum of log x; infinite
        where an entry is 0 or less, which its logarithm never is.
        """
        if self.logged is None:
            return self.scale.new_zeros(1)
        kept = torch.zeros_like(self.logged)
        kept[self.kept] = True
        entries = x.flatten(1).double()
        below = (entries[:, self.logged] <= 0).any(1)
        volume = entries[:, self.logged & kept].clamp_min(TINY).log().sum(1)
        return volume.masked_fill(below, math.inf)

    def _ruled(self, z: Tensor) -> Tensor:
        """What the rules say of the determined entries, (B, D - r)."""
        return z @ self.rules[:, :-1].T + self.rules[:, -1]

    def _broken(self, x: Tensor) -> Tensor:
        """Which determined entries of each datum are not what the others say, (B, D - r)."""
        found = _by_logarithm(x.flatten(1).double(), self.logged)[:, self.others]
        return (found - self._ruled(self.standard(x).flatten(1))).abs() > self.slack

    def words(self) -> list[str]:
        """Sentences about the entries that are determined, for people.

        >>> Scaler.of(torch.tensor([[1.0, 5.0], [3.0, 5.0]]), Spec((2,))).words()
        ['Entry 1 is 5 in every training row.']
        """
        return [
            self._words(int(place), rule)
            for place, rule in zip(self.others, self.rules, strict=True)
        ]

    def _words(self, place: int, rule: Tensor) -> str:
        names = [str(int(self.kept[k])) for k in rule[:-1].nonzero()[:, 0]]
        if not names:
            value = rule[-1] if self.logged is None or not self.logged[place] else rule[-1].exp()
            return f"Entry {place} is {value.item():.6g} in every training row."
        return f"Entry {place} is determined by {', '.join(names)}."


def _by_logarithm(flat: Tensor, logged: Tensor | None) -> Tensor:
    """Data (B, D) with some entries replaced by their logarithm."""
    if logged is None:
        return flat
    return torch.where(logged, flat.clamp_min(TINY).log(), flat)


def _moments(flat: Tensor, spec: Spec) -> tuple[Tensor, Tensor]:
    """Centre and scale of each entry, (D,) each; images have one of each channel."""
    channels = spec.shape[0] if len(spec.shape) == 3 else 1
    grouped = flat if len(spec.shape) == 1 else flat.view(len(flat), channels, -1)
    dims = 0 if len(spec.shape) == 1 else (0, 2)
    centre = grouped.mean(dims)
    # About the centre, since a mean of squares would lose what a large offset hides.
    spread = (grouped - (centre if dims == 0 else centre[:, None])).square().mean(dims).sqrt()
    largest = grouped.abs().amax(dims)
    scale = spread.where(spread > largest * 1e-13, 1.0)
    each = spec.dims // len(centre)
    return centre.repeat_interleave(each), scale.repeat_interleave(each)


def _divide(z: Tensor, spec: Spec) -> tuple[Tensor, Tensor]:
    """Places of the entries that are kept, and of those that are sums of the kept ones before."""
    everything = torch.arange(z.shape[1], device=z.device)
    varies = z.square().mean(0) > 0.5  # of unit variance, or constant
    if len(spec.shape) > 1 or not varies.any():
        return everything, everything[:0]
    kept = everything[varies]
    if len(z) >= ROWS_EACH * len(kept):
        kept = kept[_independent(z[:, kept])]
    return kept, everything[~torch.isin(everything, kept)]


def _independent(z: Tensor) -> Tensor:
    """Places of the columns that those before them do not determine: Cholesky's pivots."""
    left = z.T @ z / len(z)
    kept = []
    for k in range(len(left)):
        rest = left[k, k].item()
        if rest > DETERMINED**2:
            kept.append(k)
            left = left - torch.outer(left[:, k], left[k]) / rest
    return torch.tensor(kept, device=z.device)
