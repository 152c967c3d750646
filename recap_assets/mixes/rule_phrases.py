"""The rules of a mix as sentences, for whoever has not its file before them."""

from collections.abc import Iterator

from recap_assets.mixes.conditions.kind import phrase_of
from recap_assets.mixes.uses.kind import use_of
from recap_assets.mixes.words import percent
from recap_assets.specs.mixes import Mix, Rule

MOST_RULES = 20
"""Rules that are spelled out; how many more there are is said."""


def described(mix: Mix) -> str:
    """Its own description if it has one, and its rules, numbered from 1, in markdown."""
    rules = [f"{i}. {_rule(rule)}" for i, rule in enumerate(mix.rules[:MOST_RULES], start=1)]
    if len(mix.rules) > MOST_RULES:
        rules.append(f"{len(mix.rules) - MOST_RULES} more rules.")
    return "\n\n".join(filter(None, (mix.description, " ".join(_whole(mix)), "\n".join(rules))))


def _rule(rule: Rule) -> str:
    where = "" if rule.where is None else f", where {phrase_of(rule.where)}"
    return f"{use_of(rule).phrase()}{_candidates(rule)}{where}{_weight(rule)}."


def _candidates(rule: Rule) -> str:
    if rule.candidates == 1:
        return ""
    which = "all" if rule.candidates == "all" else f"the {rule.candidates} best"
    return f" ({which} candidates)"


def _weight(rule: Rule) -> str:
    return "" if rule.weight == 1 else f", with weight {rule.weight:g}"


def _whole(mix: Mix) -> Iterator[str]:
    """What holds for all rules."""
    if mix.within is not None:
        yield (
            f"Only a random {percent(mix.within.fraction)} of the pool counts "
            f"(seed {mix.within.seed})."
        )
    if mix.copies is not None:
        yield (
            f"Pairs are drawn with repeats, {mix.copies.size:,} in all and at most "
            f"{mix.copies.cap:,} of one image."
        )
    if len(mix.rules) == 1:
        yield "An image gives the caption of its one rule:"
    elif mix.combine == "all":
        yield "An image gives a caption for every rule that accepts it:"
    else:
        yield "An image gives the caption of the first rule that accepts it:"
