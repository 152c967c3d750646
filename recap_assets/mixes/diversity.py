"""Diversity of whole mixes, on samples of one size."""

from collections.abc import Mapping, Sequence

import polars as pl

from recap_assets.artefacts import CURATED_MIXES, uid_hashes
from recap_assets.diversity.ngrams import unique_trigrams
from recap_assets.graph.project import Project
from recap_assets.specs.diversity import Diversity

UNIQUE_TRIGRAMS = pl.Schema(
    {"mix": pl.String, "sample_size": pl.Int64, "unique_trigrams": pl.Int64}
)


def unique_trigrams_of_mixes(project: Project) -> pl.DataFrame:
    """Distinct trigrams of each mix as it was built.

    Returns:
        UNIQUE_TRIGRAMS. Every mix counts on as many pairs as the smallest one has, at most
        `diversity.sample`, drawn by (seed, uid); an empty mix counts 0.
    """
    built = project.workspace.tables.scan(CURATED_MIXES).filter(
        pl.col("partition").is_in(list(project.partitions))
    )

    def sampled(name: str) -> pl.Series:
        pairs = built.filter(pl.col("mix") == name).select("uid", "source", "text").collect()
        return drawn_texts(pairs, project.experiment.diversity)["text"]

    return trigrams_counted({name: sampled(name) for name in project.experiment.mixes})


def trigrams_counted(sampled: Mapping[str, pl.Series]) -> pl.DataFrame:
    """UNIQUE_TRIGRAMS of these texts: of each mix those of `drawn_texts`."""
    size = min((len(texts) for texts in sampled.values() if len(texts)), default=0)
    rows = [(name, size, unique_trigrams(texts[:size])) for name, texts in sampled.items()]
    return pl.DataFrame(rows, schema=UNIQUE_TRIGRAMS, orient="row")


def drawn_texts(pairs: pl.DataFrame, diversity: Diversity) -> pl.DataFrame:
    """A random sample of a mix's pairs by (seed, uid); a smaller one is the first of its rows.

    Args:
        pairs: `uid`, `source`, `text`, in any order.
        diversity: Its size and seed.

    Returns:
        `draw`, `source`, `text`, sorted by them. `merged_draws` makes the sample of several parts.
    """
    hashes = uid_hashes(diversity.seed, "mix diversity", pairs["uid"])
    drawn = pairs.select(draw=pl.Series(hashes, dtype=pl.UInt64), source="source", text="text")
    return merged_draws([drawn], diversity)


def merged_draws(parts: Sequence[pl.DataFrame], diversity: Diversity) -> pl.DataFrame:
    """The sample of a whole, from those of its parts."""
    drawn = pl.concat(parts)
    largest = drawn["draw"].bottom_k(diversity.sample).max()
    kept = drawn.filter(pl.col("draw") <= largest) if drawn.height else drawn
    return kept.sort("draw", "source", "text").head(diversity.sample)
