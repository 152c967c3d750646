"""The asset of a source whose texts the images of a group share.

A group's images may be in any partition. Of the whole pool the column is read, and texts of the
partitions alone in which a group of this one has images: few, where a pool keeps them together.
"""

import polars as pl

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS, texts_of
from recap_assets.artefacts.facets import SAMPLES
from recap_assets.artefacts.pool import POOL_COLUMNS, RAW_POOL
from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.captions.derived import Derived, derived_node, found_rows
from recap_assets.captions.kinds.shared.sharing import shared_texts
from recap_assets.captions.kinds.shared.spec import SharedSpec
from recap_assets.captions.rows import caption_rows
from recap_assets.captions.texts import lacking
from recap_assets.engines.protocols import Caption
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.project import Project
from recap_assets.graph.texts import texts_read

VERSION = 1
SECONDS = 0.5

_TEXTS = {name: SYNTHETIC_CAPTIONS.schema[name] for name in ("uid", "candidate", "text")}


def node_of(project: Project, name: str, spec: SharedSpec) -> Node:
    """The asset of a shared source."""
    scored = [] if spec.scorer is None else [CLIP_SCORES.key(spec.scorer, spec.source)]
    texts = texts_read(spec.source, "all")
    reads = [Dependency(key, "all") for key in (POOL_COLUMNS.key(spec.group), *scored)]
    is_raw = texts.asset == RAW_POOL.key()
    pool = [] if is_raw else [Dependency(RAW_POOL.key(), "same", (SAMPLES,))]
    derived = Derived(
        (*pool, texts, *reads),
        VERSION,
        f"For every usable image, texts of {spec.source} for the images of its group, which "
        f"{spec.group} names.",
        lambda step: share_partition(project, spec, step),
        stage="scores" if scored else "captions",
        seconds=SECONDS,
    )
    return derived_node(project, name, spec, derived)


def share_partition(project: Project, spec: SharedSpec, step: Step) -> Rows:
    """The texts of the groups of one pool partition's images."""
    images = project.usable_images(step.partition).select("shard", "uid").sort("shard", "uid")
    members = _members(project, spec, images["uid"])
    texts = _texts(project, spec, members)
    found = shared_texts(images["uid"], members, texts, spec.keep, by_score=bool(spec.scorer))
    captions = [[Caption(text) for text in one] or [lacking(spec.source)] for one in found]
    sizes = members.group_by("group").len()["len"]
    return found_rows(
        caption_rows(images, captions, None),
        {
            "groups": int((sizes > 1).sum()),
            "images_in_groups": int(sizes.filter(sizes > 1).sum()),
            "texts_per_image": round(sum(map(len, found)) / max(len(found), 1), 2),
        },
    )


def _members(project: Project, spec: SharedSpec, uids: pl.Series) -> pl.DataFrame:
    """All images of the groups of these: group, uid, partition; one without is a group itself."""
    rows = project.workspace.tables.scan(POOL_COLUMNS, column=spec.group)
    known = rows.filter(pl.col("partition").is_in(list(project.partitions)))
    of_group = known.select("uid", "partition", group="text").unique("uid", keep="any")
    here = of_group.filter(pl.col("uid").is_in(uids.implode()))
    named = of_group.join(here.select("group").unique(), on="group", how="semi")
    fits = pl.len().over("group") <= spec.largest
    found = named.filter(fits).with_columns(group="g" + pl.col("group")).collect()
    alone = here.collect().filter(~pl.col("uid").is_in(found["uid"].implode()))
    return pl.concat([found, alone.with_columns(group=pl.col("uid").bin.encode("hex"))])


def _texts(project: Project, spec: SharedSpec, members: pl.DataFrame) -> pl.DataFrame:
    """The usable texts of these images: uid, candidate, text, score."""
    tables = project.workspace.tables
    parts = [pl.DataFrame(schema={**_TEXTS, "score": pl.Float32})]
    for (partition,), images in members.group_by("partition", maintain_order=True):
        rows = texts_of(tables, spec.source, str(partition)).drop_nulls("text")
        rows = rows.join(images, on="uid", how="semi").select(list(_TEXTS))
        parts.append(_scored(project, spec, str(partition), rows))
    return pl.concat(parts)


def _scored(project: Project, spec: SharedSpec, partition: str, rows: pl.DataFrame) -> pl.DataFrame:
    if spec.scorer is None:
        return rows.with_columns(score=pl.lit(None, pl.Float32))
    scores = project.workspace.tables.read(
        CLIP_SCORES, scorer=spec.scorer, source=spec.source, partition=partition
    )
    return rows.join(
        scores.select("uid", "candidate", "score"), on=["uid", "candidate"], how="left"
    )
