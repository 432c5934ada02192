"""Which rows a step learns from: a function of seed, stream and count alone."""

from __future__ import annotations

import torch
from torch import Tensor

from dalm.core import Batch
from dalm.data import Split
from dalm.errors import DalmError
from dalm.train.options import FitOptions
from dalm.train.seeds import derive_seed

RESIDENT = 2**31
"""Bytes of data that may live on an accelerator."""


class Batches:
    """Rows of training data in an order that depends on seed, stream and count alone.

    Args:
        rows: of one stream.
        size: rows in a batch; fewer if there are fewer in all.
        seed: of the order.
        device: where batches go.
        stream: name of the stream.
    """

    def __init__(
        self, rows: Split, size: int, seed: int, device: str, stream: str = "train"
    ) -> None:
        resident = device != "cpu" and rows.x.nbytes < RESIDENT
        self.x = rows.x.to(device) if resident else rows.x
        self.y = rows.y.to(device) if resident and rows.y is not None else rows.y
        self.size = min(size, len(rows))
        self.seed = seed
        self.device = device
        self.role = "order" if stream == "train" else f"order/{stream}"
        self.epoch = -1
        self.order = torch.empty(0, dtype=torch.long)

    def __call__(self, count: int, shard: int = 0, shards: int = 1) -> Batch:
        """One shard of the batch that `count` batches came before.

        Args:
            count: which batch.
            shard: which part of it.
            shards: how many parts it is cut into.
        """
        epoch, place = divmod(count, len(self.x) // self.size)
        if epoch != self.epoch:
            generator = torch.Generator().manual_seed(derive_seed(self.seed, self.role, epoch))
            shuffled = torch.randperm(len(self.x), generator=generator)
            self.order = shuffled.to(self.x.device)
            self.epoch = epoch
        start = place * self.size
        low = start + self.size * shard // shards
        high = start + self.size * (shard + 1) // shards
        return self._rows(self.order[low:high])

    def _rows(self, index: Tensor) -> Batch:
        y = None if self.y is None else self.y.index_select(0, index).to(self.device)
        return Batch(self.x.index_select(0, index).to(self.device), y)


class Streams:
    """The batches of each stream, made when first asked for.

    Args:
        rows: all training data.
        size: rows in a batch.
        shards: parts that each batch is cut into.
        options: seed, and where batches go.
        order: what the order of the rows is called beside that of the first stage.
    """

    def __init__(
        self, rows: Split, size: int, shards: int, options: FitOptions, order: str = ""
    ) -> None:
        self.rows = rows
        self.size = size
        self.shards = shards
        self.options = options
        self.order = order
        self.made: dict[str, Batches] = {}

    def __getitem__(self, stream: str) -> Batches:
        if stream not in self.made:
            rows = self._rows(stream)
            size = min(self.size, len(rows)) // self.shards * self.shards
            if not size:
                raise DalmError(
                    f"{len(rows)} {stream} rows cannot be cut into {self.shards} shards; ask for "
                    "fewer shards"
                )
            name = self.order + stream
            place = self.options.place
            self.made[stream] = Batches(rows, size, self.options.seed, place, name)
        return self.made[stream]

    def _rows(self, stream: str) -> Split:
        """The rows of a stream, or DalmError if there are none."""
        if stream == "train":
            return self.rows
        if stream not in ("labelled", "unlabelled"):
            raise DalmError(
                f"there is no stream {stream!r}; there are 'train', 'labelled' and 'unlabelled'"
            )
        x = self.rows.x
        y = self.rows.y
        known = torch.zeros(len(x), dtype=torch.bool) if y is None else y >= 0
        mask = known if stream == "labelled" else ~known
        if not mask.any():
            raise DalmError(f"the model learns from {stream} rows, and the data hold none")
        return Split(x[mask], None if y is None else y[mask])
