"""An archive to data, with the model that it was written with."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from dalm.codec import archive, weights
from dalm.codec.archive import Header
from dalm.codec.chunks import ChunkCoder, ReadSettings, by_bits_back, hash_of, most_chunk_data
from dalm.codec.tables import Progress
from dalm.core import Generative
from dalm.errors import DalmError

Array = NDArray[np.generic]
Rows = tuple[Array, Array | None]
"""Data (n, *shape) in their original type, and their labels (n,)."""


def decompress(
    file: BinaryIO,
    size: int,
    find: Callable[[Header], Generative],
    batch: int = 0,
    progress: Progress = lambda entries: None,
) -> ArchiveReader:
    """Open an archive of `size` bytes for reading.

    Args:
        file: opened for reading, at its start.
        size: of the whole file, in bytes.
        find: gives the model of a header when it is not inside the archive.
        batch: how many data a network is asked about at once; any number decodes the same.
        progress: told how many entries are done.

    Raises:
        DalmError: no archive, cut short, damaged, of a newer version, or the model is another one.
    """
    settings = ReadSettings(batch=batch)
    header = archive.read_header(file)
    inside = archive.read_part(file, size) if header.inside else None
    model = find(header) if inside is None else weights.unpack_model(inside)
    _check_model(header, model)
    places = archive.survey(file, header, size)
    coder = ChunkCoder(model, header.samples, settings.batch, progress)
    return ArchiveReader(file, size, header, places, coder)


def _check_model(header: Header, model: Generative) -> None:
    """Raise DalmError unless the archive was written with the model and suits it."""
    if hash_of(model) != header.model:
        raise DalmError(
            f"the archive was written with model {header.model.hex()}, and this is "
            f"{hash_of(model).hex()}; give the run it was written with"
        )
    same_driver = by_bits_back(model) == bool(header.samples)
    classes_known = model.spec.classes or not header.labels
    if not (model.spec == header.spec and same_driver and classes_known):
        raise DalmError(
            "the archive's header does not suit its model; it is damaged or was made up"
        )
    most = most_chunk_data(model, bool(header.labels))
    if header.chunk > 2 * most:  # another dalm may have reckoned otherwise
        raise DalmError(
            f"the archive's chunks of {header.chunk:,} data would not fit into memory; it was made "
            "up"
        )


class ArchiveReader:
    """An open archive.

    Args:
        file: opened for reading.
        size: of the file, in bytes.
        header: of the archive.
        places: where its chunks begin.
        coder: with its model.
    """

    def __init__(
        self, file: BinaryIO, size: int, header: Header, places: list[int], coder: ChunkCoder
    ) -> None:
        self.file = file
        self.size = size
        self.header = header
        self.places = places
        self.coder = coder

    def chunk(self, k: int) -> Rows:
        """Data (n, *shape) in their original type, and labels, of chunk k alone.

        Raises:
            DalmError: there is no such chunk, or it is damaged.
        """
        header = self.header
        if not 0 <= k < len(self.places):
            raise DalmError(
                f"the archive has {len(self.places):,} chunks, from 0 on; there is no chunk {k}"
            )
        n = min(header.chunk, header.count - k * header.chunk)
        self.file.seek(self.places[k])
        payload = archive.read_part(self.file, self.size)
        levels, labels = self.coder.decode(payload, n, bool(header.labels))

        x = levels.numpy().astype(header.dtype).reshape(n, *header.shape)
        y = None if labels is None else labels.numpy().astype(header.labels)
        return x, y

    def __iter__(self) -> Iterator[Rows]:
        """All chunks in order; after the last one the checksum of everything is compared.

        Raises:
            DalmError: what was decoded is not what was compressed.
        """
        hasher = hashlib.blake2b(digest_size=archive.HASH_BYTES)
        labels = []
        for k in range(len(self.places)):
            x, y = self.chunk(k)
            hasher.update(x.tobytes())
            labels.append(b"" if y is None else y.tobytes())
            yield x, y
        hasher.update(b"".join(labels))
        if hasher.digest() != self.header.checksum:
            raise DalmError(
                "what was decoded is not what was compressed: its checksum does not match; the "
                "archive or the model is damaged"
            )
