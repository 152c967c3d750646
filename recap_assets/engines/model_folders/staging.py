"""The folder that a library reads in a model folder's place.

Configs are written again from what was checked; vocabularies and weights are linked to; templates
are copied within a bound. Whatever else is in the model's folder (code, adapters, kernels,
pickles, further templates) is not there.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from recap_assets.engines.errors import ModelFolderError
from recap_assets.engines.model_folders.configs import (
    check_numbers,
    check_quantization,
    read_config,
    refuse,
    without_code,
)
from recap_assets.engines.model_folders.processors import check_processor
from recap_assets.engines.model_folders.timm_configs import check_timm, without_places
from recap_assets.engines.model_folders.tokenizer_files import check_tokenizer_file
from recap_assets.specs.requirements import pip_install
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.files import check_regular, read_bounded

MAX_TEMPLATE_BYTES = 2**20
"""Of a chat template; the longest known have 30 kB."""

MAX_VOCABULARY_BYTES = 256 * 2**20

_TOKENIZER = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_PROCESSORS = (
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
)
_VOCABULARIES = ("vocab.json", "vocab.txt", "merges.txt")
_TEMPLATES = ("chat_template.jinja", "chat_template.json")
_GENERATION = {
    "bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id",
    "forced_bos_token_id", "forced_eos_token_id",
}  # fmt: skip
TOKENIZER_FILES = ("tokenizer.json", "config.json", "*.model", *_TOKENIZER, *_VOCABULARIES)
CONFIG_FILES = (*TOKENIZER_FILES, "generation_config.json", *_PROCESSORS, *_TEMPLATES)
"""Names, also as patterns of the hub's, of all that is read beside the weights."""


@contextmanager
def staging(origin: Path | str) -> Iterator[Path]:
    """An empty folder for as long as a model is loaded; errors name `origin` in its place."""
    with tempfile.TemporaryDirectory(prefix="recap-model-") as name:
        try:
            yield Path(name)
        except Exception as error:
            error.args = tuple(
                part.replace(name, str(origin)) if isinstance(part, str) else part
                for part in error.args
            )
            raise


def stage_model(folder: Path, into: Path, weights: list[Path], n_tensors: int) -> dict[str, Any]:
    """Put everything of a model of transformers into `into`; its checked config.

    Raises:
        ModelFolderError: A file is damaged, or asks for what no model is given.
    """
    config = stage_config(folder, into, n_tensors)
    stage_processor(folder, into)
    generation = folder / "generation_config.json"
    if generation.exists():
        known = {k: v for k, v in read_config(generation).items() if k in _GENERATION}
        check_numbers(generation, known, n_tensors)
        _write(into / generation.name, known)
    for path in weights:
        link(path, into)
    index = folder / "model.safetensors.index.json"
    if len(weights) != 1 or weights[0].name != "model.safetensors":
        _write(into / index.name, read_config(index, MAX_VOCABULARY_BYTES))
    return config


def stage_processor(folder: Path, into: Path) -> None:
    """Put what prepares images and texts into `into`: also tokenizers in folders of their own.

    Raises:
        ModelFolderError: A file is damaged, or asks for what no model is given.
    """
    stage_tokenizer(folder, into)
    for name in _PROCESSORS:
        if (path := folder / name).exists():
            content = without_code(read_config(path))
            check_processor(path, content)
            _write(into / name, content)
    for name in _TEMPLATES:
        if (path := folder / name).exists():
            (into / name).write_bytes(_read(path, MAX_TEMPLATE_BYTES))
    for below in sorted(folder.glob("*tokenizer")):
        if below.is_dir():
            (into / below.name).mkdir()
            stage_tokenizer(below, into / below.name)


def stage_tokenizer(folder: Path, into: Path) -> None:
    """Put a tokenizer's files into `into`, tried out in a process of its own.

    Raises:
        ModelFolderError: A file is damaged, or the tokenizer does not come to an end.
    """
    if not (into / "config.json").exists() and (folder / "config.json").exists():
        stage_config(folder, into, 0)
    for name in _TOKENIZER:
        if (path := folder / name).exists():
            content = without_code(read_config(path))
            check_numbers(path, content, 0)
            _check_token_numbers(path, content)
            _write(into / name, content)
    if (path := folder / "tokenizer.json").exists():
        check_tokenizer_file(path)
        link(path, into)
    models = sorted(folder.glob("*.model"))
    _check_reader(folder, models)
    for path in (*(folder / name for name in _VOCABULARIES), *models):
        if path.exists():
            _checked(path, lambda path: _read(path, MAX_VOCABULARY_BYTES))
            link(path, into)


def _check_reader(folder: Path, models: list[Path]) -> None:
    """Refuse a vocabulary of SentencePiece's alone where its library is not installed."""
    others = ("tokenizer.json", *_VOCABULARIES)
    is_alone = models and not any((folder / name).exists() for name in others)
    if is_alone and find_spec("sentencepiece") is None:
        how = f"run `{pip_install('sentencepiece')}`"
        msg = f"{models[0]}: it is read by sentencepiece, which is not installed; {how}"
        raise ModelFolderError(msg)


def link(path: Path, into: Path) -> None:
    """A file of the model's folder under its own name in `into`."""
    _checked(path, check_regular)
    (into / path.name).symlink_to(path.resolve())


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """A checked config for the library to read."""
    path.write_text(json.dumps(content), encoding="utf-8")


_write = write_json


def stage_config(folder: Path, into: Path, n_tensors: int) -> dict[str, Any]:
    """Put a checked `config.json` into `into`; what it says.

    Raises:
        ModelFolderError: It is damaged, or asks for what no model is given.
    """
    path = folder / "config.json"
    content = without_code(read_config(path))
    check_numbers(path, content, n_tensors)
    check_quantization(path, content)
    check_timm(path, content)
    content = without_places(content)
    _write(into / path.name, content)
    return content


def _check_token_numbers(path: Path, content: Mapping[str, Any]) -> None:
    numbers = content.get("added_tokens_decoder") or {}
    if not isinstance(numbers, dict) or not all(n.isdecimal() and len(n) < 9 for n in numbers):
        raise refuse(path, "added_tokens_decoder", list(numbers)[:3], "keys are token numbers")


def _read(path: Path, limit: int) -> bytes:
    return _checked(path, lambda path: read_bounded(path, limit))


def _checked(path: Path, act: Callable[[Path], Any]) -> Any:  # noqa: ANN401 - whatever `act` gives
    try:
        return act(path)
    except UntrustedError as error:
        raise ModelFolderError(f"{path}: {error}. Download the model again") from error
    except OSError as error:
        raise ModelFolderError(f"{path}: cannot be read: {error.strerror}") from error
