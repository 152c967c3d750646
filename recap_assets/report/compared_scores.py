"""The scores of raw text against those of synthetic captions, image by image."""

import polars as pl

from recap_assets.artefacts import CLIP_SCORES, uid_hashes
from recap_assets.graph.stage import Project
from recap_assets.plots.scores import AGAINST_RAW
from recap_assets.report.examples import PARTITIONS
from recap_assets.report.swept import written_sources
from recap_assets.specs.sources import RAW

MOST_POINTS = 1_000
"""Of the chart: each is some 130 bytes of the page."""

MOST_SOURCES = 6
"""With colours of their own."""


def against_raw(project: Project) -> pl.DataFrame:
    """AGAINST_RAW of images drawn by their uid, of the first PARTITIONS partitions."""
    partitions = list(project.partitions)[:PARTITIONS]
    synthetic = list(written_sources(project.experiment)[1:])[:MOST_SOURCES]
    scorer = next(iter(project.experiment.scorers))
    rows = (
        project.workspace.tables.scan(CLIP_SCORES, scorer=scorer)
        .filter(pl.col("partition").is_in(partitions) & pl.col("source").is_in([RAW, *synthetic]))
        .group_by("uid", "source")
        .agg(pl.col("score").max().cast(pl.Float64))
        .drop_nulls("score")
        .collect()
    )
    raw = rows.filter(source=RAW).select("uid", raw="score")
    both = rows.filter(pl.col("source") != RAW).join(raw, on="uid")
    drawn = pl.Series(uid_hashes(0, "report scores", both["uid"]), dtype=pl.UInt64)
    chosen = both.with_columns(draw=drawn).sort("draw", "uid", "source").head(MOST_POINTS)
    return chosen.select(list(AGAINST_RAW))
