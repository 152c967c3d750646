"""CLD3, Google's network of character n-grams, through a maintained build of gcld3."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from recap_assets.engines.errors import explain_loading, install_filters
from recap_assets.engines.protocols import LanguageIdentifier
from recap_assets.sets.languages.kind import IdentifierKind, library_version

if TYPE_CHECKING:
    import gcld3  # pyright: ignore[reportMissingTypeStubs]


class Cld3Identifier(IdentifierKind):
    """Google's CLD3 (gcld3), by which LAION and DataComp's laion2b filter go."""

    extra = "filters"

    kind: Literal["cld3"]
    min_bytes: int = Field(
        default=0, ge=0, le=2**20, description="Shorter texts have no language, in bytes."
    )
    max_bytes: int = Field(
        default=1000, gt=0, le=2**20, description="Bytes of a text that are read."
    )

    def open(self) -> LanguageIdentifier:
        """The network, which comes with the library."""
        with explain_loading("CLD3", install_filters()):
            import gcld3  # pyright: ignore[reportMissingTypeStubs]

        return _Cld3(
            gcld3.NNetLanguageIdentifier(min_num_bytes=self.min_bytes, max_num_bytes=self.max_bytes)
        )

    def version(self) -> str:
        """The library with its version."""
        return library_version("cld3-py")


class _Cld3:
    """CLD3 as DataComp's laion2b filter calls it: a line break counts as a space."""

    def __init__(self, model: "gcld3.NNetLanguageIdentifier") -> None:
        self._model = model

    def identify(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """BCP-47 codes and probabilities; `und` where the text is too short."""
        found = (self._model.FindLanguage(text=text.replace("\n", " ")) for text in texts)
        return [(one.language, one.probability) for one in found]
