"""The selection language, carried out: which caption of which image is trained on.

Two steps. `realise` turns each cut-off of a mix into a number, over the whole pool. `select` then
decides each image of a partition on its own, so that order, shards and partitions change nothing.

Rules of the language, where the words of a mix leave them open:

- Of several candidates of one source, the one with the highest score stands for the source; ties
  go to the lowest number.
- `candidates: k` gives a pair for each of the k best candidates (all with a text for `all`) of the
  source that the rule uses for the image. They share the pair's weight evenly, so an image is drawn
  as often as with one. Whether the rule accepts the image is asked of the best one alone.
- A rule accepts an image where its condition holds and its `use` has a text; otherwise the image
  continues with the next rule.
- A condition on a missing score is unknown, and unknown is not accepted. It stays unknown under
  `without`: an unscored caption never passes a test by failing it. Where another condition decides
  alone (`any` with one that holds, `all` with one that does not), the unknown one does not matter.
- `best_of`: a missing score ranks last; ties go to the source named first.
- `random_of` draws among the sources that have a text for the image.
- `join` needs the text of every source; its candidate number is the first source's.
- `used` is the score of the text that the rule takes of an image, whatever its condition: of a use
  that takes several, the highest; of `join`, the mean. Its cut-offs rank the whole pool (the part
  within which the mix is), also images that an earlier rule takes.
- `copies` is drawn for what the rules take, and a pair of no copies is not in the mix.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import polars as pl

from recap_assets.artefacts import CURATED_MIXES, is_within
from recap_assets.mixes import copies
from recap_assets.mixes.clauses import Clause, clause_of
from recap_assets.mixes.conditions.kind import Known
from recap_assets.mixes.images import Candidates, Images
from recap_assets.mixes.used import with_used
from recap_assets.mixes.uses.kind import Use, use_of
from recap_assets.specs.mixes import Mix, Rule
from recap_assets.storage.sorting import sort_rows

PAIR_SCHEMA = pl.Schema(
    {n: t for n, t in CURATED_MIXES.schema.items() if n not in ("mix", "partition", "image_hash")}
)


_PAIR_ORDER = ("shard", "uid", "rule", "source", "candidate")


def select(
    mix: Mix,
    thresholds: pl.DataFrame,
    candidates: Candidates,
    sets: Mapping[str, pl.Series],
) -> pl.DataFrame:
    """The training pairs of a mix in one partition.

    Args:
        mix: What to select.
        thresholds: `path` and `value` of every cut-off, from `realise`.
        candidates: `uid`, `shard`, `source`, `candidate`, `text`, `score`, in any order, or a frame
            for each score column, as `images.columns_of` has them; what the mix does not read may
            be among them. All rows of an image are given at once.
        sets: Binary uids by name, for `in_set`.

    Returns:
        PAIR_SCHEMA: the table `curated_mixes` without `mix`, `partition` and `image_hash`, sorted
        by its order.

    Raises:
        KeyError: If a cut-off or a set that the mix names is not given.
    """
    return decide(mix, thresholds, Images.for_mixes(candidates, [mix]), sets).emit()


@dataclass(frozen=True)
class Pairs:
    """Pairs that one rule gives from one source, as expressions on `Decision.images`."""

    where: pl.Expr
    source: str
    candidate: pl.Expr
    text: pl.Expr
    score: pl.Expr
    weight: pl.Expr
    rule: int
    copies: pl.Expr


@dataclass(frozen=True)
class Decision:
    """What a mix takes: images with a column `accepted`, and the pairs among them."""

    images: pl.DataFrame
    pairs: tuple[Pairs, ...]

    def emit(self) -> pl.DataFrame:
        """The pairs, as `select` returns them."""
        parts = [_emit(self, pairs) for pairs in self.pairs]
        return sort_rows(pl.concat(parts), _PAIR_ORDER)


def decide(
    mix: Mix, thresholds: pl.DataFrame, images: Images, sets: Mapping[str, pl.Series]
) -> Decision:
    """Decide every image, without making the pairs.

    Arguments and errors as for `select`, with the candidates side by side.
    """
    taken = what_rules_take(mix, thresholds, images, sets)
    frame, n_copies = taken.images.frame, pl.lit(1)
    if mix.copies is not None:
        frame = copies.drawn(mix, mix.copies, thresholds, frame)
        n_copies = pl.col("copies")
    pairs = [
        replace(pair, where=pair.where if mix.copies is None else pair.where & (n_copies > 0))
        for number, ruling in enumerate(taken.rulings)
        for pair in _pairs(ruling, number, taken.images, n_copies)
    ]
    return Decision(frame, tuple(pairs))


@dataclass(frozen=True)
class Taken:
    """What the rules of a mix take, before copies are drawn.

    Attributes:
        images: With `accepts.i` of each rule, `accepted`, and the scores of the texts taken.
        rulings: The rules.
    """

    images: Images
    rulings: tuple["Ruling", ...]


def what_rules_take(
    mix: Mix, thresholds: pl.DataFrame, images: Images, sets: Mapping[str, pl.Series]
) -> Taken:
    """Decide every image by the rules.

    Arguments and errors as for `decide`.
    """
    uids = images.frame["uid"]
    rulings = rulings_of(mix, thresholds, uids, sets)
    seen = with_used(mix, [(ruling.use, ruling.choice) for ruling in rulings], images)
    exists = pl.lit(value=True) if mix.within is None else pl.lit(is_within(mix.within, uids))
    frame = seen.frame.with_columns(
        (exists & ruling.accepts).fill_null(value=False).alias(f"accepts.{i}")
        for i, ruling in enumerate(rulings)
    )
    return Taken(replace(seen, frame=_accepted(mix, frame)), rulings)


def _accepted(mix: Mix, frame: pl.DataFrame) -> pl.DataFrame:
    """With `accepted`: any rule takes the image. Where but one may, it is the first."""
    names = [f"accepts.{i}" for i in range(len(mix.rules))]
    if mix.combine == "first":
        frame = frame.with_columns(
            pl.col(name) & ~pl.any_horizontal(names[:i]) for i, name in enumerate(names) if i
        )
    return frame.with_columns(pl.any_horizontal(names).alias("accepted"))


@dataclass(frozen=True)
class Ruling:
    """A rule by itself, as decided on `Images.frame`.

    Attributes:
        rule: As the mix writes it.
        use: What it uses.
        usable: Whether an image has the texts for that.
        where: Its condition; None where there is none.
        choice: Number of the alternative that the image takes; None where the use is no choice.
    """

    rule: Rule
    use: Use
    usable: pl.Expr
    where: Clause | None
    choice: pl.Expr | None

    @property
    def accepts(self) -> pl.Expr:
        """Whether it would take the image, were it the only rule; null counts as no."""
        return self.usable if self.where is None else self.usable & self.where.holds


def rulings_of(
    mix: Mix, thresholds: pl.DataFrame, uids: pl.Series, sets: Mapping[str, pl.Series]
) -> tuple[Ruling, ...]:
    """The rules of a mix for the images of these uids.

    Arguments and errors as for `select`.
    """
    known = Known(dict(thresholds.select("path", "value").iter_rows()), sets)
    return tuple(_ruling(rule, number, uids, known) for number, rule in enumerate(mix.rules))


def _ruling(rule: Rule, number: int, uids: pl.Series, known: Known) -> Ruling:
    use, where = use_of(rule), rule.where
    clause = None if where is None else clause_of(where, rule.place(number), known)
    return Ruling(rule, use, use.usable(), clause, use.choice(uids))


def _pairs(ruling: Ruling, number: int, images: Images, n_copies: pl.Expr) -> Iterator[Pairs]:
    rule, accepts = ruling.rule, pl.col(f"accepts.{number}")
    choice = None if ruling.choice is None else pl.col(f"choice.{number}")
    for taken in ruling.use.taken(images, rule.candidates, choice):
        yield Pairs(
            where=accepts if taken.where is None else accepts & taken.where,
            source=taken.source,
            candidate=taken.candidate,
            text=taken.text,
            score=taken.score,
            weight=pl.lit(rule.weight * taken.share) / taken.n_pairs,
            rule=number,
            copies=n_copies,
        )


def _emit(decision: Decision, pairs: Pairs) -> pl.DataFrame:
    columns = {
        "shard": pl.col("shard"),
        "uid": pl.col("uid"),
        "source": pl.lit(pairs.source),
        "candidate": pairs.candidate,
        "text": pairs.text,
        "score": pairs.score,
        "weight": pairs.weight,
        "rule": pl.lit(pairs.rule),
        "copies": pairs.copies,
    }
    chosen = decision.images.filter(pairs.where)
    return chosen.select(
        columns[name].cast(dtype).alias(name) for name, dtype in PAIR_SCHEMA.items()
    )
