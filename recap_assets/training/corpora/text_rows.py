"""Rows of texts out of a file of unknown origin, read in blocks."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Protocol

import polars as pl

from recap_assets.shards.files import PoolError
from recap_assets.shards.text_tables import TextTable, Wanted
from recap_assets.specs.findings import Finding
from recap_assets.training.corpora.kind import TextRow
from recap_assets.untrusted.cells import bounded
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.showing import listed

_OUTPUT = "output"


class CorpusFileError(PoolError):
    """A file of a corpus cannot be used. The text names it, what is wrong and what to do."""


class Columns(Protocol):
    """Which columns are read."""

    @property
    def reads(self) -> Mapping[str, str]:
        """Inputs by name, with their columns."""
        ...

    @property
    def writes(self) -> str:
        """The column of the output."""
        ...

    @property
    def rows_at_most(self) -> int:
        """Rows that are enough."""
        ...


def rows_of(path: Path, columns: Columns) -> Iterator[TextRow]:
    """The rows of a file that have an output and an input, in its order.

    A text is stripped of NUL and outer white space, and cut to 64 KiB.

    Raises:
        CorpusFileError: It is gone, damaged or lacks a column.
    """
    return islice(_all_rows(path, columns), columns.rows_at_most)


def findings_of(where: str, path: Path, columns: Columns) -> Finding:
    """Whether the first rows can be read; `where` is the corpus's name in the file."""
    try:
        n = sum(1 for _ in islice(_all_rows(path, columns), 100))
    except CorpusFileError as error:
        return False, f"{where}: {error}"
    if not n:
        return False, f"{where}: {path} has no row with an input and an output"
    return True, f"{where}: {path} has rows with {listed([*columns.reads.values()])}"


def _all_rows(path: Path, columns: Columns) -> Iterator[TextRow]:
    wanted = {f"input.{name}": Wanted(column) for name, column in columns.reads.items()}
    wanted[_OUTPUT] = Wanted(columns.writes)
    with _explained(path):
        table = TextTable(path, _ending(path))
        if missing := table.missing(wanted):
            there = listed(table.columns())
            msg = f"it has no column {missing[0]!r}; its columns are {there}"
            raise UntrustedError(msg)
        for batch in table.read(wanted, columns.rows_at_most):
            frame = pl.DataFrame([_cleaned(batch.frame[role]) for role in wanted])
            for *inputs, output in frame.iter_rows():
                if output and any(inputs):
                    yield TextRow(tuple(inputs), output)


def _cleaned(texts: pl.Series) -> pl.Series:
    plain = texts.cast(pl.String).fill_null("").str.replace_all("\0", "", literal=True)
    return bounded(plain.str.strip_chars(" \t\r\n\ufeff")).alias(texts.name)


def _ending(path: Path) -> str:
    name = path.name.lower()
    packed = ".gz" if name.endswith(".gz") else ""
    return Path(name.removesuffix(".gz")).suffix + packed


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (UntrustedError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        msg = f"{path} cannot be read as rows of texts: {reason}"
        raise CorpusFileError(msg) from error
