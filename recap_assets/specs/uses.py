"""Uses: what all kinds of them have, as far as the experiment and the graph ask for it.

Which captions one takes, and why, is said by a kind below `mixes.uses.kind.Use`.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, TypeAdapter

from recap_assets.specs.base import Spec
from recap_assets.specs.columns import of_source
from recap_assets.specs.kinds import OneOf
from recap_assets.specs.references import Reference


class UseSpec(Spec):
    """What a user writes of a use."""

    gives_several: ClassVar[bool] = False
    """Whether an image may give several pairs, several candidates of one source aside."""

    reads_texts: ClassVar[bool] = False
    """Whether its choice looks at the captions, and not only at their scores."""

    why_one_candidate: ClassVar[str] = ""
    """Why a rule with it has no `candidates`; "" where it may have them."""

    @property
    @abstractmethod
    def sources(self) -> tuple[str, ...]:
        """The sources whose captions it may take, as they are written."""

    @abstractmethod
    def keeping(self, sources: Sequence[str]) -> "UseSpec":
        """The same with these two or more of its sources; weights and seeds stay as they are."""

    @property
    def ranked_by(self) -> str | None:
        """The scorer by which it chooses among captions; None is the mix's."""
        return None

    @property
    def plain_source(self) -> str | None:
        """The source whose captions it takes whatever they are; None for any other use."""
        return None

    def share(self, source: str) -> float:  # noqa: ARG002 - of some kinds
        """What the rule's weight is multiplied by for a pair of this source."""
        return 1.0

    def refers(self) -> Iterator[Reference]:
        """The sources, and the scorer that it chooses by."""
        for source in self.sources:
            yield Reference(self.word, source, "source_names")
        if self.ranked_by is not None:
            yield Reference("scorer", self.ranked_by, "scorers")

    def ranked(self, source: str) -> str:
        """The column of `Images.frame`, without `score.`, of a source's best caption."""
        return of_source(self.ranked_by, source)

    def without(self, source: str) -> "UseSpec | None":
        """What is left of it without the captions of a source; None where nothing is."""
        kept = [name for name in self.sources if name != source]
        if len(kept) == len(self.sources):
            return self
        if len(kept) > 1:
            return self.keeping(kept)
        return use_of_source(kept[0]) if kept else None


def use_of_source(name: str) -> UseSpec:
    """The use that a source's name stands for."""
    return read_use().validate_python(name)


def _by_name(given: object) -> object:
    return {"source": given} if isinstance(given, str | int | float) else given


AnyUse = Annotated[UseSpec, OneOf("uses"), BeforeValidator(_by_name)]
"""A source's name is short for `{source: name}`."""


@cache
def read_use() -> TypeAdapter[UseSpec]:
    """What reads a use of any kind."""
    return TypeAdapter(AnyUse)
