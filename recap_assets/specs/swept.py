"""The section `sweep`: the values that a setting takes; sweeps.py adds the parts."""

from pydantic import Field

from recap_assets.specs.base import Name, Spec

Swept = str | int | float | bool


class SweptOnly(Spec):
    """The values of a setting, and which of the mixes that use its part are varied."""

    values: tuple[Swept, ...] = Field(min_length=1, description="What the setting takes.")
    only: tuple[Name, ...] | None = Field(default=None, description="These mixes; by default all.")
