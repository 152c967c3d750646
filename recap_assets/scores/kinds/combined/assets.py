"""Several scores made into one: the scales of a pool, and the scores."""

from collections.abc import Iterator
from functools import reduce

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.captions import texts_of
from recap_assets.artefacts.scores import (
    BEYOND,
    CLIP_SCORES,
    IMAGE_SCORES,
    SCORE_SCALES,
    best_scores,
)
from recap_assets.graph.content import StoredRows
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.project import Project
from recap_assets.graph.texts import texts_read
from recap_assets.scores.kinds.combined.scaling import Float64s, facts_of, scaled
from recap_assets.scores.kinds.combined.spec import CombinedPart, CombinedSpec
from recap_assets.scores.node import STAGE, Scored, node_of
from recap_assets.specs.base import deciding

VERSION = 1
SECONDS = 1.0

_PAIR = ["shard", "uid", "candidate"]
_BY = {
    "sum": np.add,
    "product": np.multiply,
    "min": np.minimum,
    "max": np.maximum,
}


def nodes_of(project: Project, name: str, source: str, spec: CombinedSpec) -> list[Node]:
    """The scores of a source, and the scales where a part has one that needs the pool."""
    over = spec.over or source
    scales = [_scales_node(project, name, over, spec)] if _has_scales(spec) else []
    reads = [_asset_of(part, source) for part in spec.of]
    return [
        *scales,
        node_of(
            project,
            name,
            source,
            lambda step: combine_partition(project, name, source, spec, step),
            version=VERSION,
            reads=(
                texts_read(source),
                *(Dependency(key, "same") for key in reads),
                *(Dependency(node.key, "all") for node in scales),
            ),
        ),
    ]


def _has_scales(spec: CombinedSpec) -> bool:
    return any(part.scale != "raw" for part in spec.of)


def _asset_of(part: CombinedPart, source: str) -> str:
    if part.scorer is not None:
        return CLIP_SCORES.key(part.scorer, source)
    return IMAGE_SCORES.key(str(part.image_scorer))


def _scales_node(project: Project, name: str, over: str, spec: CombinedSpec) -> Node:
    reads = dict.fromkeys(_asset_of(part, over) for part in spec.of if part.scale != "raw")
    return Node(
        key=SCORE_SCALES.key(name, over),
        stage=STAGE,
        dimension="none",
        dependencies=tuple(Dependency(key, "all") for key in reads),
        implementation=VERSION,
        decides=deciding(scales=[part.decides("weight") for part in spec.of], over=over),
        compute=lambda step: measure_pool(project, over, spec, step),
        description=f"What {name} scales scores by: facts of those of {over} over the whole pool.",
        content=StoredRows(
            project.workspace.tables, SCORE_SCALES, {"scorer": name, "source": over}
        ),
        seconds=SECONDS,
        kinds=("numpy", "deltalake"),
    )


def measure_pool(project: Project, over: str, spec: CombinedSpec, step: Step) -> Rows:
    """Facts of each part's scores over the pool, read partition by partition."""
    found: list[pl.DataFrame] = []
    for number, part in enumerate(spec.of):
        facts = facts_of(part.scale, _of_pool(project, part, over) if part.scale != "raw" else ())
        found.append(facts.select(pl.lit(number, pl.Int16).alias("part"), pl.all()))
        step.progress((number + 1) / len(spec.of))
    return Rows(pl.concat(found))


def _of_pool(project: Project, part: CombinedPart, over: str) -> Iterator[NDArray[np.float32]]:
    """The best candidates' scores of each partition, in the order of the partitions."""
    for partition in project.partitions:
        rows = _scores_of(project, part, over, partition)
        yield best_scores(rows).drop_nulls().to_numpy()


def _scores_of(project: Project, part: CombinedPart, source: str, partition: str) -> pl.DataFrame:
    """The scores of a part: uid, score, and candidate where they are of texts."""
    tables = project.workspace.tables
    if part.scorer is not None:
        rows = tables.read(CLIP_SCORES, scorer=part.scorer, source=source, partition=partition)
        return rows.select("uid", "candidate", "score")
    rows = tables.read(IMAGE_SCORES, scorer=str(part.image_scorer), partition=partition)
    return rows.select("uid", "score")


def combine_partition(
    project: Project, name: str, source: str, spec: CombinedSpec, step: Step
) -> Scored:
    """The combined score of every text of one source in one pool partition."""
    tables = project.workspace.tables
    scales = tables.read(SCORE_SCALES, scorer=name, source=spec.over or source)
    texts = texts_of(tables, source, step.partition)
    rows = texts.select(_PAIR)
    for number, part in enumerate(spec.of):
        found = _scores_of(project, part, source, step.partition)
        on = ["uid", "candidate"] if part.scorer is not None else ["uid"]
        named = found.rename({"score": f"part{number}"})
        rows = rows.join(named, on=on, how="left", maintain_order="left")
    values = combined(spec, rows, scales)
    lost = int(np.isnan(values[texts["text"].is_not_null().to_numpy()]).sum())
    scores = pl.Series("score", values, dtype=pl.Float32).fill_nan(None)
    return Scored(rows.select(_PAIR).with_columns(scores), texts, {"not_scored": lost})


def combined(spec: CombinedSpec, rows: pl.DataFrame, scales: pl.DataFrame) -> NDArray[np.float32]:
    """One number for each row, NaN where one of the scores is missing or it has no float32.

    Args:
        spec: How.
        rows: Columns part0, part1 and so on.
        scales: Of the pool: part, what, bin, value.
    """
    parts = [_part(spec, number, rows, scales) for number in range(len(spec.of))]
    with np.errstate(over="ignore", invalid="ignore"):
        values: Float64s = reduce(_BY[spec.how], parts)
        narrow = values.astype(np.float32)
    return np.where(np.abs(narrow) < BEYOND, narrow, np.float32(np.nan))


def _part(spec: CombinedSpec, number: int, rows: pl.DataFrame, scales: pl.DataFrame) -> Float64s:
    part = spec.of[number]
    scores = rows[f"part{number}"].cast(pl.Float32).fill_null(np.nan).to_numpy()
    facts = scales.filter(pl.col("part") == number).sort("bin")
    return part.weight * scaled(part.scale, scores, facts)
