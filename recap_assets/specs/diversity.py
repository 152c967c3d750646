"""The section `diversity`: how the diversity of captions is measured."""

from typing import Annotated

from pydantic import Field

from recap_assets.specs.base import Spec
from recap_assets.specs.fields import Content


class Diversity(Spec):
    """How the diversity of a caption source is measured."""

    sample: int = Field(
        default=1_000,
        gt=0,
        le=1_000_000,
        description="Captions of the equal-sized sample on which counts are exact.",
    )
    nouns: Annotated[str | None, Content(names=("embedded", "english"))] = Field(
        default=None,
        description="Lexicon of nouns: a file, one a line; `english`, made from WordNet 3.0; or "
        "`embedded`, the embedded world's own. By default the world's own on its pools, and "
        "`english` on others.",
    )
    seed: int = 0
