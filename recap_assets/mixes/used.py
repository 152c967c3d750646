"""The score of the text that a rule takes: the columns `used` and `SCORER.used`."""

from collections.abc import Sequence
from dataclasses import replace

import polars as pl

from recap_assets.mixes.images import Candidates, Images, used_scorers
from recap_assets.mixes.uses.kind import Use, use_of
from recap_assets.specs.columns import used_by
from recap_assets.specs.conditions import used_score
from recap_assets.specs.mixes import Mix

SCORE = pl.Float32


def with_used(mix: Mix, taking: Sequence[tuple[Use, pl.Expr | None]], images: Images) -> Images:
    """The images with what the rules choose, `choice.i`, and the scores of the texts they take.

    Args:
        mix: Whose rules; only scores that it reads are added, as `specs.conditions.used_score`.
        taking: The use of each rule, and what its `choice` gave.
        images: Of a part of the pool.
    """
    choices = {f"choice.{i}": choice for i, (_, choice) in enumerate(taking) if choice is not None}
    chosen = replace(images, frame=images.frame.with_columns(**choices))
    added: list[pl.Series] = []
    for number, (use, choice) in enumerate(taking):
        column = None if choice is None else pl.col(f"choice.{number}")
        for scorer in used_scorers(mix, number):
            names = [use.ranked(source) for source in use.sources]
            seen = chosen if scorer is None else chosen.scored_by(scorer, names)
            name = used_score(number, used_by(scorer))
            added.append(seen.frame.select(_best_taken(use, seen, column).alias(name)).to_series())
    return replace(chosen, frame=chosen.frame.with_columns(added))


def images_with_used(mix: Mix, candidates: Candidates) -> Images:
    """The images of a part of the pool, with what the rules of one mix choose and take."""
    images = Images.for_mixes(candidates, [mix])
    uses = [use_of(rule) for rule in mix.rules]
    return with_used(mix, [(use, use.choice(images.frame["uid"])) for use in uses], images)


def used_scores(mix: Mix, number: int, scorer: str | None, candidates: Candidates) -> pl.DataFrame:
    """`uid` and `score` of the text that a rule takes, if it accepts the image, by a scorer."""
    frame = images_with_used(mix, candidates).frame
    return frame.select("uid", score=used_score(number, used_by(scorer)))


def _best_taken(use: Use, images: Images, choice: pl.Expr | None) -> pl.Expr:
    scores = [
        pl.when(taken.where if taken.where is not None else pl.lit(value=True)).then(
            taken.score.cast(SCORE)
        )
        for taken in use.taken(images, 1, choice)
    ]
    return pl.when(use.usable()).then(pl.max_horizontal(scores))
