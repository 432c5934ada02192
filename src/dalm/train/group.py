"""The processes that train one model together, as `torchrun` starts them; alone by default.

A batch is cut into shards. Each process takes its share of them, and gradients are averaged by one
explicit all-reduce after each turn. Randomness belongs to the shard and not to the process, so two
processes of one shard each take the same steps as one process of two shards, but for the order of
sums.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dalm.errors import DalmError


@dataclass(frozen=True)
class Group:
    """One process among those that train together.

    Args:
        rank: its number; 0 writes the run.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @staticmethod
    def here(device: str) -> Group:
        """The group that `torchrun` started this process in, or this process alone.

        Args:
            device: where it computes, which decides how tensors travel.
        """
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1:
            return Group()
        distributed = torch.distributed
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
        return Group(distributed.get_rank(), distributed.get_world_size())

    @property
    def leads(self) -> bool:
        """Whether this process writes the run and decides for all."""
        return self.rank == 0

    def shards(self, count: int) -> range:
        """Which of `count` shards of a batch are this process's.

        >>> list(Group(rank=1, size=2).shards(4))
        [2, 3]
        """
        if count % self.size:
            raise DalmError(
                f"{count} shards cannot be shared out evenly among {self.size} processes; ask for "
                f"a multiple of {self.size}"
            )
        each = count // self.size
        return range(self.rank * each, (self.rank + 1) * each)

    def average(
        self, parameters: Sequence[nn.Parameter], scalars: Sequence[Tensor]
    ) -> list[Tensor]:
        """Average gradients, in place, and scalars over all processes, by one all-reduce.

        Args:
            parameters: whose `grad` is averaged.
            scalars: a loss and what is logged beside it.
        """
        if self.size == 1:
            return list(scalars)
        gradients = [p.grad for p in parameters if p.grad is not None]
        told = [scalar.detach().reshape(1).to(parameters[0].dtype) for scalar in scalars]
        flat = torch.cat([*(g.flatten() for g in gradients), *told])
        torch.distributed.all_reduce(flat)
        flat /= self.size
        sizes = [g.numel() for g in gradients]
        *parts, means = flat.split([*sizes, len(told)])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return list(means)

    def average_buffers(self, model: nn.Module) -> None:
        """Average running statistics, which each process keeps of its own shards."""
        if self.size == 1:
            return
        for buffer in model.buffers():
            if buffer.is_floating_point():
                torch.distributed.all_reduce(buffer)
                buffer /= self.size

    def agree(self, *numbers: float) -> list[float]:
        """The numbers that the leading process holds, on all of them.

        >>> Group().agree(3, 0.5)
        [3, 0.5]
        """
        if self.size == 1:
            return list(numbers)
        box = torch.tensor(numbers, dtype=torch.float64)
        torch.distributed.broadcast(box, 0)
        return box.tolist()

    def share(self, model: nn.Module) -> None:
        """Give all processes the weights of the leading one."""
        if self.size > 1:
            for tensor in model.state_dict().values():
                torch.distributed.broadcast(tensor, 0)
