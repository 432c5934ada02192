"""Runs any network in arithmetic that gives the same bits on every machine, at every batch size and
on any number of threads.

Inside `ExactArithmetic(net)` each weight is rounded to a multiple of a power of two and each input
of a layer to a multiple of 2^-16 below 2^11, so that the sums of products are whole numbers of one
unit below 2⁵³: float64 holds them exactly, whatever the order of summation. Nonlinearities come
from tables, and single additions and multiplications are what IEEE 754 says. An operation that is
none of these is refused, so what runs is exact by construction.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from dalm.errors import DalmError
from dalm.exact import fixed

INPUT_BITS = 16
"""Bits after the point of a layer's input."""
INPUT_REACH = 11
"""Inputs of a layer lie below 2 to this."""
LEAST_WEIGHT_BITS = 8
MOST_WEIGHT_BITS = 24
"""Bits after the point of a weight."""

aten = torch.ops.aten

ARITHMETIC = {
    aten.add, aten.sub, aten.mul, aten.div, aten.neg, aten.abs, aten.floor, aten.round,
    aten.relu, aten.relu_, aten.clamp, aten.clamp_min, aten.clamp_max, aten.maximum,
    aten.minimum, aten.where, aten.amax, aten.leaky_relu, aten.max_pool2d_with_indices,
}  # fmt: skip
"""Operations that make one number from one or two, or pick one: the same on every machine."""

MOVES = {
    aten.view, aten._unsafe_view, aten.reshape, aten.t, aten.transpose, aten.permute,
    aten.expand, aten.unsqueeze, aten.squeeze, aten.slice, aten.select, aten.split,
    aten.split_with_sizes, aten.cat, aten.stack, aten.constant_pad_nd, aten.pixel_shuffle,
    aten.clone, aten.detach, aten.alias, aten._to_copy, aten.copy_, aten.embedding, aten.index,
    aten.zeros, aten.zeros_like, aten.new_zeros, aten.empty, aten.repeat,
    aten.upsample_nearest2d,
}  # fmt: skip
"""Operations that move numbers."""

PLAIN = ARITHMETIC | MOVES


@fixed.once
def _fine_sigmoid() -> fixed.LookupTable:
    return fixed.LookupTable(lambda x: 1 / (1 + fixed.MP.exp(-x)), -16, 16, 1024)


@fixed.once
def _fine_tanh() -> fixed.LookupTable:
    return fixed.LookupTable(fixed.MP.tanh, -8, 8, 2048)


class ExactArithmetic(TorchDispatchMode):
    """Context in which the layers of a network compute exactly.

    Args:
        net: in double precision; the bound on every sum is checked here.

    Raises:
        DalmError: a layer's sums could pass 2⁵³, or, later, the network does something that has no
            exact form.

    >>> net = nn.Linear(3, 2).double()
    >>> with torch.no_grad(), ExactArithmetic(net):
    ...     out = net(torch.ones(5, 3, dtype=torch.float64))
    >>> out.shape
    torch.Size([5, 2])
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._weights = {
            p.untyped_storage().data_ptr(): self._rounded(name, p.detach())
            for name, p in net.named_parameters()
            if p.dim() > 1
        }

    @classmethod
    def ignore_compile_internals(cls) -> bool:
        """Several threads compute exactly at once, and a flag that PyTorch keeps for all of them
        must not stay set when they end.
        """
        return True

    def _rounded(self, name: str, weight: Tensor) -> Tensor:
        if weight.dtype != torch.float64:
            raise DalmError(
                f"exact arithmetic needs double precision, and {name} is {weight.dtype}; use "
                "net.double()"
            )
        flat = (weight[..., None].flatten(2).abs() * 1024).ceil().long()
        longest = max(int(flat.sum((1, 2)).amax()), int(flat.sum((0, 2)).amax()))
        sum_bits = max(0, longest.bit_length() - 10)
        bits = min(MOST_WEIGHT_BITS, 52 - INPUT_BITS - INPUT_REACH - sum_bits)
        if bits < LEAST_WEIGHT_BITS:
            raise DalmError(
                f"{name} is too large for exact arithmetic: its weights would be rounded to "
                f"2^{-bits}"
            )
        return fixed.on_grid(weight, bits).contiguous()

    def _weight(self, weight: Tensor) -> Tensor:
        """The rounded numbers behind a weight, or behind a view of it."""
        rounded = self._weights.get(weight.untyped_storage().data_ptr())
        if rounded is None:
            raise DalmError(
                "exact arithmetic knows products of data and weights; this network multiplies "
                "something else"
            )
        return rounded.as_strided(weight.size(), weight.stride(), weight.storage_offset())

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run one operation exactly, or refuse it."""
        kwargs = kwargs or {}
        packet = func.overloadpacket
        if packet in CURVES:
            return CURVES[packet](args[0])
        if packet is aten.mm:
            return _input(args[0]) @ self._weight(args[1])
        if packet is aten.addmm:
            return (_input(args[1]) @ self._weight(args[2])).add_(args[0])
        if packet is aten.convolution:
            return self._convolution(*args)
        if packet in PLAIN or not _has_floats(args, kwargs):
            return func(*args, **kwargs)
        raise DalmError(f"{packet} has no exact form")

    def _convolution(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: Any,
        padding: Any,
        dilation: Any,
        transposed: bool,
        *rest: Any,
    ) -> Tensor:
        x = _input(x)
        weight = self._weight(weight)
        groups = rest[-1]
        ones = (*stride, *dilation, groups) == (1, 1, 1, 1, 1)
        if x.dim() == 4 and ones and not transposed:
            out = _convolved(x, weight, padding)
        else:
            out = torch.convolution(x, weight, None, stride, padding, dilation, transposed, *rest)
        return out if bias is None else out.add_(bias[:, None, None])


def _convolved(x: Tensor, weight: Tensor, padding: Sequence[int]) -> Tensor:
    """A convolution as one product for each place of its kernel. PyTorch's own makes, in double
    precision, a small one for each image.

    The images go pixel by pixel, so that a place of the kernel is a shift. What it sees across the
    borders of rows is cut off.
    """
    above, beside = padding
    height, width = weight.shape[2:]
    x = F.pad(x.permute(2, 3, 0, 1), (0, 0, 0, 0, beside, beside, above, above))
    columns = x.shape[1]
    n = x.shape[2]
    rows = x.shape[0] - height + 1
    flat = x.reshape(-1, x.shape[3])
    seen = (rows * columns - width + 1) * n
    out = x.new_zeros(rows * columns * n, len(weight))
    for i, j in itertools.product(range(height), range(width)):
        start = (i * columns + j) * n
        out[:seen].addmm_(flat[start:][:seen], weight[:, :, i, j].T)
    return out.view(rows, columns, n, -1)[:, : columns - width + 1].permute(2, 3, 0, 1)


def _input(x: Tensor) -> Tensor:
    reach = 2.0**INPUT_REACH
    return fixed.on_grid(x, INPUT_BITS).clamp_(-reach, reach)


def _has_floats(*values: Any) -> bool:
    leaves = torch.utils._pytree.tree_leaves(values)
    return any(isinstance(leaf, Tensor) and leaf.is_floating_point() for leaf in leaves)


CURVES: dict[Any, Callable[[Tensor], Tensor]] = {
    aten.sigmoid: lambda x: _fine_sigmoid().nearest(x),
    aten.tanh: lambda x: _fine_tanh().nearest(x),
    aten.silu: lambda x: x * _fine_sigmoid().nearest(x),
    aten.exp: fixed.exp,
}
"""Functions that are taken from tables."""
