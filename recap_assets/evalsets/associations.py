"""WinoGAViL: which of several images go with a cue."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recap_assets.evalsets.embedding import Image
from recap_assets.evalsets.rows import has_rows, image_of, rows, strings_of
from recap_assets.evalsets.webdatasets import (
    MAX_BATCH_BYTES,
    Decode,
    EvaluationSetError,
    SetFolder,
    decoded,
)

_COLUMNS = ("cue", "candidates", "associations", "candidate_images")


@dataclass(frozen=True)
class Association:
    """One cue.

    Attributes:
        cue: The word.
        images: The candidates.
        is_associated: Shape (candidates,): which of them people chose; at least one.
    """

    cue: str
    images: list[Image]
    is_associated: NDArray[np.bool_]

    @property
    def prompt(self) -> str:
        """The cue as DataComp asks for it."""
        cue = self.cue.lower()
        return f"An {cue}" if cue[0] in "aeiou" else f"A {cue}"


@dataclass(frozen=True)
class AssociationSet:
    """Cues with candidate images.

    Attributes:
        path: The folder, as it was given.
    """

    path: str
    _folder: SetFolder = field(repr=False)
    _split: str
    _decode: Decode = field(repr=False)

    def associations(self) -> Iterator[Association]:
        """Every cue with its decoded candidates.

        Raises:
            EvaluationSetError: An unreadable file, an undecodable image, a cue without candidates
                or without an association, candidates of more than MAX_BATCH_BYTES, or no cue.
        """
        for where, row in rows(self._folder, self._split, _COLUMNS):
            names = strings_of(row["candidates"], "candidates", where)
            right = strings_of(row["associations"], "associations", where)
            cells: list[object] = row["candidate_images"] or []
            is_associated = np.isin(np.array(names), np.array(right))
            cue = str(row["cue"]).strip()
            if not cue or len(cells) != len(names) or not is_associated.any():
                msg = (
                    f"{where}: the cue {cue!r} has {len(names)} candidates, {len(cells)} images "
                    f"and {int(is_associated.sum())} associations among them"
                )
                raise EvaluationSetError(msg)
            yield Association(cue, self._images(cells, where), is_associated)

    def _images(self, cells: list[object], where: str) -> list[Image]:
        images: list[Image] = []
        left = MAX_BATCH_BYTES
        for cell in cells:
            images.append(decoded(self._decode, image_of(cell, where), where))
            left -= images[-1].nbytes
            if left < 0:
                msg = f"{where}: its {len(cells)} candidates take more than {MAX_BATCH_BYTES:,} "
                raise EvaluationSetError(msg + "bytes decoded: make the images smaller")
        return images

    def images(self, size: int) -> Iterator[list[Image]]:
        """The candidates of each cue, at most `size` at a time."""
        for one in self.associations():
            for start in range(0, len(one.images), size):
                yield one.images[start : start + size]


def open_associations(folder: SetFolder, split: str, decode: Decode) -> AssociationSet:
    """The set in a folder with `datasets`' Arrow files or with parquet files.

    Raises:
        EvaluationSetError: There is no such file.
    """
    if not has_rows(folder, split):
        msg = f"{folder.path}: there is no .arrow or .parquet file of the split {split}"
        raise EvaluationSetError(msg)
    return AssociationSet(folder.path, folder, split, decode)
