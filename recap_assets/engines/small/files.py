"""The folder of a saved small model: config.json, model.safetensors, tokenizer.json."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from recap_assets.engines.errors import ModelFileError, explain_loading
from recap_assets.engines.model_folders import configs as model_folders
from recap_assets.engines.model_folders.skeletons import check_skeleton
from recap_assets.engines.model_folders.tokenizer_files import check_tokenizer_file
from recap_assets.engines.model_folders.weights import read_weights

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
ModelT = TypeVar("ModelT", bound=nn.Module)
_REMEDY = "build the model's asset again, or point to another folder"


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it there in one step."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` with sorted keys, whole or not at all."""
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_weights(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors as safetensors, whole or not at all."""
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(path, lambda temporary: save_file(content, temporary))


def save_model(
    directory: Path, config: dict[str, Any], model: nn.Module, tokenizer: Tokenizer
) -> None:
    """Write a small model; the config comes last, so a folder that has it is complete."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / CONFIG).unlink(missing_ok=True)
    write_whole(directory / TOKENIZER, lambda temporary: tokenizer.save(str(temporary)))
    write_weights(directory / WEIGHTS, model.state_dict())
    write_json(directory / CONFIG, config)


def read_config(directory: Path, kind: str) -> dict[str, Any]:
    """The config of the model in `directory`.

    Raises:
        ModelFileError: There is none, or it is of another kind than `kind`.
    """
    path = directory / CONFIG
    try:
        config = model_folders.read_config(path)
    except ModelFileError as error:
        msg = f"{path}: no readable model config ({error}): {_REMEDY}"
        raise ModelFileError(msg) from error
    if config.get("kind") != kind:
        msg = f"{path}: the model is of kind {config.get('kind')!r}, needed is {kind!r}: {_REMEDY}"
        raise ModelFileError(msg)
    return config


def read_model(directory: Path, kind: str, build: Callable[[Mapping[str, Any]], ModelT]) -> ModelT:
    """The model saved in `directory`, in eval mode.

    Args:
        directory: What `save_model` wrote.
        kind: The one that its config must name.
        build: Makes the model of a config, weights aside.

    Raises:
        ModelFileError: A file is missing, truncated or of another kind, or the config describes no
            model, or a larger one than the weights are.
    """
    config = read_config(directory, kind)
    model = _built(directory, config, lambda: build(config))
    _read_weights(directory, model)
    return model.eval()


def _built(directory: Path, config: Mapping[str, Any], build: Callable[[], ModelT]) -> ModelT:
    """The model that `config` describes, after finding that it is as large as its weights."""
    path = directory / CONFIG
    with explain_loading(str(path), _REMEDY):
        weights = read_weights([directory / WEIGHTS])
        model_folders.check_numbers(path, config, weights.n_tensors)
        check_skeleton(path, build, weights)
        return build()


def _read_weights(directory: Path, model: nn.Module) -> None:
    path = directory / WEIGHTS
    try:
        model.load_state_dict(load_file(path))
    except (SafetensorError, OSError, RuntimeError) as error:
        msg = f"{path}: the weights are missing, truncated or of another model ({error}): {_REMEDY}"
        raise ModelFileError(msg) from error


def read_tokenizer(directory: Path) -> Tokenizer:
    """The saved tokenizer.

    Raises:
        ModelFileError: The file is missing or damaged.
    """
    path = directory / TOKENIZER
    try:
        check_tokenizer_file(path, is_tried=False)
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        msg = f"{path}: the tokenizer cannot be read ({error}): {_REMEDY}"
        raise ModelFileError(msg) from error
