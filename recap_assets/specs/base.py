"""What every spec shares: frozen, no unknown keys, a canonical form and a hash of it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Self, cast, get_args

from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""A name of the user's; it becomes part of asset keys and paths."""


class Spec(BaseModel):
    """A frozen piece of an experiment that refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _spell_truth_for_a_number(cls, given: object) -> object:
        """To pydantic `true` is the number 1; to whoever wrote it, it is a slip, and refused."""
        if not isinstance(given, dict):
            return given
        values = cast(dict[str, object], given)
        slips = (n for n, v in values.items() if isinstance(v, bool) and _wants_a_number(cls, n))
        return values | {name: str(values[name]).lower() for name in slips}

    def at_default(self, *names: str) -> Self:
        """A copy with these fields at their defaults: for what changes no result."""
        fields = type(self).model_fields
        return self.model_copy(update={name: fields[name].default for name in names})

    def all_but(self, *names: str) -> Mapping[str, object]:
        """The fields as JSON values but for these: what changes no result decides nothing."""
        return self.model_dump(mode="json", exclude=set(names))

    def canonical(self) -> str:
        """The spec as JSON with sorted keys: the same for any order, spacing or comments."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


@cache
def _wants_a_number(spec: type[Spec], field: str) -> bool:
    if field not in spec.model_fields:
        return False
    todo = [spec.model_fields[field].annotation]
    named: list[object] = []
    while todo:
        at = todo.pop()
        named.append(at)
        todo.extend(get_args(at))
    return (int in named or float in named) and bool not in named


def deciding(
    **parts: "Spec | Mapping[str, object] | str | float | bool | Sequence[str] | None",
) -> str:
    """What decides a node's content as canonical JSON: what is at its default is said as well."""
    values = {
        name: part.model_dump(mode="json") if isinstance(part, Spec) else part
        for name, part in parts.items()
    }
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def fingerprint_of(*parts: Spec | str | int | float | bool | None) -> str:
    """16 hex digits over the canonical forms of `parts`, in the order given."""
    digest = hashlib.sha256()
    for part in parts:
        text = part.canonical() if isinstance(part, Spec) else json.dumps(part)
        digest.update(len(text).to_bytes(8, "little"))
        digest.update(text.encode())
    return digest.hexdigest()[:16]
