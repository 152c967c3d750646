"""Kinds of each family: ours by the list below, those of other packages by their entry points.

A package adds a kind by an entry point of the group `recap.<family>`, named as the kind is::

    [project.entry-points."recap.captions"]
    onnx = "recap_onnx:OnnxSource"

Kinds are imported when an experiment is first checked, and no sooner: a package that cannot be
imported stops the experiments that use its kind, and nothing else.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module, metadata
from inspect import isabstract
from typing import Annotated, Any, Union, get_args

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from recap_assets.specs.base import Spec
from recap_assets.untrusted.errors import RecapError
from recap_assets.untrusted.showing import one_line

OURS = "recap-assets"

BUILT_IN: Mapping[str, tuple[str, ...]] = {
    "captions": (
        "recap_assets.captions.kinds.trained:EmbeddedSource",
        "recap_assets.captions.kinds.transformers:TransformersSource",
        "recap_assets.captions.kinds.open_clip:OpenClipSource",
        "recap_assets.captions.kinds.openai:OpenAISource",
        "recap_assets.captions.kinds.imported:ImportSource",
        "recap_assets.captions.kinds.reranked:RerankedSource",
    ),
}
"""One line a kind, in the order in which messages and the schema name them."""


class KindError(RecapError, ValueError):
    """A kind cannot be used. The text names it, the distribution that gives it, and what to do."""


@dataclass(frozen=True)
class Kind:
    """One kind.

    Attributes:
        family: What it is a kind of.
        name: The word after `kind:`.
        distribution: The distribution that gives it.
        version: The distribution's version.
        spec: The class; None for one that cannot be imported.
        why: Why it cannot be imported; "" for one that can.
    """

    family: str
    name: str
    distribution: str
    version: str
    spec: type[Spec] | None
    why: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether this distribution gives it."""
        return self.distribution == OURS

    @property
    def summary(self) -> str:
        """The first line of the class's docstring."""
        doc = (self.spec.__doc__ or "") if self.spec else f"cannot be imported: {self.why}"
        return one_line(doc.strip().partition("\n")[0])


@cache
def kinds_of(family: str) -> Mapping[str, Kind]:
    """All kinds of a family by name, ours first.

    Raises:
        KindError: Two distributions give a kind of one name.
    """
    found: dict[str, list[Kind]] = defaultdict(list)
    for one in (*_built_in(family), *_of_others(family)):
        found[one.name].append(one)
    for name, claims in found.items():
        if len(claims) > 1:
            who = " and ".join(f"{one.distribution} {one.version}" for one in claims)
            msg = f"{family}: the kind {name!r} is given by {who}. Uninstall all but one"
            raise KindError(msg)
    return {name: claims[0] for name, claims in found.items()}


SECTIONS = {"sources": "captions"}
"""The family of each section of an experiment whose kinds are registered."""


def why_unknown(family: str, word: str) -> str:
    """What to say of a word after `kind:` that no kind can be had for."""
    kind = kind_named(family, word)
    if kind is not None:
        of = f"{kind.distribution} {kind.version}"
        return f"the kind {word!r} is given by {of}, which cannot be imported: {kind.why}"
    known = ", ".join(name for name, one in kinds_of(family).items() if one.spec is not None)
    return f"no installed package gives a kind {word!r}; there are {known}"


def kind_named(family: str, name: str) -> Kind | None:
    """The kind of this name; None where no installed distribution gives one."""
    return kinds_of(family).get(name)


def _built_in(family: str) -> Iterator[Kind]:
    for where in BUILT_IN[family]:
        module, _, name = where.partition(":")
        spec: type[Spec] = getattr(import_module(module), name)
        yield Kind(family, word_of(spec), OURS, _own_version(), spec)


def _own_version() -> str:
    try:
        return metadata.version(OURS)
    except metadata.PackageNotFoundError:
        return "unknown"


def _of_others(family: str) -> Iterator[Kind]:
    points = metadata.entry_points(group=f"recap.{family}")
    for point in sorted(points, key=lambda point: (point.name, point.value)):
        yield _loaded(family, point)


def _loaded(family: str, point: metadata.EntryPoint) -> Kind:
    dist = point.dist
    name, version = (dist.name, dist.version) if dist is not None else ("unknown", "unknown")
    try:
        spec = point.load()
        why = _unfit(point.name, spec)
    except Exception as error:
        spec, why = None, one_line(f"{type(error).__name__}: {error}")
    if why or spec is None:
        return Kind(family, point.name, name, version, None, why)
    spec.distribution, spec.distribution_version = name, version
    return Kind(family, point.name, name, version, spec)


def _unfit(name: str, spec: object) -> str:
    if not (isinstance(spec, type) and issubclass(spec, Spec)):
        return f"{spec!r} is no subclass of recap_assets.specs.base.Spec"
    if word_of(spec) != name:
        return f"its field `kind` is {word_of(spec)!r} and not {name!r}, as its entry point says"
    if isabstract(spec):
        return f"it does not give {', '.join(sorted(spec.__abstractmethods__))}"
    return ""


def word_of(spec: type[Spec]) -> str:
    """The word after `kind:` that means this class; "" where it has none."""
    field = spec.model_fields.get("kind")
    words = get_args(field.annotation) if field is not None else ()
    return str(words[0]) if len(words) == 1 else ""


@dataclass(frozen=True)
class OneOf:
    """In a field's type: one of the kinds of a family, by the word after `kind:`."""

    family: str

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """The schema of all kinds that can be imported."""
        specs = [kind.spec for kind in kinds_of(self.family).values() if kind.spec is not None]
        union: Any = Union[tuple(specs)]  # noqa: UP007 - of a list that is known only now
        return handler.generate_schema(Annotated[union, Field(discriminator="kind")])
