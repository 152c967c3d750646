"""Sets by how often texts, images and n-grams occur in the pool."""

from collections.abc import Iterator

import polars as pl

from recap_assets.artefacts import TEXT_FREQUENCIES
from recap_assets.artefacts.facets import IMAGES, SIZES
from recap_assets.graph.stage import Dependency, Node, Project
from recap_assets.sets.facts import Samples
from recap_assets.sets.kinds.frequency.spec import FrequencySpec
from recap_assets.sets.rules import Requirement


class Frequency(FrequencySpec):
    """ALIGN's rules of frequency: images per text, texts per image, rare n-grams, length."""

    example = """\
usual: {kind: frequency, images_per_text: 10, texts_per_image: 1000}
"""

    pool_read = (SIZES, IMAGES)
    decided_elsewhere = ("images_per_text", "texts_per_image", "frequent_ngrams")

    def requirements(self) -> tuple[Requirement, ...]:
        """The length, and that neither text, image nor n-grams occur too often or too rarely."""
        return (*self.of_text(), *self._length(), *self._frequency())

    def _length(self) -> Iterator[Requirement]:
        n = pl.col("n_ngram_words")
        yield Requirement(
            "too_few_words",
            n >= self.min_words,
            lambda row: f"{row['n_ngram_words']} words; at least {self.min_words} are asked for",
        )
        if self.max_words is not None:
            most = self.max_words
            yield Requirement(
                "too_many_words",
                n <= most,
                lambda row: f"{row['n_ngram_words']} words; at most {most} are asked for",
            )

    def _frequency(self) -> Iterator[Requirement]:
        yield Requirement(
            "common_text",
            pl.col("n_images").is_null(),
            lambda row: (
                f"its text is that of {row['n_images']:,} different images; at most "
                f"{self.images_per_text:,} are asked for"
            ),
        )
        yield Requirement(
            "common_image",
            pl.col("n_texts").is_null(),
            lambda row: (
                f"its image has {row['n_texts']:,} different texts; at most "
                f"{self.texts_per_image:,} are asked for"
            ),
        )
        yield Requirement(
            "rare_words",
            pl.col("rare").is_null(),
            lambda row: (
                f"{row['rare']!r} is none of the {self.frequent_ngrams:,} most frequent words and "
                "pairs of words"
            ),
        )

    def reads(self, name: str) -> Iterator[Dependency]:
        """What is too frequent, and frequent enough."""
        yield Dependency(TEXT_FREQUENCIES.key(name), "all")

    def facts(self, known: pl.DataFrame, samples: Samples) -> pl.DataFrame:
        """With `n_ngram_words`, and what is amiss: `n_images`, `n_texts` and `rare`, else null."""
        from recap_assets.sets.kinds.frequency.checking import with_frequencies

        return with_frequencies(known, samples)

    def is_ready(self, name: str, project: Project) -> bool:
        """Whether the pool is counted."""
        return project.workspace.tables.has(TEXT_FREQUENCIES, {"set": name})

    def nodes(self, name: str, project: Project) -> list[Node]:
        """The counts of each partition, and of the pool."""
        from recap_assets.sets.kinds.frequency.assets import nodes_of

        return nodes_of(project, name, self)
