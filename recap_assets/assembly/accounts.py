"""Where every sample and caption went: used, or set aside for which reason."""

from collections.abc import Iterator, Mapping

import polars as pl

from recap_assets.artefacts import RAW_POOL, SYNTHETIC_CAPTIONS, count_rejects, is_usable
from recap_assets.graph.account import Account
from recap_assets.graph.project import Project
from recap_assets.pool.assets import count_notes, pool_of

NEAR_NAMES = 100
"""Missing images that are searched for under a name in other letters."""


def accounts(project: Project) -> Iterator[Account]:
    """What came before the shards, where there is any, the pool, and then each captioner."""
    tables = project.workspace.tables
    current = pl.col("partition").is_in(list(project.partitions))
    if (before := pool_of(project).account(project)) is not None:
        yield before
    yield _account(RAW_POOL.key(), tables.scan(RAW_POOL).filter(current))
    for source in project.experiment.sources:
        rows = tables.scan(SYNTHETIC_CAPTIONS, source=source).filter(current)
        yield _account(SYNTHETIC_CAPTIONS.key(source), rows)


def text_notes(project: Project) -> Mapping[str, int]:
    """Usable samples of the pool whose text was read otherwise than as plain UTF-8, by note."""
    current = pl.col("partition").is_in(list(project.partitions))
    rows = project.workspace.tables.scan(RAW_POOL).filter(current)
    return _notes(rows)


def near_names(project: Project) -> Mapping[str, str]:
    """Files that images of a folder's table may mean, by the path that names none; some of them."""
    missing = pl.col("reject_reason") == "missing_image"
    current = pl.col("partition").is_in(list(project.partitions))
    rows = project.workspace.tables.scan(RAW_POOL).filter(current & missing)
    keys = rows.select("key").head(NEAR_NAMES).collect()["key"]
    return pool_of(project).near_names(keys.to_list())


def _notes(rows: pl.LazyFrame) -> Mapping[str, int]:
    # A table of before has no such column until it is rebuilt.
    if "text_note" not in rows.collect_schema().names():
        return {}
    return count_notes(rows.select("status", "text_note").collect())


def _account(what: str, rows: pl.LazyFrame) -> Account:
    usable = is_usable()
    counts = rows.select(
        pl.len(), usable.sum(), (usable & pl.col("text").is_null()).sum().alias("no_text")
    ).collect()
    n_all, n_usable, n_without_text = counts.row(0)
    states = rows.select("status", "reject_reason").collect()
    rejected = count_rejects(states)
    return Account(what, n_all, n_usable, n_without_text, rejected, notes=_notes(rows))
