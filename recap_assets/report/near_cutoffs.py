"""Images just above and just below each cut-off: what a slightly different one would change."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from recap_assets.artefacts import CLIP_SCORES, IMAGE_SCORES, THRESHOLDS
from recap_assets.graph.stage import Project
from recap_assets.report.contents import NearImage, Strip, Strips
from recap_assets.report.examples import PARTITIONS, captions_of, images_of
from recap_assets.report.takers import whole_mixes
from recap_assets.shards.thumbnails import thumbnail
from recap_assets.specs.columns import USED, scorer_and_name
from recap_assets.specs.sources import RAW

MOST_STRIPS = 8
"""Cut-offs that are shown; how many more there are is said."""

ON_EACH_SIDE = 6
STORED_KINDS = ("absolute", "quantile", "size")
"""Of cut-offs in a column of scores, and not in what a mix takes."""

SIDE = 96
"""Pixels of an image, so that all of them are some 300 KB of the page."""


@dataclass(frozen=True)
class _Cut:
    """A cut-off of a stored column, as mixes share it."""

    scorer: str
    source: str
    value: float


def strips(project: Project) -> Strips:
    """A strip for each cut-off of a stored score column, those of the first mixes first.

    The images are of the first PARTITIONS partitions, so that a large pool is not read.
    """
    cuts = _cuts(project)
    shown = list(cuts.items())[:MOST_STRIPS]
    found = [_strip(project, cut, mixes) for cut, mixes in shown]
    return Strips(tuple(found), len(cuts) - len(shown))


def _cuts(project: Project) -> dict[_Cut, tuple[str, ...]]:
    """The mixes of each cut-off."""
    names = whole_mixes(project)
    rows = (
        project.workspace.tables.read(THRESHOLDS)
        .filter(
            pl.col("mix").is_in(names)
            & pl.col("kind").is_in(STORED_KINDS)
            & pl.col("value").is_not_null()
        )
        .sort(pl.col("mix").cast(pl.Enum(names)), "path")
    )
    found: dict[_Cut, dict[str, None]] = {}
    for mix, *cut in rows.select("mix", "scorer", "source", "value").iter_rows():
        if scorer_and_name(cut[1])[1] != USED:
            found.setdefault(_Cut(*cut), {})[mix] = None
    return {cut: tuple(mixes) for cut, mixes in found.items()}


def _strip(project: Project, cut: _Cut, mixes: tuple[str, ...]) -> Strip:
    rows = _scores(project, cut).drop_nulls("score")
    is_above = pl.col("score") >= cut.value
    above = rows.filter(is_above).sort("score", "uid").head(ON_EACH_SIDE)
    below = rows.filter(~is_above).sort("score", "uid", descending=[True, False])
    sides = (above, below.head(ON_EACH_SIDE))
    shown = {image.uid: image for image in _images(project, cut, pl.concat(sides))}
    kept, missed = (tuple(shown[uid] for uid in side["uid"] if uid in shown) for side in sides)
    return Strip(mixes, cut.source, cut.value, kept, missed)


def _scores(project: Project, cut: _Cut) -> pl.DataFrame:
    """`partition`, `uid` and the best `score` of each image in the column that was ranked."""
    tables, partitions = project.workspace.tables, list(project.partitions)[:PARTITIONS]
    own, name = scorer_and_name(cut.source)
    if own is None and name not in project.experiment.source_names:
        rows = tables.scan(IMAGE_SCORES, scorer=name)
    else:
        rows = tables.scan(CLIP_SCORES, scorer=own or cut.scorer, source=name)
    read = rows.filter(pl.col("partition").is_in(partitions))
    return read.group_by("partition", "uid").agg(pl.col("score").max()).collect()


def _images(project: Project, cut: _Cut, rows: pl.DataFrame) -> Iterator[NearImage]:
    name = scorer_and_name(cut.source)[1]
    source = name if name in project.experiment.source_names else RAW
    texts = captions_of(project, rows["uid"], partitions=set(rows["partition"]))
    text = dict(texts.filter(source=source).select("uid", "text").iter_rows())
    score = dict(rows.select("uid", "score").iter_rows())
    for partition, uid, image in images_of(project, rows):
        yield NearImage(partition, uid, thumbnail(image, SIDE), score[uid], text.get(uid, ""))
