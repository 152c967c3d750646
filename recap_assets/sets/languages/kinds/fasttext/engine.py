"""fastText's language models, read by a build of fastText that only predicts."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import fasttext  # pyright: ignore[reportMissingTypeStubs]

from recap_assets.engines.errors import ModelFileError, ModelFolderError, explain_loading
from recap_assets.engines.model_folders.children import run_child
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.files import check_regular

MAX_BYTES = 2 * 2**30
"""NLLB's model of 218 languages has 1.2 GB."""

MEMORY_BYTES = 256 * 2**20
SECONDS = 15.0
_CHILD = "recap_assets.engines.model_folders.fast_text_child"
_PREFIX = "__label__"
_ADVICE = "Name a fastText model of languages such as lid.176.bin, or `bundled`"


class FastText:
    """A fastText model as DataComp's filters call it: a line break counts as a space."""

    def __init__(self, model: "fasttext.FastText._FastText") -> None:
        self._model = model

    def identify(self, texts: Sequence[str]) -> list[tuple[str, float]]:
        """The model's labels, for lid.176 ISO 639 codes, and their probabilities."""
        return [self._identify(text.replace("\n", " ")) for text in texts]

    def _identify(self, line: str) -> tuple[str, float]:
        labels, probabilities = self._model.predict(line)
        # The library gives one of each unless a threshold is set.
        return next(iter(labels)).removeprefix(_PREFIX), float(next(iter(probabilities)))


def load_fast_text(path: Path) -> FastText:
    """The model of a file.

    Raises:
        ModelFileError: The file is missing or no fastText model, or one that does not classify.
    """
    with explain_loading(str(path), _ADVICE):
        stat = path.stat()
        _try(path, stat.st_size, stat.st_mtime_ns)
        model = fasttext.load_model(str(path))
        labels, _ = model.predict("a")
    if not labels or not labels[0].startswith(_PREFIX):
        msg = f"{path} labels a text as {labels}, which is no language. {_ADVICE}"
        raise ModelFileError(msg)
    return FastText(model)


@lru_cache(maxsize=8)
def _try(path: Path, size: int, _modified: int) -> None:
    """Load it where it can be ended: the library believes whatever sizes a file states."""
    if size > MAX_BYTES:
        msg = f"it has {size:,} bytes, a model of languages has at most {MAX_BYTES:,}"
        raise ModelFolderError(msg)
    try:
        check_regular(path)
        run_child(_CHILD, {"path": str(path)}, SECONDS, 2 * size + MEMORY_BYTES)
    except UntrustedError as error:
        raise ModelFolderError(str(error)) from error
