"""The best caption of several sources."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from pydantic import Field

from recap_assets.mixes.uses.kind import Name, OneImage, Use, UseSpec, distinguished, joined


class BestOf(Use):
    """Per image, the caption with the highest score; ties go to the source named first."""

    best_of: tuple[Name, ...] = Field(min_length=2)
    scorer: Name | None = Field(
        default=None,
        exclude_if=lambda scorer: scorer is None,
        description="Whose scores are compared, among a source's candidates too; by default the "
        "mix's scorer.",
    )

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources."""
        return self.best_of

    @property
    def ranked_by(self) -> str | None:
        """The named scorer."""
        return self.scorer

    def keeping(self, sources: Sequence[str]) -> UseSpec:
        """The best of these."""
        return BestOf(best_of=tuple(sources), scorer=self.scorer)

    def choice(self, uids: pl.Series) -> pl.Expr:  # noqa: ARG002 - no chance is in it
        """The first that has the highest score of those with a text; a missing score ranks last."""
        scores = [
            pl.when(f"has.{name}").then(pl.col(f"score.{name}").fill_null(-np.inf))
            for name in map(self.ranked, self.best_of)
        ]
        best = pl.max_horizontal(scores)
        return pl.coalesce(pl.when(score == best).then(pl.lit(i)) for i, score in enumerate(scores))

    def phrase(self) -> str:
        """The sources, and the scorer if one is named."""
        by = "" if self.scorer is None else f" by {self.scorer}"
        return f"the best of {joined(self.best_of)}{by}"

    def words(self, image: OneImage, chosen: int | None, weight: float) -> str:  # noqa: ARG002
        """Whom the best one beats."""
        assert chosen is not None  # noqa: S101 - a text is there, so one was chosen
        ranked = [self.ranked(source) for source in self.best_of]
        best, listed = ranked[chosen], f"best_of [{', '.join(ranked)}]"
        others = [name for name in ranked if name != best and image.has_text(name)]
        if not others:
            return f"{listed}: {image.scored(best)} is the only one with a text"
        if image.score(best) is None:
            return f"{listed}: none has a score, and {best} is named before {joined(others)}"
        return f"{listed}: {' '.join(_beaten(image, best, others))}"


def _beaten(image: OneImage, best: str, others: Sequence[str]) -> Iterator[str]:
    scores = {name: score for name in (best, *others) if (score := image.score(name)) is not None}
    shown = dict(zip(scores, distinguished(*scores.values()), strict=True))
    yield image.named(best, shown[best])
    clauses: list[str] = []
    for name in others:
        if name not in scores:
            clauses.append(f"beats {name}, which has no score")
        elif scores[name] == scores[best]:
            clauses.append(f"ties with {image.named(name, shown[name])} and is named first")
        else:
            clauses.append(f"beats {image.named(name, shown[name])}")
    yield ", ".join(clauses)
