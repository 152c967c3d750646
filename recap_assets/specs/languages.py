"""Language identifiers: what all kinds of them have, and those that are always there."""

from collections.abc import Mapping
from typing import Annotated, cast

from recap_assets.specs.base import Spec
from recap_assets.specs.kinds import OneOf, kinds_of


class IdentifierSpec(Spec):
    """What identifies a language; a kind is below `sets.languages.kind.IdentifierKind`."""


Identifier = Annotated[IdentifierSpec, OneOf("languages")]


def always_there() -> Mapping[str, IdentifierSpec]:
    """The identifiers that need nothing but their kind, by its word."""
    found: dict[str, IdentifierSpec] = {}
    for word, kind in kinds_of("languages").items():
        if kind.spec is not None and not _needed(kind.spec):
            found[word] = cast("IdentifierSpec", kind.spec.model_validate({"kind": word}))
    return found


def _needed(spec: type[Spec]) -> set[str]:
    fields = spec.model_fields.items()
    return {name for name, field in fields if field.is_required()} - {"kind"}
