"""What a recipe says of itself: which paper it follows, and what its run is expected to show."""

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated

from pydantic import Field, StringConstraints

from recap_assets.specs.base import Spec

AVERAGE = "average"
SOURCE_MEASURES = ("captions", "diversity", "score")
"""First parts of a measure that says something of a caption source, and not of a mix."""

Sentence = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]


class Expectation(Spec):
    """One comparison that the paper's finding comes to here: `better` is above `than` on `on`."""

    better: str = Field(description="A mix, or a caption source.")
    than: str = Field(description="What it is compared with: of the same sort.")
    on: str = Field(
        default=AVERAGE,
        pattern=r"^[^.\s][^.]*(\.[^.]+)?$",
        description="Of mixes: average, a task, or TASK.METRIC. Of sources: captions.METRIC, "
        "diversity.COLUMN or score.SCORER (mean over the pool).",
    )
    by: float = Field(
        default=0.0, ge=-1, le=1, description="The least difference, in the measure's own unit."
    )

    @property
    def of_sources(self) -> bool:
        """Whether sources are compared, and not mixes."""
        return self.on.partition(".")[0] in SOURCE_MEASURES

    @property
    def scorer(self) -> str | None:
        """The scorer whose mean score is compared; None for another measure."""
        measure, _, name = self.on.partition(".")
        return name if measure == "score" else None

    def names(self) -> Iterator[tuple[str, str, str]]:
        """What it names: the field, what it must be one of, the name."""
        of = "sources" if self.of_sources else "mixes"
        yield "better", of, self.better
        yield "than", of, self.than
        task = self.on.partition(".")[0]
        if self.scorer is not None:
            yield "on", "scorers", self.scorer
        elif not self.of_sources and task != AVERAGE:
            yield "on", "tasks", task

    @property
    def statement(self) -> str:
        """In a sentence."""
        margin = f" by more than {self.by:g}" if self.by else ""
        return f"{self.better} is above {self.than}{margin} on {self.on}."


class Recipe(Spec):
    """The published system that an experiment follows, and what its run is expected to show."""

    title: Sentence = Field(description="The system, as it is known.")
    paper: Sentence = Field(description="Where it was published: title and arXiv number.")
    found: Sentence = Field(description="What the paper found, in a sentence.")
    shows: Sentence = Field(description="What this run does, and with what in place of what.")
    expects: tuple[Expectation, ...] = Field(
        default=(), description="What must come out, where the finding holds here."
    )

    def problems(self, known: Mapping[str, Collection[str]]) -> Iterator[str]:
        """Names that the experiment does not have.

        Args:
            known: Its mixes, sources, tasks and scorers, by these words.
        """
        for number, one in enumerate(self.expects):
            for field, what, name in one.names():
                if name not in known[what]:
                    listed = ", ".join(sorted(known[what]))
                    where = f"recipe.expects.{number}.{field}"
                    yield f"{where}: {name!r} is none of the {what}; known are {listed}"
