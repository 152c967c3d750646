"""Where every sample and caption went: used, or set aside for which reason."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from recap_assets.specs.tables import RAW_POOL, SYNTHETIC_CAPTIONS, is_usable
from recap_assets.stages import captions, pool
from recap_assets.stages.setting import Setting


@dataclass(frozen=True)
class Account:
    """Rows of one asset by what became of them.

    Attributes:
        what: The asset.
        n_all: Rows in all.
        n_usable: Rows that count as ok.
        n_without_text: Usable rows that have no text.
        rejected: Rows set aside, by reason.
    """

    what: str
    n_all: int
    n_usable: int
    n_without_text: int
    rejected: Mapping[str, int]

    @property
    def n_rejected(self) -> int:
        """Rows set aside; with the usable ones they are all."""
        return sum(self.rejected.values())


def accounts(setting: Setting) -> Iterator[Account]:
    """The pool's account, then one for each captioner."""
    tables = setting.workspace.tables
    current = pl.col("partition").is_in(list(setting.partitions))
    yield _account(pool.ASSET, tables.scan(RAW_POOL).filter(current))
    for source in setting.experiment.sources:
        rows = tables.scan(SYNTHETIC_CAPTIONS, source=source).filter(current)
        yield _account(captions.asset(source), rows)


def _account(what: str, rows: pl.LazyFrame) -> Account:
    usable = is_usable()
    counts = rows.select(
        pl.len(), usable.sum(), (usable & pl.col("text").is_null()).sum().alias("no_text")
    ).collect()
    n_all, n_usable, n_without_text = counts.row(0)
    states = rows.select("status", "reject_reason").collect()
    return Account(what, n_all, n_usable, n_without_text, pool.count_rejects(states))
