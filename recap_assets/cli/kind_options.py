"""Options of a command from the fields of a family's kinds: of those that are installed."""

from collections.abc import Collection, Iterator, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import click

from recap_assets.specs.base import Spec
from recap_assets.specs.kinds import FAMILIES, kinds_of

Flags = Mapping[str, str]
"""Of fields that are yes or no, the option for no: `one-folder`, where it is not `no-by-weight`."""


def words_of(family: str) -> Mapping[str, type[Spec]]:
    """The kinds that can be used, by their words."""
    return {word: one.spec for word, one in kinds_of(family).items() if one.spec is not None}


def options_of(family: str, without: Collection[str]) -> Iterator[click.Option]:
    """An option for each field that any kind of the family has, and that a word can fill.

    Args:
        family: The family.
        without: Fields that the command asks for in a way of its own.
    """
    kinds = words_of(family)
    own = {FAMILIES[family].field, *without}
    for name in dict.fromkeys(name for spec in kinds.values() for name in spec.model_fields):
        if name not in own:
            having = {word: spec for word, spec in kinds.items() if name in spec.model_fields}
            option = _option(name, having, of_all=len(having) == len(kinds))
            yield from () if option is None else (option,)


def _option(name: str, kinds: Mapping[str, type[Spec]], *, of_all: bool) -> click.Option | None:
    spec = next(iter(kinds.values()))
    field = spec.model_fields[name]
    flag, said = f"--{name.replace('_', '-')}", field.description or ""
    text = said if of_all else f"{', '.join(kinds)}: {said}"
    types = _types(field.annotation)
    if bool in types:
        flags: Flags = getattr(spec, "flags", {})
        off = flags.get(name, f"no-{flag[2:]}")
        return click.Option([f"{flag}/--{off}"], default=None, help=text)
    if (as_type := _as_type(types)) is None:
        return None
    return click.Option([flag], type=as_type, help=text)


def _as_type(types: Collection[Any]) -> click.ParamType | None:
    if any(get_origin(one) is tuple for one in types):
        return Words()
    if words := [
        str(word) for one in types if get_origin(one) is Literal for word in get_args(one)
    ]:
        return click.Choice(words)
    known = {int: click.INT, float: click.FLOAT, str: click.STRING}
    return next((as_type for one, as_type in known.items() if one in types), None)


def _types(annotation: Any) -> list[Any]:  # noqa: ANN401 - any type
    """What a value may be, without None; what pydantic is given about each aside."""
    if hasattr(annotation, "__metadata__"):
        return _types(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [one for part in get_args(annotation) for one in _types(part)]
    return [] if annotation is NoneType else [annotation]


class Words(click.ParamType):
    """Words with commas between them."""

    name = "a,b"

    def convert(
        self,
        value: Any,  # noqa: ANN401 - click's
        param: click.Parameter | None,  # noqa: ARG002 - click's
        ctx: click.Context | None,  # noqa: ARG002 - click's
    ) -> tuple[str, ...]:
        """The words."""
        return tuple(value.split(",")) if isinstance(value, str) else tuple(value)
