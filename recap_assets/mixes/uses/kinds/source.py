"""The captions of one source, written as its name alone."""

from collections.abc import Iterator, Sequence

from pydantic import GetJsonSchemaHandler, TypeAdapter, model_serializer
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from recap_assets.mixes.uses.kind import Name, OneImage, Reference, Use, UseSpec


class SourceUse(Use):
    """The captions of one source: its name."""

    source: Name

    @model_serializer
    def _as_written(self) -> str:
        return self.source

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """That of a name."""
        return handler(TypeAdapter(Name).core_schema)

    @property
    def sources(self) -> tuple[str, ...]:
        """The source."""
        return (self.source,)

    @property
    def plain_source(self) -> str | None:
        """The source."""
        return self.source

    def refers(self) -> Iterator[Reference]:
        """The source, which stands where the use does."""
        yield Reference("", self.source, "source_names")

    def keeping(self, sources: Sequence[str]) -> UseSpec:  # noqa: ARG002 - never of several
        """It has but one."""
        return self

    def phrase(self) -> str:
        """Its name."""
        return self.source

    def words(self, image: OneImage, chosen: int | None, weight: float) -> str:  # noqa: ARG002
        """The caption."""
        return f"use {image.scored(self.source)}"
