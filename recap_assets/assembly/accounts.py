"""Where every sample and caption went: used, or set aside for which reason."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.pool import DOWNLOADED_SHARDS, RAW_POOL
from recap_assets.artefacts.table import count_rejects, is_usable
from recap_assets.graph.project import Setting
from recap_assets.pool import assets as pool
from recap_assets.pool.kinds.urls import shards
from recap_assets.shards.folder_names import FolderFiles
from recap_assets.specs.pool import FolderPool, UrlPool

NEAR_NAMES = 100
"""Missing images that are searched for under a name in other letters."""


@dataclass(frozen=True)
class Account:
    """Rows of one asset by what became of them.

    Attributes:
        what: The asset.
        n_all: Rows in all.
        n_usable: Rows that count as ok.
        n_without_text: Usable rows that have no text.
        rejected: Rows set aside, by reason.
        per_second: Rows that were fetched in a second, where they were fetched.
        notes: Usable rows whose text was not read as plain UTF-8, by what was done or failed: see
            TEXT_NOTES.
    """

    what: str
    n_all: int
    n_usable: int
    n_without_text: int
    rejected: Mapping[str, int]
    per_second: float | None = None
    notes: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_rejected(self) -> int:
        """Rows set aside; with the usable ones they are all."""
        return sum(self.rejected.values())


def accounts(setting: Setting) -> Iterator[Account]:
    """The list's account, where there is one, then the pool's, then one for each captioner."""
    tables = setting.workspace.tables
    current = pl.col("partition").is_in(list(setting.partitions))
    if isinstance(setting.experiment.pool, UrlPool):
        yield _downloads(setting)
    yield _account(RAW_POOL.key(), tables.scan(RAW_POOL).filter(current))
    for source in setting.experiment.sources:
        rows = tables.scan(SYNTHETIC_CAPTIONS, source=source).filter(current)
        yield _account(SYNTHETIC_CAPTIONS.key(source), rows)


def text_notes(setting: Setting) -> Mapping[str, int]:
    """Usable samples of the pool whose text was read otherwise than as plain UTF-8, by note."""
    current = pl.col("partition").is_in(list(setting.partitions))
    rows = setting.workspace.tables.scan(RAW_POOL).filter(current)
    return _notes(rows)


def near_names(setting: Setting) -> Mapping[str, str]:
    """Files that images of a folder's table may mean, by the path that names none; some of them."""
    if not isinstance(setting.pool, FolderPool):
        return {}
    missing = pl.col("reject_reason") == "missing_image"
    current = pl.col("partition").is_in(list(setting.partitions))
    rows = setting.workspace.tables.scan(RAW_POOL).filter(current & missing)
    files = FolderFiles(setting.pool.images)
    keys = rows.select("key").head(NEAR_NAMES).collect()["key"]
    return {key: near for key in keys if (near := files.nearest(key))}


def _notes(rows: pl.LazyFrame) -> Mapping[str, int]:
    # A table of before has no such column until it is rebuilt.
    if "text_note" not in rows.collect_schema().names():
        return {}
    return pool.count_notes(rows.select("status", "text_note").collect())


def _downloads(setting: Setting) -> Account:
    """Every row of the list that was fetched so far."""
    counts: Counter[str] = Counter()
    n_fetched, seconds = 0, 0.0
    for shard in setting.shards.values():
        found = shards.statistics_of(Path(shard.url).parent, shard.number)
        counts.update(found.counts)
        n_fetched += found.n_fetched
        seconds += found.seconds
    n_all = counts.total()
    n_good = counts.pop(shards.SUCCESS, 0)
    speed = n_fetched / seconds if seconds else None
    return Account(DOWNLOADED_SHARDS.key(), n_all, n_good, 0, dict(sorted(counts.items())), speed)


def _account(what: str, rows: pl.LazyFrame) -> Account:
    usable = is_usable()
    counts = rows.select(
        pl.len(), usable.sum(), (usable & pl.col("text").is_null()).sum().alias("no_text")
    ).collect()
    n_all, n_usable, n_without_text = counts.row(0)
    states = rows.select("status", "reject_reason").collect()
    rejected = count_rejects(states)
    return Account(what, n_all, n_usable, n_without_text, rejected, notes=_notes(rows))
