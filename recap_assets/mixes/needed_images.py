"""The images whose captions by one source a mix may take, decided before the source writes any.

The rules are asked with the source's captions unknown, in Kleene's logic: a condition that holds,
or does not, with unknown parts does so whatever they turn out to be. So an image is left out only
where the mix takes the same of it for any caption, and for none.
"""

from collections.abc import Mapping

import polars as pl

from recap_assets.artefacts.uids import is_within
from recap_assets.mixes.clauses import clause_of
from recap_assets.mixes.conditions.kind import Condition, Known
from recap_assets.mixes.images import Images
from recap_assets.mixes.uses.kind import use_of
from recap_assets.specs.conditions import ConditionSpec, Place
from recap_assets.specs.kinds import fitting
from recap_assets.specs.mixes import Rule, columns_read
from recap_assets.specs.needed import Need, Needs
from recap_assets.specs.sources import RAW

_NEVER, _ALWAYS, _OPEN = pl.lit(value=False), pl.lit(value=True), pl.lit(None, pl.Boolean)

_CAPTIONS = pl.Schema(
    {
        "uid": pl.Binary,
        "shard": pl.Int32,
        "candidate": pl.Int16,
        "text": pl.String,
        "score": pl.Float32,
    }
)

Columns = Mapping[str, pl.DataFrame]
"""What was read, by score column, as `mixes.images.columns_of` has it."""


def needed_uids(
    needs: Needs, need: Need, uids: pl.Series, read: Columns, known: Known
) -> pl.Series:
    """For each image whether its caption may matter to a mix.

    Args:
        needs: Of the source.
        need: Of the mix.
        uids: The usable images of a part of the pool.
        read: What `needs.reads` names, and the pool's texts, of that part.
        known: The cut-offs of columns that are known, and the members of sets.

    Returns:
        A boolean for each of `uids`.
    """
    deciding = _Deciding(needs, need, read, known)
    decided = _ALWAYS if need.whole else deciding.needed(uids)
    within = need.mix.within
    exists = _ALWAYS if within is None else pl.lit(is_within(within, uids))
    found = deciding.frame(uids).select("uid", needed=decided.fill_null(value=True) & exists)
    return found["needed"]


def asked_uids(needs: Needs, need: Need, uids: pl.Series, read: Columns, known: Known) -> pl.Series:
    """For each image whether the condition in `only` holds or may hold.

    Arguments and result as for `needed_uids`, with `needs.asked`.
    """
    (rule,) = need.mix.rules
    deciding = _Deciding(needs, need, read, known)
    holds = deciding.condition(rule, 0).fill_null(value=True)
    return deciding.frame(uids).select("uid", asked=holds)["asked"]


class _Deciding:
    """The rules of one mix, asked with captions unknown."""

    def __init__(self, needs: Needs, need: Need, read: Columns, known: Known) -> None:
        self._needs, self._need, self._read, self._known = needs, need, read, known
        texts = {name for name, frame in read.items() if "text" in frame.columns}
        self._texts = texts & (needs.known | {RAW})

    def frame(self, uids: pl.Series) -> pl.DataFrame:
        """`Images.frame` for exactly these images; null in `has.X` is a text not known yet."""
        names = dict.fromkeys(columns_read(self._need.mix))
        columns = {name: self._read.get(name, _CAPTIONS.to_frame()) for name in names}
        frame = Images.for_mixes(columns, [self._need.mix]).frame
        found = pl.DataFrame({"uid": uids}).join(frame, on="uid", how="left", maintain_order="left")
        unknown = {
            f"has.{rule.use.ranked(source)}"
            for rule in self._need.mix.rules
            for source in self._unknown(rule)
        }
        return found.with_columns(_OPEN.alias(name) for name in sorted(unknown)).with_columns(
            # Where the texts were read and an image has none, that is for good.
            pl.col(name).fill_null(value=False)
            for name in found.columns
            if name.startswith("has.") and name not in unknown
        )

    def needed(self, uids: pl.Series) -> pl.Expr:
        """Whether any rule that is asked of an image may depend on the captions."""
        found, open_still = _NEVER, _ALWAYS
        for number in self._need.rules:
            rule = self._need.mix.rules[number]
            holds, usable = self.condition(rule, number), self._usable(rule)
            may = self._may(rule, number, holds, uids)
            found = found | (open_still & usable.fill_null(value=True) & may)
            if self._need.mix.combine == "first":
                takes = usable.fill_null(value=False) & holds.fill_null(value=False)
                open_still = open_still & ~takes
        return found

    def _may(self, rule: Rule, number: int, holds: pl.Expr, uids: pl.Series) -> pl.Expr:
        """Whether what a rule comes to may depend on the captions, if it has the texts."""
        if self._needs.takes(rule):
            return holds.is_null() | (holds & use_of(rule).depends(self._unknown(rule), uids))
        return holds.is_null() if self._needs.touches(rule, number) else _NEVER

    def _unknown(self, rule: Rule) -> list[str]:
        return [source for source in rule.use.sources if source not in self._texts]

    def _usable(self, rule: Rule) -> pl.Expr:
        """Whether an image has the texts; null where that is not known yet."""
        use = use_of(rule)
        if self._unknown(rule) and use.distribution is not None:
            return _OPEN
        return use.usable()

    def condition(self, rule: Rule, number: int) -> pl.Expr:
        """Whether a rule's condition holds; null where it may turn out either way."""
        if rule.where is None:
            return _ALWAYS
        place = rule.place(number)
        holds = self._holds(rule.where, place)
        # With all known, a missing score leaves it open for good, and that is not accepted.
        is_settled = self._is_known(rule.where, place) and not self._is_asked
        return holds.fill_null(value=False) if is_settled else holds

    @property
    def _is_asked(self) -> bool:
        return self._need is self._needs.asked

    def _is_known(self, where: ConditionSpec, place: Place) -> bool:
        return all(self._needs.knows(column) for column in where.reads(place))

    def _holds(self, where: ConditionSpec, place: Place) -> pl.Expr:
        if self._is_known(where, place):
            return clause_of(where, place, self._known).holds
        kind, inside = fitting(place.path, where, Condition), where.inside()
        if not inside or where.distribution is not None:
            return _OPEN
        parts = [self._holds(part, place.below(name)) for name, part in inside.items()]
        return kind.holds(place, self._known, parts)
