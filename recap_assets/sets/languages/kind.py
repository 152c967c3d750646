"""What a kind of language identifier is: a spec that can be opened, and names its library."""

from abc import abstractmethod
from collections.abc import Iterator
from importlib import metadata

from recap_assets.engines.errors import ModelFileError, install_filters
from recap_assets.engines.protocols import LanguageIdentifier, Places
from recap_assets.specs.findings import Finding
from recap_assets.specs.languages import IdentifierSpec


class IdentifierKind(IdentifierSpec):
    """What identifies the language of a text."""

    @abstractmethod
    def open(self) -> LanguageIdentifier:
        """The identifier. It gives a text the same language whatever the other texts.

        Raises:
            ModelFileError: The model or its library is missing, damaged or of another kind.
        """

    @abstractmethod
    def version(self) -> str:
        """The library with its version and, of a file, its name and its content.

        Raises:
            ModelFileError: The library or the file is missing.
        """

    def deciding_version(self) -> str:
        """What of `version` decides the languages: of a file the content, and not its name.

        Raises:
            ModelFileError: The library or the file is missing.
        """
        return self.version()

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:  # noqa: ARG002 - of some kinds
        """Whether it can be opened; `where` is its name in the file."""
        from recap_assets.engines.trying import tried

        yield tried(where, self.word, self.open)


def library_version(library: str) -> str:
    """Name and version of an installed distribution.

    Raises:
        ModelFileError: It is not installed.
    """
    try:
        return f"{library} {metadata.version(library)}"
    except metadata.PackageNotFoundError as error:
        msg = f"{library}, which identifies languages, is not installed. {install_filters()}"
        raise ModelFileError(msg) from error
