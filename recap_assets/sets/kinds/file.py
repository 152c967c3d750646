"""A set of uids in a file."""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
from pydantic import Field, field_validator

from recap_assets.artefacts.uids import SubsetFileError, read_subset
from recap_assets.engines.protocols import Places
from recap_assets.engines.trying import readable
from recap_assets.sets.kind import GivenSet
from recap_assets.specs.fields import Content
from recap_assets.specs.findings import Finding


class UidFile(GivenSet):
    """A named set of uids: DataComp's subset file (`.npy`, dtype u8,u8) or one hex uid a line."""

    kind: Literal["file"] = "file"
    uids: Annotated[str, Content()] = Field(description="Path of the file.")

    @field_validator("uids")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if not value.endswith((".npy", ".txt")):
            msg = "a set of uids is a .npy subset file or a .txt with one uid a line"
            raise ValueError(msg)
        return value

    def members(self) -> pl.Series:
        """The file's uids, in its order."""
        path = Path(self.uids)
        if not path.is_file():
            return read_subset(path)  # which says what is wrong
        stamp = path.stat()
        return _read_once(path, stamp.st_size, stamp.st_mtime_ns)

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:  # noqa: ARG002 - of all kinds
        """Whether the file can be read."""
        yield readable(where, self.uids, lambda: read_subset(self.uids), SubsetFileError)


@lru_cache(maxsize=4)
def _read_once(path: Path, _size: int, _modified: int) -> pl.Series:
    # A file is asked for at every partition.
    return read_subset(path)
