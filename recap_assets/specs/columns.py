"""Score columns: what a mix may compare, by the names that a file gives them.

`SOURCE` is the score of a source's best caption by the mix's scorer, `SCORER.SOURCE` the same by
another one, `used` the score of the text that the rule takes, `SCORER.used` that text's score by
another scorer, and the name of an image scorer is the score of the image. A source's name means the
source, also where an image scorer has the same.

Of several candidates, `SCORER.SOURCE` is the score of the one that SCORER finds best;
`SCORER.used` is the score of the one that is taken, whoever chose it.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import StringConstraints

from recap_assets.specs.references import Reference

USED = "used"
"""The text that a rule takes; no source has this name."""

_NAME = "[a-z][a-z0-9_]{0,63}"

ColumnName = Annotated[str, StringConstraints(pattern=rf"^{_NAME}(\.{_NAME})?$")]
"""A score column, as a file names it."""


def scorer_and_name(column: str) -> tuple[str | None, str]:
    """The two parts of a column's name; None where it names no scorer."""
    scorer, dot, name = column.partition(".")
    return (scorer, name) if dot else (None, column)


def used_by(scorer: str | None) -> str:
    """The column of the text that is taken, by a scorer; None is the mix's."""
    return USED if scorer is None else f"{scorer}.{USED}"


def of_source(scorer: str | None, source: str) -> str:
    """The column of a source by a scorer; None is the mix's."""
    return source if scorer is None else f"{scorer}.{source}"


def column_references(field: str, column: str) -> Iterator[Reference]:
    """What a column's name names."""
    scorer, name = scorer_and_name(column)
    if scorer is not None:
        yield Reference(field, scorer, "scorers")
    if name != USED:
        also = "image_scorers" if scorer is None else None
        yield Reference(field, name, "source_names", also=also, by=scorer)


@dataclass(frozen=True)
class Reads:
    """What decides a mix, beside its sets.

    Attributes:
        sources: Whose captions are read, with their scores by the mix's scorer.
        scores: Scorer and source of further scores of captions.
        images: Image scorers.
    """

    sources: tuple[str, ...]
    scores: tuple[tuple[str, str], ...]
    images: tuple[str, ...]

    @classmethod
    def of(cls, columns: Collection[str], sources: Collection[str]) -> "Reads":
        """Those of columns by their names, in order.

        Args:
            columns: `SOURCE`, `SCORER.SOURCE`, or an image scorer; none of the text that is taken.
            sources: All sources of the experiment.
        """
        split = [scorer_and_name(column) for column in dict.fromkeys(columns)]
        plain = [name for scorer, name in split if scorer is None]
        return cls(
            tuple(name for name in plain if name in sources),
            tuple((scorer, name) for scorer, name in split if scorer is not None),
            tuple(name for name in plain if name not in sources),
        )
