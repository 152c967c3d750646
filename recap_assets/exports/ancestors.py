"""What a mix was made of, by the receipts."""

from collections.abc import Mapping

import polars as pl

from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.exports.facts import Ancestor
from recap_assets.graph.project import Project
from recap_assets.lineage.origin import Origin
from recap_assets.lineage.pins import receipts_of
from recap_assets.lineage.rows import LineageError
from recap_assets.lineage.walk import lineage_of


def ancestors_of(project: Project, mix: str, versions: Mapping[str, str]) -> tuple[Ancestor, ...]:
    """All that the pairs of a mix were made of, what was read before what read it.

    Times, machines and commits are left out: equal content gives equal bytes wherever and whenever
    it is exported.

    Args:
        project: The experiment and its workspace.
        mix: The mix.
        versions: Data version of the exported pairs, by pool partition.

    Returns:
        None of them where the receipts are of other pairs, or where there are no receipts.
    """
    key = CURATED_MIXES.key(mix)
    if project.workspace.tables.version(LINEAGE) is None:
        return ()
    try:
        origin = lineage_of(receipts_of(project.workspace, key), key, members=list(versions))
    except LineageError:
        return ()
    known = dict(origin.root.rows.select("partition", "data_version").iter_rows())
    return _listed(origin) if known == dict(versions) else ()


def _listed(origin: Origin) -> tuple[Ancestor, ...]:
    return tuple(
        Ancestor(
            ancestor.asset,
            ancestor.version,
            _distinct(ancestor.rows, "code_version"),
            tuple(sorted(name for name in ancestor.reads if name in origin.ancestors)),
        )
        for ancestor in reversed(list(origin.ancestors.values()))
    )


def _distinct(rows: pl.DataFrame, column: str) -> tuple[str, ...]:
    return tuple(rows[column].unique().sort())
