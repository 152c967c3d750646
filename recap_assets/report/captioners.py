"""The captioners side by side: measures of their captions, and what is trained on these alone.

The paper ranks captioners by reference metrics and by the CLIP models that their captions train
(section 4): the two orders are not the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from recap_assets.artefacts import CAPTION_METRICS, DIVERSITY_SUMMARY
from recap_assets.evaluation.captions.measured import (
    CIDER,
    measured_sources,
    mixes_of_one_source,
)
from recap_assets.graph.stage import Project
from recap_assets.mixes.left_out import stored_parts
from recap_assets.report.claims import score_means
from recap_assets.report.swept import written_sources

CAPTIONERS = pl.Schema(
    {"source": pl.String, "mix": pl.String, "measure": pl.String, "value": pl.Float64}
)
"""A measure of a source's captions; the mix that is trained on these alone, or null."""

METRICS = (CIDER, "BLEU-4", "ROUGE-L", "CLIP-S", "RefCLIP-S", "self_retrieval_recall@1")
"""Those of CAPTION_METRICS that are shown, in their order."""

PART = "share of images captioned"
TRIGRAMS = "unique trigrams"
_COUNTS = {"unique_trigrams": TRIGRAMS, "unique_nouns": "unique nouns"}


@dataclass(frozen=True)
class Result:
    """Mean and deviation over seeds of a mix on a task."""

    mean: float
    deviation: float | None


@dataclass(frozen=True)
class CaptionerRow:
    """A source as the table shows it.

    Attributes:
        values: A measure each, None where it was not measured.
        results: A task each, None where nothing is trained on the source's captions alone.
    """

    source: str
    values: tuple[float | None, ...]
    results: tuple[Result | None, ...]


def captioners(project: Project) -> pl.DataFrame:
    """CAPTIONERS of the sources as they are written; those that a sweep adds have curves."""
    order = ["raw", *written_sources(project.experiment)[1:]]
    alone = mixes_of_one_source(project)
    found = [*_parts(project), *_metrics(project), *_means(project), *_diversity(project)]
    measured = pl.concat(found).filter(pl.col("source").is_in(order))
    return measured.select(
        "source",
        pl.col("source").replace_strict(alone, default=None, return_dtype=pl.String).alias("mix"),
        "measure",
        "value",
    ).sort(pl.col("source").cast(pl.Enum(order)), maintain_order=True)


def _parts(project: Project) -> Iterator[pl.DataFrame]:
    """The share of the pool that each source captions, where one of them captions a part."""
    parts = {one.source: one for one in stored_parts(project)}
    if all(one.n_left_out == 0 for one in parts.values()):
        return
    shares = {
        source: 1 - parts[source].n_left_out / parts[source].n_images if source in parts else 1.0
        for source in project.experiment.source_names
        if source not in parts or parts[source].n_images
    }
    yield pl.DataFrame(
        {"source": list(shares), "measure": PART, "value": list(shares.values())},
        schema={name: CAPTIONERS[name] for name in ("source", "measure", "value")},
    )


def _metrics(project: Project) -> Iterator[pl.DataFrame]:
    """The caption metrics on the first set whose captions are references."""
    spec = project.experiment.evaluation.captions
    if spec is None:
        return
    rows = project.workspace.tables.read(CAPTION_METRICS).filter(
        (pl.col("task") == spec.sets[0])
        & pl.col("metric").is_in(METRICS)
        & pl.col("source").is_in(measured_sources(project))
    )
    order = pl.col("metric").cast(pl.Enum(METRICS))
    yield rows.sort(order).select("source", measure="metric", value="value")


def _means(project: Project) -> Iterator[pl.DataFrame]:
    for scorer in project.experiment.scorers:
        rows = score_means(project, scorer)
        yield rows.select("source", measure=pl.lit(f"mean {scorer}"), value="mean")


def _diversity(project: Project) -> Iterator[pl.DataFrame]:
    rows = project.workspace.tables.read(DIVERSITY_SUMMARY)
    for column, measure in _COUNTS.items():
        value = pl.col(column).cast(pl.Float64)
        yield rows.select("source", measure=pl.lit(measure), value=value)


def measures_of(rows: pl.DataFrame) -> list[str]:
    """The measures of CAPTIONERS: over what part they are, reference metrics, the others."""
    found: list[str] = rows["measure"].unique(maintain_order=True).to_list()
    return [
        *(one for one in (PART,) if one in found),
        *(one for one in METRICS if one in found),
        *(one for one in found if one not in (PART, *METRICS)),
    ]


def captioner_rows(
    rows: pl.DataFrame, board: pl.DataFrame, tasks: Sequence[str]
) -> Iterator[CaptionerRow]:
    """A row a source.

    Args:
        rows: CAPTIONERS.
        board: LEADERBOARD.
        tasks: Those whose results are shown.
    """
    cells = {
        (row["mix"], row["task"]): Result(row["mean"], row["deviation"])
        for row in board.iter_rows(named=True)
    }
    measures = measures_of(rows)
    for part in rows.partition_by("source", maintain_order=True):
        values = dict(part.select("measure", "value").iter_rows())
        mix = part["mix"].item(0)
        yield CaptionerRow(
            part["source"].item(0),
            tuple(values.get(measure) for measure in measures),
            tuple(cells.get((mix, task)) for task in tasks),
        )
