"""Texts with `{name}` in them: what is asked of a model, or written without one, image by image.

A name is a caption source, `raw` among them, or a column of the pool (`pool.columns`). A brace that
is meant as such is doubled: `{{` and `}}`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

from recap_assets.specs.references import Reference

TEXT_NAMES = "text_names"
"""Section of the experiment that a name in braces is searched for in: sources and columns."""

_PIECE = re.compile(r"\{\{|\}\}|\{([a-z][a-z0-9_]{0,63})\}|[{}]")


def names_in(prompt: str) -> tuple[str, ...]:
    """The names in braces, each once, in the order in which they first come.

    Raises:
        ValueError: A brace belongs to no name and is not doubled.
    """
    found: dict[str, None] = {}
    for piece in _PIECE.finditer(prompt):
        if piece[1]:
            found[piece[1]] = None
        elif len(piece[0]) == 1:
            at = prompt[max(piece.start() - 10, 0) : piece.end() + 20]
            msg = (
                f"a single {piece[0]} in {at!r}: write {{name}} for a source or a column of the "
                "pool, and {{ or }} for a brace"
            )
            raise ValueError(msg)
    return tuple(found)


def filled(prompt: str, texts: Mapping[str, str]) -> str:
    """The prompt with a text in the place of each name, and single braces for doubled ones.

    What stands in a text is text: braces in it name nothing.
    """
    return _PIECE.sub(lambda piece: texts[piece[1]] if piece[1] else piece[0][0], prompt)


def references_in(field: str, prompt: str) -> Iterator[Reference]:
    """The sources and columns that the prompt in a field names."""
    return (Reference(field, name, TEXT_NAMES) for name in names_in(prompt))


def section_of(one: Reference) -> str:
    """The section that has the name, if it is a part's."""
    return "sources" if one.section in ("source_names", TEXT_NAMES) else one.section


def _checked(prompt: str) -> str:
    names_in(prompt)
    return prompt


Prompt = Annotated[str, StringConstraints(min_length=1), AfterValidator(_checked)]
"""A text that may have names in braces; as it was written."""
