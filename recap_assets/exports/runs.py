"""One folder of shards while it is written, and the uids that are in it."""

import tempfile
from dataclasses import dataclass, field
from typing import IO, cast

import numpy as np
import polars as pl

from recap_assets.artefacts.uids import SUBSET_DTYPE, subset_array, write_merged
from recap_assets.exports.shards import ShardRecord
from recap_assets.storage.folders import HashedFile


class UidSpool:
    """Uids on their way into one sorted file, kept on disk meanwhile: 16 bytes each."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="recap-uids-")  # noqa: SIM115 - closed with it
        self._ends = [0]

    def __len__(self) -> int:
        return self._ends[-1]

    def add(self, uids: pl.Series) -> None:
        """Add uids; one that comes several times stays so."""
        self._file.write(subset_array(uids).tobytes())
        self._ends.append(self._ends[-1] + len(uids))

    def write(self, file: HashedFile) -> None:
        """Write all of them as DataComp's subset file."""
        self._file.flush()
        array = np.memmap(self._file, SUBSET_DTYPE, "r") if len(self) else np.empty(0, SUBSET_DTYPE)
        parts = [array[a:b] for a, b in zip(self._ends, self._ends[1:], strict=False)]
        write_merged(cast("IO[bytes]", file), parts)
        del array, parts

    def close(self) -> None:
        """Forget them."""
        self._file.close()


@dataclass
class Run:
    """One folder of shards that are numbered through.

    Attributes:
        below: The folder, below that of the export; "" for that itself.
        number: Number of the next shard.
        records: The shards that are finished.
        n_planned: Samples that were to be in them; those that could not be had are in none.
        uids: Uids of the samples in them.
        waiting: Samples that are in no shard yet.
    """

    below: str
    number: int = 0
    records: list[ShardRecord] = field(default_factory=list)
    n_planned: int = 0
    uids: UidSpool = field(default_factory=UidSpool)
    waiting: pl.DataFrame | None = None
