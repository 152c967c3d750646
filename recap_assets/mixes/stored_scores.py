"""The scores that mixes compare, as tables hold them: a partition, or the whole pool in parts."""

from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from recap_assets.artefacts import CLIP_SCORES, IMAGE_SCORES, SCORE_HISTOGRAMS
from recap_assets.artefacts.histograms import Scores
from recap_assets.graph.project import Project
from recap_assets.mixes.score_view import ScoreView
from recap_assets.specs.columns import Reads, of_source, scorer_and_name

_KEYS = ("uid", "shard", "candidate", "score")


def scores_in(
    project: Project, scorer: str, source: str, partition: str | Sequence[str]
) -> pl.DataFrame:
    """Scores of one source: `uid`, `shard`, `candidate`, `score`; of several also `partition`."""
    rows = project.workspace.tables.scan(CLIP_SCORES, scorer=scorer, source=source)
    return _of(rows, partition, _KEYS)


def further_scores(
    project: Project, found: Reads, partition: str | Sequence[str]
) -> Iterator[tuple[str, pl.DataFrame]]:
    """The scores that mixes read beside those of their sources, by their column."""
    for scorer, source in found.scores:
        yield of_source(scorer, source), scores_in(project, scorer, source, partition)
    for name in found.images:
        rows = project.workspace.tables.scan(IMAGE_SCORES, scorer=name)
        yield name, _of(rows, partition, ("uid", "shard", "score"))


def _of(rows: pl.LazyFrame, partition: str | Sequence[str], columns: Sequence[str]) -> pl.DataFrame:
    """Columns of one partition, or of several, which are then named."""
    if isinstance(partition, str):
        return rows.filter(pl.col("partition") == partition).select(columns).collect()
    among = pl.col("partition").is_in(list(partition))
    return rows.filter(among).select("partition", *columns).collect()


def score_view(project: Project, scorer: str, column: str) -> ScoreView:
    """The pool's scores in a column, read partition by partition.

    Args:
        project: The experiment.
        scorer: That of the mix, which is meant where the column names none.
        column: Any score column but `used` and `SCORER.used`.
    """
    own, name = scorer_and_name(column)
    if own is None and name not in project.experiment.source_names:
        return _of_images(project, name)
    return _of_source(project, own or scorer, name)


def _of_source(project: Project, scorer: str, source: str) -> ScoreView:
    tables, partitions = project.workspace.tables, list(project.partitions)
    rows = tables.scan(CLIP_SCORES, scorer=scorer, source=source)
    stored = tables.scan(SCORE_HISTOGRAMS, scorer=scorer, source=source)
    of_pool = stored.filter(pl.col("partition").is_in(partitions))
    counted = of_pool.group_by("bin").agg(pl.col("n").sum()).collect(engine="streaming")

    def read(low: float) -> Iterator[pl.DataFrame]:
        wanted = pl.col("score").is_null() | (pl.col("score") >= low)
        for partition in partitions:
            part = rows.filter(pl.col("partition") == partition)
            yield part.filter(wanted).select("uid", "candidate", "score").collect()

    def near(low: float, high: float) -> Iterable[Scores] | None:
        """Where no image has several candidates, its one score is its best, whoever it is."""
        now = rows.filter(pl.col("partition").is_in(partitions))
        # Streamed: of a billion rows, one column is gigabytes.
        if now.select(pl.col("candidate").max()).collect(engine="streaming").item() != 0:
            return None
        wanted = now.filter(pl.col("score").is_between(low, high)).select("score")
        return [wanted.collect(engine="streaming")["score"].to_numpy()]

    return ScoreView(read, counted, near)


def _of_images(project: Project, name: str) -> ScoreView:
    tables, partitions = project.workspace.tables, list(project.partitions)

    def read(low: float) -> Iterator[pl.DataFrame]:
        for partition in partitions:
            rows = tables.scan(IMAGE_SCORES, scorer=name, partition=partition)
            yield rows.filter(pl.col("score") >= low).select("uid", "score").collect()

    def near(low: float, high: float) -> Iterator[Scores]:
        for partition in partitions:
            rows = tables.scan(IMAGE_SCORES, scorer=name, partition=partition)
            found = rows.filter(pl.col("score").is_between(low, high)).select("score").collect()
            yield found["score"].to_numpy()

    return ScoreView(read, near=near)
