"""DataComp's text_based."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from recap_assets.engines.protocols import Places
from recap_assets.engines.trying import readable
from recap_assets.graph.stage import Outside, Project
from recap_assets.sets.kind import Requirement, Samples, TextSet
from recap_assets.sets.kinds.text_based.wordnet import (
    WordNetError,
    files_hash,
    load_synsets,
    load_wordnet,
    names_a_synset,
    wordnet_files,
)
from recap_assets.specs.fields import Content
from recap_assets.specs.findings import Finding
from recap_assets.storage.folder_content import UNREADABLE


class TextBased(TextSet):
    """DataComp's text_based: English, with a word that names a class of ImageNet-21k."""

    kind: Literal["text_based"]
    wordnet: Annotated[str, Content()] = Field(
        description="Folder of WordNet 3.0's index.* and *.exc files: its `dict`, or NLTK's "
        "`corpora/wordnet`."
    )
    synsets: Annotated[str, Content()] = Field(
        description="File of synset ids, one a line (n02084071): DataComp's "
        "imagenet21k_wordnet_ids.txt."
    )
    endings: Literal["repeated", "once"] = Field(
        default="repeated",
        description="How often a word loses an ending until WordNet has it: `repeated` as NLTK "
        "3.8 did, which DataComp used; `once` as NLTK does since 3.9.",
    )

    def requirements(self) -> tuple[Requirement, ...]:
        """The language, and a word that names an entity."""
        entity = Requirement(
            "no_entity",
            pl.col("names_entity"),
            lambda _: "no word of it has its first synset among those asked for",
        )
        return (*self.of_text(), entity)

    def facts(self, known: pl.DataFrame, samples: Samples) -> pl.DataFrame:  # noqa: ARG002 - of all kinds
        """With `names_entity`: WordNet's answer."""
        wordnet, synsets = load_wordnet(self.wordnet), load_synsets(self.synsets)
        texts = known["text"].fill_null("").to_list()
        named = names_a_synset(texts, wordnet, synsets, self.endings)
        return known.with_columns(names_entity=pl.Series(named, dtype=pl.Boolean))

    def outside(self, project: Project) -> Outside | None:  # noqa: ARG002 - of all kinds
        """Version of the files that are read: of WordNet's folder only some are."""
        return lambda _partition: self._files_version()

    def _files_version(self) -> str:
        try:
            return files_hash([*wordnet_files(self.wordnet), Path(self.synsets)])
        except OSError:
            # Reported when a partition is computed.
            return UNREADABLE

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:  # noqa: ARG002 - of all kinds
        """Whether the files can be read."""

        def load() -> None:
            load_wordnet(self.wordnet)
            load_synsets(self.synsets)

        yield readable(where, self.wordnet, load, WordNetError)
