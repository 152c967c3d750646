"""All tables: what docs/tables.md is generated from, and those of other packages' kinds."""

from collections.abc import Iterator, Mapping

from recap_assets.artefacts.captions import (
    CAPTIONS_LEFT_OUT,
    IMPORT_REPORTS,
    IMPORTED_CAPTIONS,
    ONLY_CUTOFFS,
    SYNTHETIC_CAPTIONS,
)
from recap_assets.artefacts.costs import COSTS
from recap_assets.artefacts.diversity import DIVERSITY_STATISTICS, DIVERSITY_SUMMARY
from recap_assets.artefacts.evaluation import CAPTION_METRICS, EVALUATION_IMAGES, EVALUATION_RESULTS
from recap_assets.artefacts.judgements import JUDGEMENTS
from recap_assets.artefacts.lineage import EXPERIMENTS, LINEAGE
from recap_assets.artefacts.mixes import CURATED_MIXES, THRESHOLDS
from recap_assets.artefacts.pool import DOWNLOAD_FAILURES, POOL_COLUMNS, RAW_POOL
from recap_assets.artefacts.report import CLAIMS, LEADERBOARD
from recap_assets.artefacts.scores import (
    CLIP_SCORES,
    IMAGE_EMBEDDINGS,
    IMAGE_SCORES,
    SCORE_HISTOGRAMS,
    SCORE_SCALES,
    TARGET_EMBEDDINGS,
)
from recap_assets.artefacts.searches import SEARCH_TRIALS
from recap_assets.artefacts.sets import (
    CLUSTER_CENTROIDS,
    CLUSTER_CUTS,
    DUPLICATES,
    ENTRY_COUNTS,
    ENTRY_PROBABILITIES,
    IMAGE_CLUSTERS,
    TARGET_CLUSTERS,
    TEXT_COUNTS,
    TEXT_FREQUENCIES,
    TEXT_LANGUAGES,
    TEXT_SIGNATURES,
    UID_SETS,
)
from recap_assets.artefacts.table import Table
from recap_assets.artefacts.training import TRAINING_CURVES, TRAINING_PAIRS
from recap_assets.specs.kinds import FAMILIES, Kind, KindError, kinds_of

TABLES = {
    table.name: table
    for table in (
        RAW_POOL,
        POOL_COLUMNS,
        DOWNLOAD_FAILURES,
        ONLY_CUTOFFS,
        CAPTIONS_LEFT_OUT,
        SYNTHETIC_CAPTIONS,
        IMPORTED_CAPTIONS,
        IMPORT_REPORTS,
        IMAGE_EMBEDDINGS,
        CLIP_SCORES,
        IMAGE_SCORES,
        SCORE_HISTOGRAMS,
        SCORE_SCALES,
        TARGET_EMBEDDINGS,
        TEXT_LANGUAGES,
        CLUSTER_CENTROIDS,
        TARGET_CLUSTERS,
        IMAGE_CLUSTERS,
        CLUSTER_CUTS,
        TEXT_COUNTS,
        TEXT_FREQUENCIES,
        ENTRY_COUNTS,
        ENTRY_PROBABILITIES,
        TEXT_SIGNATURES,
        DUPLICATES,
        UID_SETS,
        DIVERSITY_STATISTICS,
        DIVERSITY_SUMMARY,
        THRESHOLDS,
        CURATED_MIXES,
        TRAINING_PAIRS,
        TRAINING_CURVES,
        EVALUATION_IMAGES,
        EVALUATION_RESULTS,
        CAPTION_METRICS,
        SEARCH_TRIALS,
        LEADERBOARD,
        CLAIMS,
        JUDGEMENTS,
        LINEAGE,
        COSTS,
        EXPERIMENTS,
    )
}


def all_tables() -> Mapping[str, Table]:
    """Our tables, and those that installed kinds of other packages say that they fill.

    Raises:
        KindError: A kind names a table as one of ours is named, or one of another package.
    """
    found = dict(TABLES)
    for kind, table in _of_others():
        if found.setdefault(table.name, table) != table:
            msg = (
                f"{kind.family}: {kind.name!r} of {kind.distribution} {kind.version} has a table "
                f"{table.name!r}, which there is already. Its author must name it otherwise"
            )
            raise KindError(msg)
    return found


def _of_others() -> Iterator[tuple[Kind, Table]]:
    for family in FAMILIES:
        for kind in kinds_of(family).values():
            tables: tuple[Table, ...] = () if kind.is_ours else getattr(kind.spec, "tables", ())
            yield from ((kind, table) for table in tables)


def _written(table: Table) -> str:
    if table.append_only:
        return "Append-only."
    slices = ", ".join(f"`{name}`" for name in table.slices)
    return f"Slices: {slices or 'none: it is replaced as a whole'}."


def as_rows() -> list[dict[str, object]]:
    """All tables with their columns, for programs."""
    return [
        {
            "table": table.name,
            "meaning": table.meaning,
            "columns": [
                {
                    "name": name,
                    "type": str(table.schema[name]),
                    "nullable": column.nullable,
                    "meaning": column.meaning,
                }
                for name, column in table.columns.items()
            ],
        }
        for table in TABLES.values()
    ]


def described() -> str:
    """All tables in markdown: docs/tables.md is this text."""
    parts = [
        "# The tables\n\nMade by `recap tables`; a test holds it to the code. Every table is a "
        "Delta table under `data/<experiment>/tables/`. `pl.read_delta(path)` and DuckDB's "
        "`delta_scan('path')` open it by its path. Where a folder's name has a space or a letter "
        "beyond ASCII, polars looks for the files under another name: "
        "`pl.read_delta(path, use_pyarrow=True)` finds them.\n"
    ]
    for table in TABLES.values():
        parts.append(f"## {table.name}\n\n{table.meaning} {_written(table)}\n")
        parts.append("| column | type | null | meaning |\n| --- | --- | --- | --- |")
        for name, column in table.columns.items():
            null = "yes" if column.nullable else ""
            dtype = table.schema[name]
            parts.append(f"| `{name}` | {dtype} | {null} | {column.meaning} |")
        parts.append("")
    return "\n".join(parts)
