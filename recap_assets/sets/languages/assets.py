"""The language of every text, once for each identifier and source that a set asks about."""

from collections.abc import Iterable
from functools import lru_cache

import polars as pl

from recap_assets.artefacts import TEXT_LANGUAGES, first_texts, preview_markdown
from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.protocols import LanguageIdentifier
from recap_assets.graph.by_row import by_row
from recap_assets.graph.content import StoredRows
from recap_assets.graph.kept_rows import ByRow, input_hashes
from recap_assets.graph.node import Node, Rows, Step
from recap_assets.graph.project import Project
from recap_assets.graph.texts import first_texts_read
from recap_assets.sets.languages.kind import IdentifierKind
from recap_assets.specs.base import deciding, fingerprint_of
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.kinds import fitting
from recap_assets.storage.folder_content import UNREADABLE

VERSION = 1
STAGE = "sets"
SECONDS = 0.5
TEXTS_AT_ONCE = 10_000
LANGUAGES_SHOWN = 12


def nodes(project: Project, asked: Iterable[tuple[str, str]]) -> list[Node]:
    """The languages that are asked for: by which identifier, of the texts of which source."""
    return [_node(project, name, source) for name, source in asked]


def identifier_of(experiment: Experiment, name: str) -> IdentifierKind:
    """The identifier of a name, declared or always there."""
    return fitting(f"languages.{name}", experiment.identifiers[name], IdentifierKind)


def _node(project: Project, name: str, source: str) -> Node:
    identifier = identifier_of(project.experiment, name)
    return Node(
        key=TEXT_LANGUAGES.key(name, source),
        stage=STAGE,
        dimension="pool",
        dependencies=(first_texts_read(source),),
        implementation=VERSION,
        decides=deciding(identifier=identifier, source=source),
        compute=lambda step: identify_partition(project, name, source, step),
        description=f"The language of every text of {source}, by {name}.",
        outside=lambda _partition: _outside_version(identifier),
        content=StoredRows(
            project.workspace.tables, TEXT_LANGUAGES, {"identifier": name, "source": source}
        ),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
        is_worth_keeping=True,
        rows=ByRow(TEXT_LANGUAGES, names=("source",)),
    )


def _outside_version(identifier: IdentifierKind) -> str:
    try:
        return fingerprint_of(identifier.deciding_version())
    except ModelFileError:
        return UNREADABLE


def identify_partition(project: Project, name: str, source: str, step: Step) -> Rows:
    """Identify the languages of one pool partition."""
    spec = identifier_of(project.experiment, name)
    version = spec.version()
    texts = first_texts(project.workspace.tables, source, step.partition).sort("uid")

    def identified(step: Step, texts: pl.DataFrame) -> pl.DataFrame:
        # Kinds are frozen, so hashable.
        identifier = _opened(spec, version)  # pyright: ignore[reportArgumentType]
        found: list[tuple[str, float]] = []
        for part in texts.iter_slices(TEXTS_AT_ONCE):
            found += identifier.identify(part["text"].to_list())
            step.progress(len(found) / texts.height)
        schema = {"language": pl.String, "probability": pl.Float32}
        languages = pl.DataFrame(found, schema=schema, orient="row")
        return pl.concat([texts.select("uid"), languages], how="horizontal")

    wanted = texts.with_columns(input_hashes(texts, "text"))
    rows = by_row(step, TEXT_LANGUAGES, wanted, identified)
    counts = (
        rows["language"].value_counts(sort=True).sort("count", "language", descending=[True, False])
    )
    return Rows(
        rows,
        facts={"identified_by": version},
        markdown={"languages": preview_markdown(counts, rows=LANGUAGES_SHOWN)},
        machine=spec.given_by,
    )


@lru_cache(maxsize=2)
def _opened(spec: IdentifierKind, _version: str) -> LanguageIdentifier:
    # The last two stay in memory; by the version, since a file may have been replaced.
    return spec.open()
