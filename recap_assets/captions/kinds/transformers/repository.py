"""What a repository of the hub says that it is, before anything of it is loaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import AutoConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from recap_assets.captions.kinds.transformers.spec import TransformersSpec
from recap_assets.engines.errors import ModelFileError
from recap_assets.engines.model_folders.configs import read_config
from recap_assets.engines.model_folders.hub_files import model_folder
from recap_assets.engines.model_folders.staging import stage_config, staging
from recap_assets.untrusted.showing import one_line

EXAMPLES = {
    "blip": "Salesforce/blip-image-captioning-base",
    "blip-2": "Salesforce/blip2-opt-2.7b",
    "instructblip": "Salesforce/instructblip-vicuna-7b",
    "git": "microsoft/git-base-coco",
    "florence2": "florence-community/Florence-2-large",
}
"""Families with an adapter of their own, and a repository of each."""

CHAT_TYPES = frozenset(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES) - frozenset(EXAMPLES)
"""Types that transformers loads as models from image and text to text."""

_PORTED = {
    "florence2": "florence-community/Florence-2-large or florence-community/Florence-2-base",
    "internvl_chat": "OpenGVLab/InternVL3-8B-hf",
    "llava_llama": "llava-hf/llava-1.5-7b-hf",
    "llava_mistral": "llava-hf/llava-v1.6-mistral-7b-hf",
    "llava_qwen": "llava-hf/llava-onevision-qwen2-7b-ov-hf",
}
"""Types whose first repositories bring their own code, and repositories of the same model with
weights for the class in transformers."""


OPTIONS: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
"""How every file of a model is read: from the folder here, and no code of it is ever run."""


def advice(source: TransformersSpec) -> str:
    """What to do where a model cannot be read."""
    return (
        f"On a machine with network: `hf download {source.model} --local-dir FOLDER`, then give "
        "FOLDER as the model. Only safetensors are read: where a repository has none, load it once "
        "on a machine that you can spare and write it with `save_pretrained(FOLDER)`."
    )


def folder_of(source: TransformersSpec) -> Path:
    """Where the model's files are, fetched if they are the hub's.

    Raises:
        ModelFileError: There is no such folder, the model needs code of its own, or its type is
            not known.
    """
    return model_folder(source.model, source.revision, lambda folder: check_kind(source, folder))


def check_kind(source: TransformersSpec, folder: Path) -> None:
    """Look that the model is of a family that can be decoded.

    Raises:
        ModelFileError: It is not, or it needs code of its own.
    """
    raw = read_config(folder / "config.json")
    kind = str(raw.get("model_type"))
    _refuse_code_of_its_own(source.model, kind, raw)
    if kind not in EXAMPLES and kind not in CHAT_TYPES:
        raise ModelFileError(f"{source.model} is a model of type {one_line(kind, 80)}; {known()}")
    with staging(folder) as staged:
        stage_config(folder, staged, 0)
        library_config(source, staged)


def library_config(source: TransformersSpec, staged: Path) -> Any:  # noqa: ANN401 - the library's own type
    """The config of a staged model as transformers reads it.

    Raises:
        ModelFileError: It is of a kind that cannot be decoded.
    """
    config = AutoConfig.from_pretrained(staged, **OPTIONS)
    if config.model_type in CHAT_TYPES and config.is_encoder_decoder:
        kind = config.model_type
        msg = f"{source.model} is an encoder-decoder of type {kind}, which is not known; {known()}"
        raise ModelFileError(msg)
    return config


def known() -> str:
    """The families that can be loaded, for messages."""
    own = ", ".join(f"{kind} ({example})" for kind, example in EXAMPLES.items())
    return f"kind transformers takes {own} and chat models of type {', '.join(sorted(CHAT_TYPES))}"


def _refuse_code_of_its_own(model: str, kind: str, raw: Mapping[str, Any]) -> None:
    is_native = kind in EXAMPLES or kind in CHAT_TYPES
    if "auto_map" not in raw or (is_native and kind not in _PORTED):
        return
    ported = _PORTED.get(kind)
    instead = f"take {ported}, which needs none" if ported else known()
    msg = f"{model} (type {kind}) brings its own code, which is never run; {instead}"
    raise ModelFileError(msg)
