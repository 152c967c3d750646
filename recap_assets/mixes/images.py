"""The images of a part of the pool, with what the rules of mixes read of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from recap_assets.mixes.candidates import Depth, ranked_candidates
from recap_assets.specs.mixes import Mix, sources_read


@dataclass(frozen=True)
class Images:
    """A row an image, with each source's best candidate beside each other.

    Attributes:
        frame: `uid`, `shard`, and for each source `has.X` (it has a text), `score.X`,
            `candidate.X` and, where texts were given, `text.X`. Where a mix uses several candidates
            of a source, those after the best are `has.X.1`, `score.X.1` and so on, and `n.X` is how
            many have a text.
        has_texts: Whether they were.
        depths: How many candidates of each source stand beside each other.
    """

    frame: pl.DataFrame
    has_texts: bool
    depths: Mapping[str, int]

    @classmethod
    def for_mixes(cls, candidates: pl.DataFrame, mixes: Iterable[Mix]) -> "Images":
        """Put the candidates that the mixes may use side by side.

        Without a column `text`, a caption counts as there where it has a score.
        """
        has_texts = "text" in candidates.columns
        ranked = {
            source: ranked_candidates(candidates, source, depth, has_texts=has_texts)
            for source, depth in _depths_needed(mixes).items()
        }
        parts = [part for part, _ in ranked.values()]
        depths = {source: depth for source, (_, depth) in ranked.items()}
        uids = parts[0]["uid"]
        if all(part["uid"].equals(uids) for part in parts[1:]):
            frame = pl.concat([part.drop("uid") for part in parts], how="horizontal")
            return cls(_with_shard(frame.insert_column(0, uids)), has_texts, depths)
        return cls(_with_shard(_side_by_side(parts)), has_texts, depths)

    def text(self, name: str) -> pl.Expr:
        """The text of a source's best candidate, `X`, or of a further one, `X.1`; null without."""
        return pl.col(f"text.{name}") if self.has_texts else pl.lit(None, dtype=pl.String)


def _depths_needed(mixes: Iterable[Mix]) -> dict[str, Depth]:
    """For each source that the mixes read, how many of its candidates any rule uses."""
    depths: dict[str, Depth] = {}
    for mix in mixes:
        for source in sources_read(mix):
            depths.setdefault(source, 1)
        for rule in mix.rules:
            for source in rule.use.sources:
                depths[source] = _deeper(depths[source], rule.candidates)
    return depths


def _deeper(one: Depth, other: Depth) -> Depth:
    return "all" if "all" in (one, other) else max(int(one), int(other))


def _side_by_side(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """A row for every uid of any part, which are unique in each; nulls where a part lacks it."""
    widest = max(parts, key=len)
    frame = _extended(widest, [part for part in parts if part is not widest])
    # Mostly one source has every image, and the union of all uids need not be computed.
    if all(frame.height - frame[part.columns[1]].null_count() == part.height for part in parts):
        return frame
    return _extended(pl.concat([part.select("uid") for part in parts]).unique(), parts)


def _extended(index: pl.DataFrame, parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    for part in parts:
        index = index.join(part, on="uid", how="left")
    return index


def _with_shard(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        pl.min_horizontal(pl.col(r"^shard\..*$")).alias("shard"),
        pl.col(r"^has\..*$").fill_null(value=False),
    )
