"""A text that is put together from other texts of an image, without a model: what a user writes."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, field_validator

from recap_assets.captions.kind import OwnAssets
from recap_assets.specs.prompts import Prompt, names_in, references_in
from recap_assets.specs.references import Reference


class TemplateSpec(OwnAssets):
    """Texts put together from other sources and columns of the pool, without a model."""

    example = """\
titled: {kind: template, template: "{raw}, {blip2}"}   # sources, and names of `pool.columns`
"""

    of_image_alone = True

    kind: Literal["template"]
    template: Prompt = Field(
        description="The text, with sources and columns of the pool in braces: `a satellite image "
        "of {label}`. Of a source its first usable candidate is taken. A brace itself is doubled."
    )

    @field_validator("template")
    @classmethod
    def _names_something(cls, template: str) -> str:
        if not names_in(template):
            msg = f"{template!r} is the same for every image: name a source or a column in braces"
            raise ValueError(msg)
        return template

    @property
    def names(self) -> tuple[str, ...]:
        """The sources and columns in the template."""
        return names_in(self.template)

    def refers(self) -> Iterator[Reference]:
        """The sources and columns in the template."""
        yield from references_in("template", self.template)
