"""A caption of several sources by chance."""

from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Annotated

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import Field

from recap_assets.artefacts.uids import uid_uniform
from recap_assets.mixes.uses.kind import Name, OneImage, Use, UseSpec, distinguished, joined

_MOST_HIDDEN = 6
"""Sources whose texts are not known yet, of which all ways to have some are tried."""


class RandomOf(Use):
    """Per image, one source drawn by (seed, uid) with the given weights."""

    random_of: dict[Name, Annotated[float, Field(gt=0)]] = Field(min_length=2)
    seed: int = 0

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources."""
        return tuple(self.random_of)

    @property
    def alternatives(self) -> tuple[str, ...]:
        """The sources by name: a mapping in the file has no order, and a draw must not have one."""
        return tuple(sorted(self.random_of))

    def keeping(self, sources: Sequence[str]) -> UseSpec:
        """A draw among these."""
        return RandomOf(random_of={name: self.random_of[name] for name in sources}, seed=self.seed)

    def choice(self, uids: pl.Series) -> pl.Expr:
        """The one that the draw falls on, of those that have a text."""
        return self._fallen_on(uids, {name: pl.col(f"has.{name}") for name in self.alternatives})

    def _fallen_on(self, uids: pl.Series, has: Mapping[str, pl.Expr]) -> pl.Expr:
        names = self.alternatives
        weights = [has[name] * self.random_of[name] for name in names]
        at = pl.lit(pl.Series(self._draw(uids))) * pl.sum_horizontal(weights)
        # The last one that begins at or before the drawn point: rounding leaves no gap.
        return pl.coalesce(
            pl.when(has[names[i]] & (at >= pl.sum_horizontal(pl.lit(0.0), *weights[:i]))).then(
                pl.lit(i)
            )
            for i in reversed(range(len(names)))
        )

    def depends(self, unknown: Collection[str], uids: pl.Series) -> pl.Expr:
        """Unless the draw falls on one known source whichever of the others have a text."""
        hidden = [name for name in self.alternatives if name in unknown]
        if len(hidden) > _MOST_HIDDEN:
            return pl.lit(value=True)
        has = {name: pl.col(f"has.{name}") for name in self.alternatives}
        ways = [
            self._fallen_on(uids, {**has, **dict(zip(hidden, map(pl.lit, way), strict=True))})
            for way in product((False, True), repeat=len(hidden))
        ]
        of_hidden = ways[0].is_in([self.alternatives.index(name) for name in hidden])
        return ~pl.all_horizontal(~of_hidden, *(way == ways[0] for way in ways[1:])).fill_null(
            value=False
        )

    def phrase(self) -> str:
        """The sources with their weights."""
        weighted = [f"{name} (weight {self.random_of[name]:g})" for name in self.alternatives]
        return f"one of {joined(weighted)} at random"

    def words(self, image: OneImage, chosen: int | None, weight: float) -> str:  # noqa: ARG002
        """Where the draw fell."""
        assert chosen is not None  # noqa: S101 - a text is there, so one was chosen
        present = [name for name in self.alternatives if image.has_text(name)]
        ends = [0.0]
        for name in present:
            ends.append(ends[-1] + self.random_of[name])
        at, *_ = distinguished(float(self._draw(image.uids)[0]) * ends[-1], *ends)
        spans = [f"{name} {ends[i]:g} to {ends[i + 1]:g}" for i, name in enumerate(present)]
        taken = image.scored(self.alternatives[chosen])
        return f"random_of (seed {self.seed}): {at} falls among {', '.join(spans)}: {taken}"

    def _draw(self, uids: pl.Series) -> npt.NDArray[np.float64]:
        """One number in [0, 1) for each uid: how far along the sources' weights the draw falls."""
        return uid_uniform(self.seed, uids, "source")
