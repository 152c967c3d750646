"""The configs of a model folder, read within bounds; what names code is refused or left out."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from recap_assets.engines.errors import ModelFolderError
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.files import read_bounded
from recap_assets.untrusted.json_text import parse_json
from recap_assets.untrusted.showing import one_line

MAX_CONFIG_BYTES = 16 * 2**20
"""Of one config: those with the labels of ImageNet-21k have 2 MiB."""

OPEN_CLIP_CONFIG = "open_clip_config.json"
"""The name of a config in open_clip's layout."""

MAX_NUMBER = 1 << 24
"""No size of a model is larger: Llama 4 has 10,485,760 positions."""

MAX_LAYERS = 512
"""Of a tower, where the tensors of the weights do not show more."""

LEFT_OUT = frozenset(
    {
        "auto_map", "trust_remote_code", "custom_pipelines", "custom_generate", "custom_object_map",
        "_attn_implementation", "attn_implementation", "_attn_implementation_internal",
        "_attn_implementation_autoset", "_experts_implementation", "experts_implementation",
        "_experts_implementation_internal", "_commit_hash", "_name_or_path", "name_or_path",
        "audio_tokenizer", "use_kernels", "kernel_config", "transformers_weights", "tp_plan",
        "base_model_tp_plan", "base_model_pp_plan", "is_local", "tokenizer_file", "vocab_file",
        "merges_file", "spm_file", "special_tokens_map_file", "added_tokens_file",
        "tokenizer_config_file", "chat_template_file", "fast_tokenizer_files", "gguf_file",
        "adapter_kwargs", "use_pretrained_backbone", "pretrained_cfg_overlay",
        "dtype", "torch_dtype", "local_files_only", "token", "cache_dir",
    }
)  # fmt: skip
"""Keys that would name code, kernels, other files or other places: they never reach a library.
How attention is computed, and in which type, the experiment says."""

_NO_SIZE = re.compile(
    r"(^|_)(ids?|theta|seed|window|pixels|base|factor|scale|period|length|freq(uency)?|edge|"
    r"version|budget|priority|timesteps?)($|_)"
)
"""Numbers under such keys are no sizes of tensors."""

_LAYERS = re.compile(r"(^|_)(layers?|depths?|blocks|stages|experts)($|_)|^n_layer$")
_METHODS = ("bitsandbytes",)


def read_config(path: Path, limit: int = MAX_CONFIG_BYTES) -> dict[str, Any]:
    """The mapping in a JSON file.

    Raises:
        ModelFolderError: It is missing, no regular file, too large or deep, or no mapping.
    """
    try:
        content = parse_json(read_bounded(path, limit), limit)
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise ModelFolderError(msg) from error
    except UntrustedError as error:
        raise ModelFolderError(f"{path}: {error}. Download the model again") from error
    if not isinstance(content, dict):
        msg = f"{path}: it is no mapping of keys. Download the model again"
        raise ModelFolderError(msg)
    return cast("dict[str, Any]", content)


def refuse(path: Path, key: str, value: object, why: str) -> ModelFolderError:
    """The error that names the file, the key, its value and what to do."""
    shown = one_line(key, 200)
    return ModelFolderError(f"{path}: {shown} is {one_line(repr(value), 120)}: {why}")


def without_code(content: Mapping[str, Any]) -> dict[str, Any]:
    """The config without the keys in `LEFT_OUT`, at any depth."""
    return {key: _without_code(value) for key, value in content.items() if key not in LEFT_OUT}


def _without_code(value: object) -> object:
    if isinstance(value, dict):
        return without_code(cast("dict[str, Any]", value))
    if isinstance(value, list):
        return [_without_code(item) for item in cast("list[object]", value)]
    return value


def check_numbers(path: Path, content: Mapping[str, Any], n_tensors: int) -> None:
    """Refuse sizes that no model has, before any is built.

    Args:
        path: The config's, for the error.
        content: The config.
        n_tensors: Tensors of the weights: a model has no more layers than tensors.

    Raises:
        ModelFolderError: Naming the key and its value.
    """
    most_layers = max(n_tensors, MAX_LAYERS)
    for key, number in _numbers(content, ""):
        name = key.rpartition(".")[2]
        if _LAYERS.search(name) and number > most_layers:
            why = f"the weights have {n_tensors:,} tensors, so there are not as many layers"
            raise refuse(path, key, number, why)
        if abs(number) > MAX_NUMBER and not _NO_SIZE.search(name):
            raise refuse(path, key, number, f"no model has more than {MAX_NUMBER:,}")


def _numbers(value: object, key: str) -> Iterator[tuple[str, int]]:
    if isinstance(value, dict):
        for name, inner in cast("dict[str, object]", value).items():
            if name not in ("label2id", "id2label"):
                yield from _numbers(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for inner in cast("list[object]", value):
            yield from _numbers(inner, key)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield key, value


def check_quantization(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse quantized weights whose reader is another library, or a kernel from the hub."""
    for holder in (content, *(v for v in content.values() if isinstance(v, dict))):
        found = cast("Mapping[str, Any]", holder).get("quantization_config")
        if found is None:
            continue
        method = found.get("quant_method") if isinstance(found, dict) else found
        if method not in _METHODS:
            why = (
                "weights of that kind are read by code from elsewhere; take the repository with "
                "plain weights, and give `quantization` in the experiment to load them in fewer "
                "bits"
            )
            raise refuse(path, "quantization_config.quant_method", method, why)
