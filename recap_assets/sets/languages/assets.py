"""The language of every text, once for each identifier and source that a set asks about."""

import polars as pl

from recap_assets.artefacts.captions import first_texts, texts_key
from recap_assets.artefacts.previews import preview_markdown
from recap_assets.artefacts.sets import TEXT_LANGUAGES
from recap_assets.engines.errors import ModelFileError
from recap_assets.graph.content import StoredRows
from recap_assets.graph.loaded import loaded_identifier
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.project import Setting
from recap_assets.sets.languages.versions import deciding_version, identifier_version
from recap_assets.specs.base import deciding, fingerprint_of
from recap_assets.specs.sets import Identifier, text_rule
from recap_assets.storage.folder_content import UNREADABLE

VERSION = 1
STAGE = "sets"
SECONDS = 0.5
TEXTS_AT_ONCE = 10_000
LANGUAGES_SHOWN = 12


def nodes(setting: Setting) -> list[Node]:
    """The languages that the sets of the experiment ask for."""
    rules = [text_rule(spec) for spec in setting.experiment.sets.values()]
    asked = dict.fromkeys((r.identifier, r.source) for r in rules if r and r.language)
    return [_node(setting, identifier, source) for identifier, source in asked]


def _node(setting: Setting, name: str, source: str) -> Node:
    identifier = setting.experiment.identifiers[name]
    return Node(
        key=TEXT_LANGUAGES.key(name, source),
        stage=STAGE,
        dimension="pool",
        dependencies=(Dependency(texts_key(source), "same"),),
        implementation=VERSION,
        decides=deciding(identifier=identifier, source=source),
        compute=lambda step: identify_partition(setting, name, source, step),
        description=f"The language of every text of {source}, by {name}.",
        outside=lambda _partition: _outside_version(identifier),
        content=StoredRows(
            setting.workspace.tables, TEXT_LANGUAGES, {"identifier": name, "source": source}
        ),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
    )


def _outside_version(identifier: Identifier) -> str:
    try:
        return fingerprint_of(deciding_version(identifier))
    except ModelFileError:
        return UNREADABLE


def identify_partition(setting: Setting, name: str, source: str, step: Step) -> Rows:
    """Tell the languages of one pool partition."""
    spec = setting.experiment.identifiers[name]
    version = identifier_version(spec)
    identifier = loaded_identifier(spec, version)
    texts = first_texts(setting.workspace.tables, source, step.partition).sort("uid")
    found: list[tuple[str, float]] = []
    for part in texts.iter_slices(TEXTS_AT_ONCE):
        found += identifier.identify(part["text"].to_list())
        step.progress(len(found) / texts.height)
    told = pl.DataFrame(
        found, schema={"language": pl.String, "probability": pl.Float32}, orient="row"
    )
    rows = pl.concat([texts.select("uid"), told], how="horizontal")
    counts = (
        rows["language"].value_counts(sort=True).sort("count", "language", descending=[True, False])
    )
    return Rows(
        rows,
        facts={"identified_by": version},
        markdown={"languages": preview_markdown(counts, rows=LANGUAGES_SHOWN)},
    )
