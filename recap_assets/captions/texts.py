"""The texts of an image that a prompt or a template names: of other sources, and of the pool.

Of a source with several candidates the first usable one is read; a source of kind `reranked` puts
the best one there.
"""

from collections.abc import Sequence

import polars as pl

from recap_assets.artefacts.captions import first_texts
from recap_assets.artefacts.facets import SAMPLES
from recap_assets.artefacts.pool import POOL_COLUMNS, RAW_POOL
from recap_assets.artefacts.table import STATUS_EMPTY
from recap_assets.engines.protocols import Caption
from recap_assets.graph.node import Dependency, merged
from recap_assets.graph.project import Project
from recap_assets.graph.texts import first_texts_read


def text_dependencies(
    project: Project, names: Sequence[str], of_pool: str = SAMPLES
) -> tuple[Dependency, ...]:
    """What a source reads that is made of these sources and columns: the pool, and their assets.

    Args:
        project: Whose they are.
        names: The sources and columns.
        of_pool: The facet of the pool that it reads beside texts.
    """
    columns = project.experiment.pool.columns
    reads = (
        Dependency(POOL_COLUMNS.key(n), "same") if n in columns else first_texts_read(n)
        for n in names
    )
    return merged((Dependency(RAW_POOL.key(), "same", (of_pool,)), *reads))


def texts_of_images(project: Project, names: Sequence[str], partition: str) -> pl.DataFrame:
    """The texts of each usable image of a partition, by shard and uid.

    Returns:
        `shard`, `uid`, and for each name a column `text.NAME`: of a source its first usable
        candidate, null where an image has none.
    """
    tables = project.workspace.tables
    found = project.usable_images(partition).select("shard", "uid").sort("shard", "uid")
    for name in names:
        if name in project.experiment.pool.columns:
            rows = tables.scan(POOL_COLUMNS, column=name, partition=partition)
            texts = rows.select("uid", "text").collect()
        else:
            texts = first_texts(tables, name, partition)
        named = texts.rename({"text": f"text.{name}"})
        found = found.join(named, on="uid", how="left", maintain_order="left")
    return found


def named_texts(rows: pl.DataFrame, names: Sequence[str]) -> list[dict[str, str]]:
    """The texts of each row by name, of rows as `texts_of_images` gives them."""
    named = rows.select(pl.col(f"text.{name}").alias(name) for name in names)
    return list(named.iter_rows(named=True))


def lacking(name: str) -> Caption:
    """What an image has for a caption that has no text of this source or column."""
    return Caption("", STATUS_EMPTY, reason=f"without_{name}")


def complete(
    texts: pl.DataFrame, names: Sequence[str]
) -> tuple[pl.DataFrame, list[list[Caption] | None]]:
    """The images that have all texts; and for every image why it lacks one, None where it does not.

    Args:
        texts: As `texts_of_images` gives them.
        names: Those that are needed, of which the first that is missing is the reason.
    """
    missing = pl.coalesce(
        *(pl.when(pl.col(f"text.{n}").is_null()).then(pl.lit(n)) for n in names),
        pl.lit(None, pl.String),
    )
    reasons = texts.select(missing.alias("missing"))["missing"]
    lost = [None if name is None else [lacking(name)] for name in reasons]
    return texts.filter(reasons.is_null()), lost


def in_place(
    lost: Sequence[list[Caption] | None], written: Sequence[list[Caption]]
) -> list[list[Caption]]:
    """The captions of every image: those written, in their order, between those that are lost."""
    rest = iter(written)
    return [next(rest) if one is None else one for one in lost]
