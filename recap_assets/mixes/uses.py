"""What a rule uses of an image that it accepts: which sources, and how often."""

import numpy as np
import numpy.typing as npt
import polars as pl

from recap_assets.artefacts.uids import uid_uniform
from recap_assets.specs.mixes import (
    BestOf,
    Join,
    RandomOf,
    Rule,
    Use,
    sources_used,
)


def alternatives(use: Use) -> tuple[str, ...]:
    """The sources that a rule may use, as its choices number them."""
    # A mapping in the file has no order, so the draw must not depend on one.
    return tuple(sorted(use.random_of)) if isinstance(use, RandomOf) else sources_used(use)


def has_text(use: Use) -> pl.Expr:
    """Whether an image has the texts that the use needs."""
    has_text = [pl.col(f"has.{source}") for source in sources_used(use)]
    return pl.all_horizontal(has_text) if isinstance(use, Join) else pl.any_horizontal(has_text)


def choice_of(use: Use, uids: pl.Series) -> pl.Expr:
    """The number of the alternative that the image takes; null where it is no choice."""
    names = alternatives(use)
    match use:
        case BestOf():
            scores = [
                pl.when(f"has.{name}").then(pl.col(f"score.{name}").fill_null(-np.inf))
                for name in names
            ]
            best = pl.max_horizontal(scores)
            return pl.coalesce(
                pl.when(score == best).then(pl.lit(i)) for i, score in enumerate(scores)
            )
        case RandomOf():
            weights = [pl.col(f"has.{name}") * use.random_of[name] for name in names]
            at = pl.lit(pl.Series(source_draw(use, uids))) * pl.sum_horizontal(weights)
            # The last one that begins at or before the drawn point: rounding leaves no gap.
            return pl.coalesce(
                pl.when(
                    pl.col(f"has.{names[i]}") & (at >= pl.sum_horizontal(pl.lit(0.0), *weights[:i]))
                ).then(pl.lit(i))
                for i in reversed(range(len(names)))
            )
        case _:
            return pl.lit(None, dtype=pl.Int32)


def source_draw(use: RandomOf, uids: pl.Series) -> npt.NDArray[np.float64]:
    """One number in [0, 1) for each uid: how far along the sources' weights the draw falls."""
    return uid_uniform(use.seed, uids, "source")


def candidates_within(rule: Rule, depth: int) -> int:
    """How many of the `depth` best candidates of a source the rule uses."""
    return depth if rule.candidates == "all" else min(rule.candidates, depth)


def pairs_of_source(rule: Rule, source: str) -> pl.Expr:
    """How many pairs the rule makes of an image for which it uses the source."""
    if rule.candidates == 1:
        return pl.lit(1)
    there = pl.col(f"n.{source}").clip(1)
    return there if rule.candidates == "all" else pl.min_horizontal(there, pl.lit(rule.candidates))
