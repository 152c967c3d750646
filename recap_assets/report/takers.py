"""Which mixes take an image, by which rule and with which text: what a card says of it."""

from collections.abc import Collection

import polars as pl

from recap_assets.artefacts import CURATED_MIXES
from recap_assets.graph.stage import Project
from recap_assets.report.contents import Taken


def whole_mixes(project: Project) -> list[str]:
    """The mixes of the file that are of all of the pool, without those that stand for another."""
    experiment = project.experiment
    return [
        name
        for name, mix in experiment.mixes.items()
        if mix.within is None and name not in experiment.added_mixes
    ]


def takers_of(
    project: Project, uids: pl.Series, partitions: Collection[str]
) -> dict[bytes, tuple[Taken, ...]]:
    """For each image the pairs that mixes have of it, in the order of the file.

    Args:
        project: The experiment.
        uids: Of the images.
        partitions: Those that the images are in; no other is read.
    """
    names = whole_mixes(project)
    rows = (
        project.workspace.tables.scan(CURATED_MIXES)
        .filter(
            pl.col("partition").is_in(list(partitions))
            & pl.col("mix").is_in(names)
            & pl.col("uid").is_in(uids.implode())
        )
        .select("uid", "mix", "rule", "source")
        .unique()
        .sort(pl.col("mix").cast(pl.Enum(names)), "rule", "source")
        .collect()
    )
    found: dict[bytes, list[Taken]] = {}
    for uid, *taken in rows.iter_rows():
        found.setdefault(uid, []).append(Taken(*taken))
    return {uid: tuple(all_of_it) for uid, all_of_it in found.items()}
