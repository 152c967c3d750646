"""What one part of an experiment names of another."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

EMBEDDINGS = "embeddings"
"""What a scorer gives that embeds images and texts."""

IMAGES = "images"
"""What a corpus gives that has images with captions."""

TEXTS = "rows of texts"
"""What a corpus gives that has texts and what is to be made of them."""

SOURCES = "sources of its texts"
"""What a corpus gives that knows which source each text is of."""


@dataclass(frozen=True)
class Reference:
    """One name.

    Attributes:
        field: The field that has it; "" where the part itself is written as the name.
        name: The name.
        section: Where it must stand, an attribute of `Experiment`: `scorers`, `models`, or
            `source_names`, which has `raw` too.
        kind: The word of the kind that it must be of; None for any.
        gives: What its kind must give, one of `Spec.gives`; None where any will do.
        also: Another section where it may stand instead; None where there is none.
        by: Of a source, the scorer whose scores of it are meant, and nothing else of the source.
    """

    field: str
    name: str
    section: str
    kind: str | None = None
    gives: str | None = None
    also: str | None = None
    by: str | None = None


class Refers(Protocol):
    """A part of an experiment."""

    def refers(self) -> Iterator[Reference]:
        """What it names."""
        ...


def sources_named(part: Refers) -> Iterator[str]:
    """The sources whose captions, or scores by the mix's own scorer, a part names."""
    for one in part.refers():
        if one.section == "source_names" and one.by is None:
            yield one.name


def unknown(where: str, name: str, known: Iterable[str]) -> Iterator[str]:
    """What is wrong with a name, where it is none of those that are known."""
    names = list(known)
    if name not in names:
        yield f"{where}: there is no {name!r}; known are {listed(names)}"


def of_another_kind(where: str, name: str, fitting: Iterable[str]) -> str:
    """What is wrong with the name of a part of another kind."""
    return f"{where}: {name!r} is of another kind; of the right kind are {listed(fitting)}"


def listed(names: Iterable[str]) -> str:
    """Names in order, for people."""
    return ", ".join(sorted(names)) or "none"
