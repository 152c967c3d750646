"""What sets know of the samples of a pool partition, a row for every usable one.

- `uid`;
- `width`, `height`: of the original image, in pixels;
- with a text rule: `text`, null where there is none; `language`; and as far as a requirement
  asks for them `n_characters`, `n_words`, `n_tokens` of the text.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from recap_assets.artefacts import (
    CLIP_SCORES,
    RAW_POOL,
    TEXT_LANGUAGES,
    first_candidates,
    first_texts,
    is_usable,
)
from recap_assets.artefacts.facets import SIZES
from recap_assets.graph.node import Dependency, merged
from recap_assets.graph.project import Project
from recap_assets.graph.texts import first_texts_read
from recap_assets.sets.rules import Requirement
from recap_assets.sets.text_rule import TextRule
from recap_assets.sets.texts import n_characters, n_tokens, n_words

COUNTS: Mapping[str, Callable[[Iterable[str]], list[int]]] = {
    "n_characters": n_characters,
    "n_words": n_words,
    "n_tokens": n_tokens,
}


@dataclass(frozen=True)
class Samples:
    """Which samples facts are about.

    Attributes:
        project: The experiment in its workspace.
        name: Of the set that asks.
        partition: Of the pool.
        uid: The one image that is asked about; None for all.
    """

    project: Project
    name: str
    partition: str
    uid: bytes | None = None


def dependencies_of(rule: TextRule | None) -> tuple[Dependency, ...]:
    """What the facts are read from, for the same partition."""
    reads = [Dependency(RAW_POOL.key(), "same", (SIZES,))]
    if rule is not None:
        reads.append(first_texts_read(rule.source))
        if rule.identifies:
            reads.append(Dependency(TEXT_LANGUAGES.key(rule.identifier, rule.source), "same"))
    return merged(reads)


def facts_of(
    samples: Samples, rule: TextRule | None, requirements: Sequence[Requirement]
) -> pl.DataFrame:
    """The facts of the samples, as far as the requirements ask for them."""
    rows = _sides(samples)
    if rule is None:
        return rows
    tables = samples.project.workspace.tables
    texts = first_texts(tables, rule.source, samples.partition, samples.uid)
    asked = {name for one in requirements for name in one.holds.meta.root_names()}
    facts = _joined(rows, _counted(texts, asked))
    if not rule.identifies:
        return facts.with_columns(language=pl.lit(None, pl.String))
    languages = tables.scan(
        TEXT_LANGUAGES,
        identifier=rule.identifier,
        source=rule.source,
        partition=samples.partition,
    )
    return _joined(facts, languages.select("uid", "language").collect())


def with_scores(facts: pl.DataFrame, samples: Samples, scorer: str, source: str) -> pl.DataFrame:
    """The facts with `score`, a scorer's of the source's first candidate; null without one."""
    stored = samples.project.workspace.tables.scan(
        CLIP_SCORES, scorer=scorer, source=source, partition=samples.partition
    )
    found = first_candidates(stored.select("uid", "candidate", "score").collect())
    return _joined(facts, found.select("uid", "score"))


def _joined(facts: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    return facts.join(more, on="uid", how="left", maintain_order="left")


def _sides(samples: Samples) -> pl.DataFrame:
    stored = samples.project.workspace.tables.scan(RAW_POOL, partition=samples.partition)
    rows = stored.filter(is_usable())
    if samples.uid is not None:
        rows = rows.filter(pl.col("uid") == pl.lit(samples.uid))
    # A pool without sizes from before it was resized is checked by those that it has.
    sides = {side: pl.coalesce(f"original_{side}", side) for side in ("width", "height")}
    return rows.select("uid", **sides).collect()


def _counted(texts: pl.DataFrame, asked: Collection[str]) -> pl.DataFrame:
    listed = texts["text"].to_list()
    counts = {name: count(listed) for name, count in COUNTS.items() if name in asked}
    return texts.with_columns(**{n: pl.Series(c, dtype=pl.Int64) for n, c in counts.items()})
