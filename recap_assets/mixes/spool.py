"""Scores on disk, for those who look through them several times."""

import tempfile
from collections.abc import Iterable, Iterator
from typing import Self

import numpy as np
import polars as pl

from recap_assets.artefacts.histograms import Scores

_BLOCK = 1 << 20


class Spool:
    """Scores without the missing ones: read block by block, several times, until it is closed.

    On disk 4 bytes a score, in memory one block.
    """

    def __init__(self, scores: Iterable[pl.Series]) -> None:
        self._file = tempfile.TemporaryFile(prefix="recap-scores-")  # noqa: SIM115 - closed on exit
        for part in scores:
            self._file.write(part.drop_nulls().cast(pl.Float32).to_numpy().tobytes())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[Scores]:
        self._file.seek(0)
        while block := self._file.read(4 * _BLOCK):
            yield np.frombuffer(block, np.float32)

    def between(self, low: float, high: float) -> Iterator[Scores]:
        """The scores from `low` to `high`, block by block."""
        return (block[(block >= low) & (block <= high)] for block in self)
