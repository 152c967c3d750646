"""The images of a part of the pool, with what the rules of mixes read of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from recap_assets.mixes.candidates import (
    Depth,
    KnownUids,
    Ranking,
    placed_beside,
    ranked_candidates,
    with_scores,
)
from recap_assets.specs.columns import USED, of_source, scorer_and_name
from recap_assets.specs.mixes import Mix, columns_read

Candidates = pl.DataFrame | Mapping[str, pl.DataFrame]
"""What is known of a part of the pool, by score column; see `columns_of`."""


@dataclass(frozen=True)
class Images:
    """A row an image, with each source's best candidate beside each other.

    Attributes:
        frame: `uid`, `shard`, and for each source `has.X` (it has a text), `score.X`,
            `candidate.X` and, where texts were given, `text.X`. Where a mix uses several candidates
            of a source, those after the best are `has.X.1`, `score.X.1` and so on, and `n.X` is how
            many have a text. Of any other score column `S.X` and of an image scorer there is
            `score.S.X` at least; where a use chooses by a scorer S, all the above of `S.X`, and
            `own.S.X`, the score by the mix's scorer. `by.S.X` is the score by S of the best of X.
        has_texts: Whether they were.
        depths: How many candidates of each source stand beside each other, by `X` or `S.X`.
    """

    frame: pl.DataFrame
    has_texts: bool
    depths: Mapping[str, int]

    @classmethod
    def for_mixes(cls, candidates: Candidates, mixes: Iterable[Mix]) -> "Images":
        """Put the candidates that the mixes may use side by side.

        Without a column `text`, a caption counts as there where it has a score.
        """
        wanted = list(mixes)
        columns = columns_of(candidates, wanted)
        known, parts, depths = KnownUids(), list[pl.DataFrame](), dict[str, int]()
        for ranking in rankings_of(wanted):
            frame = _with_further(columns, ranking)
            part, depths[ranking.name] = ranked_candidates(frame, ranking, known)
            parts.append(part)
        has_texts = any("text" in frame.columns for frame in columns.values())
        return cls(_with_shard(placed_beside(parts)), has_texts, depths)

    def text(self, name: str) -> pl.Expr:
        """The text of a source's best candidate, `X`, or of a further one, `X.1`; null without."""
        return pl.col(f"text.{name}") if self.has_texts else pl.lit(None, dtype=pl.String)

    def score(self, name: str) -> pl.Expr:
        """Its score by the mix's scorer, whoever ranks: `X`, `X.1`, `S.X` or `S.X.1`."""
        own = f"own.{name}"
        return pl.col(own if own in self.frame.columns else f"score.{name}")

    def scored_by(self, scorer: str, names: Sequence[str]) -> "Images":
        """The same with another scorer's scores of the best candidates, in place of the mix's.

        Args:
            scorer: Another one.
            names: Of these, `X` or `S.X`.
        """
        theirs = [pl.col(f"by.{scorer}.{name}") for name in names]
        places = [("score", "own")[f"own.{name}" in self.frame.columns] for name in names]
        renamed = [
            column.alias(f"{place}.{name}")
            for column, place, name in zip(theirs, places, names, strict=True)
        ]
        return replace(self, frame=self.frame.with_columns(renamed))


def columns_of(candidates: Candidates, mixes: Iterable[Mix]) -> Mapping[str, pl.DataFrame]:
    """The candidates by the score columns that the mixes read.

    Args:
        candidates: By score column, or in one frame where `source` names the column. Of a source
            `uid`, `shard`, `candidate`, `score` (by the mix's scorer) and, where texts are asked
            for, `text`; of a column `SCORER.SOURCE` and of an image scorer, `text` has no meaning
            and may be left out.
        mixes: The mixes.
    """
    if isinstance(candidates, Mapping):
        return candidates
    names = dict.fromkeys(column for mix in mixes for column in columns_read(mix))
    return {name: candidates.filter(pl.col("source") == name) for name in names}


def rankings_of(mixes: Sequence[Mix]) -> Sequence[Ranking]:
    """What the mixes need beside each other of each source, and of each further score column."""
    depths: dict[str, Depth] = {}
    beside: dict[str, dict[str, str]] = {}
    for mix in mixes:
        for name in columns_read(mix):
            depths.setdefault(name, 1)
        for number, rule in enumerate(mix.rules):
            names = [rule.use.ranked(source) for source in rule.use.sources]
            for name in names:
                depths[name] = _deeper(depths[name], rule.candidates)
                beside.setdefault(name, {}).update(_own(name))
            for scorer in used_scorers(mix, number):
                for name in names if scorer is not None else ():
                    beside[name][f"by.{scorer}"] = f"by.{scorer}"
    return [_ranking(name, depth, beside.get(name, {})) for name, depth in depths.items()]


def used_scorers(mix: Mix, number: int) -> Sequence[str | None]:
    """The scorers whose scores of the text that a rule takes are read; None is the mix's."""
    rule = mix.rules[number]
    columns = [] if rule.where is None else list(rule.where.reads(rule.place(number)))
    columns += [] if mix.copies is None else [mix.copies.of]
    split = [scorer_and_name(column) for column in dict.fromkeys(columns)]
    return [scorer for scorer, name in split if name == USED]


def _own(name: str) -> Mapping[str, str]:
    """The mix's own score, of captions that another scorer ranks."""
    scorer, _ = scorer_and_name(name)
    return {} if scorer is None else {"own": "score"}


def _ranking(name: str, depth: Depth, beside: Mapping[str, str]) -> Ranking:
    scorer, _ = scorer_and_name(name)
    ranks = scorer is not None and "own" in beside
    return Ranking(name, depth, f"by.{scorer}" if ranks else "score", beside)


def _with_further(columns: Mapping[str, pl.DataFrame], ranking: Ranking) -> pl.DataFrame:
    """The captions of a ranking, with the scores that it needs beside the mix's own."""
    scorer, source = scorer_and_name(ranking.name)
    if scorer is not None and "own" not in ranking.beside:
        return columns[ranking.name].select("uid", "shard", "candidate", "score")
    frame = columns[source]
    if "candidate" not in frame.columns:
        frame = frame.with_columns(candidate=pl.lit(0, pl.Int16))
    for column in _further(ranking):
        scored = columns[of_source(column.removeprefix("by."), source)]
        frame = with_scores(frame, scored, column)
    return frame


def _further(ranking: Ranking) -> Iterator[str]:
    names = dict.fromkeys([ranking.by, *ranking.beside.values()])
    yield from (name for name in names if name.startswith("by."))


def _deeper(one: Depth, other: Depth) -> Depth:
    return "all" if "all" in (one, other) else max(int(one), int(other))


def _with_shard(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        pl.min_horizontal(pl.col(r"^shard\..*$")).alias("shard"),
        pl.col(r"^has\..*$").fill_null(value=False),
    )
