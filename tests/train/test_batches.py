"""Which rows a step learns from: a function of seed, stream and count alone."""

from __future__ import annotations

import pytest
import torch

from dalm.data import Split
from dalm.errors import DalmError
from dalm.train import FitOptions
from dalm.train.batches import Batches, Streams

OPTIONS = FitOptions(seed=0, device="cpu")


def numbered(n):
    """Rows that hold their own number."""
    return Split(torch.arange(n)[:, None])


def rows_of(batches, counts):
    return torch.cat([batches(count).x for count in counts])[:, 0].tolist()


def test_an_epoch_visits_every_row_once():
    x = torch.arange(120)[:, None]
    batches = Batches(Split(x, x[:, 0] % 7), 24, seed=3, device="cpu")
    epochs = [rows_of(batches, range(5 * k, 5 * k + 5)) for k in range(3)]
    assert all(sorted(epoch) == list(range(120)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    batch = batches(7)
    assert torch.equal(batch.x[:, 0] % 7, batch.y)
    assert batch.weight is None


def test_an_epoch_with_a_rest_visits_no_row_twice():
    batches = Batches(numbered(100), 32, seed=0, device="cpu")
    epochs = [rows_of(batches, range(3 * k, 3 * k + 3)) for k in range(40)]
    assert all(len(set(epoch)) == 96 for epoch in epochs)
    assert set().union(*map(set, epochs[:3])) == set(range(100)), (
        "the same rows are left out each time"
    )  # fails by chance once in 10^5


def test_a_batch_depends_on_seed_and_count_alone():
    forwards = Batches(numbered(100), 10, 0, "cpu")
    backwards = Batches(numbered(100), 10, 0, "cpu")
    first = [forwards(count).x for count in range(25)]
    second = [backwards(count).x for count in reversed(range(25))][::-1]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], Batches(numbered(100), 10, 1, "cpu")(0).x)


def test_a_batch_has_at_most_all_rows():
    batches = Batches(numbered(5), 32, 0, "cpu")
    assert sorted(rows_of(batches, [0])) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("shards", [1, 2, 4])
def test_shards_share_out_a_batch(shards):
    batches = Batches(numbered(50), 8, 0, "cpu")
    whole = batches(3).x
    parts = [batches(3, shard, shards).x for shard in range(shards)]
    assert [len(part) for part in parts] == shards * [8 // shards]
    assert torch.equal(torch.cat(parts), whole)


def test_streams_have_orders_of_their_own():
    train = Batches(numbered(50), 10, 0, "cpu", "train")
    labelled = Batches(numbered(50), 10, 0, "cpu", "labelled")
    assert rows_of(train, range(5)) != rows_of(labelled, range(5))


@pytest.fixture
def streams():
    """A third of the rows have a label."""
    x = torch.arange(60)[:, None]
    y = torch.where(x[:, 0] % 3 == 0, x[:, 0] % 2, -1)
    return Streams(Split(x, y), 10, 1, OPTIONS)


def test_the_stream_of_labelled_rows_holds_them_alone(streams):
    rows = rows_of(streams["labelled"], range(2))
    assert sorted(rows) == list(range(0, 60, 3))
    assert (streams["labelled"](0).y >= 0).all()


def test_the_stream_of_unlabelled_rows_holds_them_alone(streams):
    rows = rows_of(streams["unlabelled"], range(4))
    assert sorted(rows) == [k for k in range(60) if k % 3]
    assert (streams["unlabelled"](0).y == -1).all()


def test_the_stream_of_all_rows_holds_them_all(streams):
    assert sorted(rows_of(streams["train"], range(6))) == list(range(60))


def test_data_without_labels_are_all_unlabelled():
    streams = Streams(numbered(20), 10, 1, OPTIONS)
    assert sorted(rows_of(streams["unlabelled"], range(2))) == list(range(20))
    with pytest.raises(DalmError, match="learns from labelled rows, and the data hold none"):
        streams["labelled"]


def test_a_stream_without_rows_is_refused():
    x = torch.arange(20)[:, None]
    streams = Streams(Split(x, x[:, 0] % 2), 10, 1, OPTIONS)
    with pytest.raises(DalmError, match="learns from unlabelled rows, and the data hold none"):
        streams["unlabelled"]


def test_an_unknown_stream_is_refused(streams):
    with pytest.raises(DalmError, match="no stream 'test'; there are 'train', 'labelled'"):
        streams["test"]


def test_a_stream_that_is_smaller_than_a_batch_is_still_cut_evenly():
    x = torch.arange(9)[:, None]
    batches = Streams(Split(x, torch.zeros(9)), 32, 4, OPTIONS)["labelled"]
    assert [len(batches(0, shard, 4).x) for shard in range(4)] == [2, 2, 2, 2]


def test_a_stream_without_a_row_for_each_shard_is_refused():
    x = torch.arange(3)[:, None]
    with pytest.raises(DalmError, match="3 labelled rows cannot be cut into 4 shards"):
        Streams(Split(x, torch.zeros(3)), 32, 4, OPTIONS)["labelled"]
