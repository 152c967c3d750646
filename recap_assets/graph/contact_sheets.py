"""Some of a partition's images on one small picture, for whoever looks at its materialization.

The picture is a part of the event itself, so that any UI of Dagster shows it, and shows what the
partition was. So it is small, and a large pool has it for its first partitions only.
"""

from contextlib import closing

import numpy as np
import polars as pl

from recap_assets.artefacts.draws import UInt64s, uid_hashes
from recap_assets.artefacts.previews import image_markdown
from recap_assets.graph.project import Project
from recap_assets.shards.reading import ImageReader
from recap_assets.shards.thumbnails import MOST_ON_SHEET, SHEET_SIDE, contact_sheet

MOST_PARTITIONS = 128
"""Partitions that have one: of an asset, at most 1.8 MB of the event log."""

IMAGES = "images"
"""The name under which the materialization has it."""


def sheet_of(project: Project, partition: str, rows: pl.DataFrame) -> dict[str, str]:
    """The picture in markdown by its name; empty where no image can be read.

    Args:
        project: The experiment.
        partition: The pool partition's key.
        rows: Columns uid, shard, key, offset, size, sha256 of what the images are drawn from.
    """
    if int(partition) >= MOST_PARTITIONS or rows.is_empty():
        return {}
    draw = pl.Series(_draws(rows["uid"]), dtype=pl.UInt64)
    drawn = rows.with_columns(draw=draw).sort("draw", "shard", "key").head(MOST_ON_SHEET)
    with closing(ImageReader(project.shards, project.pool, SHEET_SIDE)) as reader:
        images = [image for image in reader.read(drawn) if image is not None]
    sheet = contact_sheet(images)
    return {} if sheet is None else {IMAGES: image_markdown(sheet, f"{len(images)} of its images")}


def sheet_of_uids(project: Project, partition: str, uids: pl.Series) -> dict[str, str]:
    """`sheet_of` those usable images of the partition that have one of these uids."""
    if int(partition) >= MOST_PARTITIONS or uids.is_empty():
        return {}
    # Those that it would draw: reading where all the others are costs as much as selecting a mix.
    draws = _draws(uids)
    ordered = np.sort(draws)
    firsts = ordered[np.flatnonzero(np.diff(ordered)) + 1][: MOST_ON_SHEET - 1]
    drawn = uids.filter(draws <= firsts.max(initial=ordered[0])).unique()
    return sheet_of(project, partition, project.usable_images(partition, drawn))


def _draws(uids: pl.Series) -> UInt64s:
    return uid_hashes(0, "contact sheet", uids)
