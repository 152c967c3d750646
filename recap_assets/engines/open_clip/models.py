"""Models of open_clip by name and tag, from a folder or from a file; safetensors only.

open_clip itself falls back to pickled checkpoints, starts from random weights where none are given,
and only warns where a tag's activation is not the architecture's. Here the first two are errors and
the third is set right. Of a folder it is shown what `model_folders` made of it.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.factory import load_checkpoint
from torch import nn

from recap_assets.engines.errors import ModelFileError, NotFetchedError, explain_loading
from recap_assets.engines.model_folders.configs import OPEN_CLIP_CONFIG
from recap_assets.engines.model_folders.hub_files import fetched, is_offline
from recap_assets.engines.model_folders.open_clip_configs import (
    OpenClipConfig,
    read_open_clip_config,
)
from recap_assets.engines.model_folders.skeletons import check_skeleton, put, without_memory
from recap_assets.engines.model_folders.staging import (
    TOKENIZER_FILES,
    stage_config,
    stage_tokenizer,
    staging,
    write_json,
)
from recap_assets.engines.model_folders.weight_limits import is_beyond
from recap_assets.engines.model_folders.weights import Weights, read_weights
from recap_assets.engines.open_clip.tokenizers import make_tokenizer
from recap_assets.specs.running import Precision

_LOCAL, _HUB = "local-dir:", "hf-hub:"
_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")
_FETCHED = (OPEN_CLIP_CONFIG, *_WEIGHTS, *TOKENIZER_FILES)
_PRECISIONS = {"float32": "fp32", "bfloat16": "pure_bf16", "float16": "pure_fp16"}
_FALSE_ALARMS = ("No pretrained weights loaded", "Local config loaded, but no CLIP weights")
_CONVERT = (
    "Only safetensors are read, because a pickle can run code. Convert it on a machine that you "
    "can spare: `open_clip.create_model(NAME, pretrained=FILE)`, then "
    "`safetensors.torch.save_file(model.state_dict(), 'open_clip_model.safetensors')`"
)


@dataclass(frozen=True)
class _Checkpoint:
    """Where the weights are, and what their tag says beside the architecture's config."""

    path: Path
    tag: dict[str, Any]


def load_open_clip_model(
    model: str, pretrained: str | None, precision: Precision, device: torch.device
) -> nn.Module:
    """The model in eval mode, with `visual.preprocess_cfg` set.

    Args:
        model: open_clip's name, `local-dir:FOLDER` or `hf-hub:ID`.
        pretrained: A tag of that name or a safetensors file; not given with a folder or hub id.
        precision: What all weights are cast to.
        device: Where to put it.

    Raises:
        ModelFileError: The model is missing, damaged, pickled, or does not fit its config.
    """
    label = model if pretrained is None else f"{model} ({pretrained})"
    with explain_loading(label, _advice(model)), without_false_alarms():
        checkpoint = _find(model, pretrained)
        if checkpoint.path.suffix != ".safetensors":
            msg = f"{label}: {checkpoint.path} is not a safetensors file. {_CONVERT}"
            raise ModelFileError(msg)
        held = read_weights([checkpoint.path])
        with _architecture(model, held) as name, _where_it_fits(held) as at:
            created: Any = open_clip.create_model(
                name,
                load_weights=False,
                precision=_PRECISIONS[precision],
                pretrained_text=False,
                force_quick_gelu=bool(checkpoint.tag.get("quick_gelu")),
                force_preprocess_cfg=_preprocessing(checkpoint.tag),
                device=at,
            )
        with _without_warnings_of_copies():
            # The file is mapped into memory: of what nothing is copied from, no page is read.
            load_checkpoint(created, str(checkpoint.path))
    put(created, device)
    return created.eval()


def load_open_clip_tokenizer(model: str) -> Any:  # noqa: ANN401 - a callable of several classes
    """The tokenizer of a model: texts to ids of shape (n, context length)."""
    with explain_loading(model, _advice(model)):
        text = open_clip_config(model)["text_cfg"]
        named = text.get("hf_tokenizer_name")
        if not named:
            return make_tokenizer(text, None)
        # A folder brings its own vocabulary; open_clip's names and the hub's say whose it is.
        local = model.startswith(_LOCAL)
        folder = _folder_of(model) if local else fetched(named, None, TOKENIZER_FILES)
        with staging(folder) as staged:
            stage_tokenizer(folder, staged)
            return make_tokenizer(text, staged)


def open_clip_config(model: str) -> dict[str, Any]:
    """`model_cfg` of a model by name, folder or hub id, checked.

    Raises:
        ModelFileError: There is no such model, or its config is damaged or asks for what no model
            is given.
    """
    if model.startswith((_LOCAL, _HUB)):
        with explain_loading(model, _advice(model)):
            return read_open_clip_config(_folder_of(model)).model
    config = open_clip.get_model_config(model)
    if config is None:
        msg = f"open_clip has no model named {model}; `open_clip.list_models()` lists them"
        raise ModelFileError(msg)
    return config


@contextmanager
def _where_it_fits(held: Weights) -> Iterator[str]:
    """The device to make a model on: one without memory where no weights are to be read."""
    if not is_beyond(held):
        yield "cpu"
        return
    with without_memory():
        yield "meta"


@contextmanager
def _without_warnings_of_copies() -> Iterator[None]:
    """Within it torch does not warn, for each weight, that a skeleton takes no numbers."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "for .*: copying from a non-meta parameter", UserWarning)
        yield


@contextmanager
def _architecture(model: str, held: Weights) -> Iterator[str]:
    """What open_clip calls the architecture, of a folder after it was found to fit its weights."""
    if not model.startswith((_LOCAL, _HUB)):
        yield model
        return
    folder = _folder_of(model)
    with staging(folder) as staged:
        config = read_open_clip_config(folder, held.n_tensors)
        _stage_text_model(config, staged)
        write_json(staged / OPEN_CLIP_CONFIG, config.as_json)
        name = f"{_LOCAL}{staged}"
        check_skeleton(
            config.path,
            lambda: open_clip.create_model(
                name, load_weights=False, pretrained_text=False, device="meta"
            ),
            held,
        )
        yield name


def _stage_text_model(config: OpenClipConfig, staged: Path) -> None:
    """A text tower of transformers is built by the config of a repository of the hub."""
    if named := config.text.get("hf_model_name"):
        below = staged / "text_model"
        below.mkdir()
        stage_config(fetched(named, None, ["config.json"]), below, 0)
        config.text["hf_model_name"] = str(below)


def _folder_of(model: str) -> Path:
    if model.startswith(_LOCAL):
        return Path(model.removeprefix(_LOCAL))
    return fetched(model.removeprefix(_HUB), None, (OPEN_CLIP_CONFIG, *TOKENIZER_FILES))


def input_dtype(precision: Precision) -> torch.dtype:
    """What the model takes images as."""
    return open_clip.get_input_dtype(_PRECISIONS[precision]) or torch.float32


@contextmanager
def without_false_alarms() -> Iterator[None]:
    """Drop open_clip's warnings of random weights: they are meant, or ours come a moment later.

    It warns by functions that give a root logger without a handler one for good, which would then
    print what every library says, in another form.
    """

    def keep(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(_FALSE_ALARMS)

    root = logging.getLogger()
    plain = None if root.handlers else logging.lastResort
    root.addFilter(keep)
    if plain is not None:
        root.addHandler(plain)
    try:
        yield
    finally:
        root.removeFilter(keep)
        if plain is not None:
            root.removeHandler(plain)


def _find(model: str, pretrained: str | None) -> _Checkpoint:
    if model.startswith((_LOCAL, _HUB)):
        if pretrained is not None:
            msg = f"{model} brings its own weights: leave pretrained ({pretrained}) out"
            raise ModelFileError(msg)
        if model.startswith(_LOCAL):
            return _Checkpoint(_weights_in(Path(model.removeprefix(_LOCAL))), {})
        return _Checkpoint(_weights_in(fetched(model.removeprefix(_HUB), None, _FETCHED)), {})
    return _find_named(model, pretrained)


def _find_named(model: str, pretrained: str | None) -> _Checkpoint:
    if model not in open_clip.list_models():
        msg = f"open_clip has no model named {model}; `open_clip.list_models()` lists them"
        raise ModelFileError(msg)
    tags = open_clip.list_pretrained_tags_by_model(model)
    known = f"a tag ({', '.join(tags) or 'this model has none'}) or a safetensors file"
    if pretrained is None:
        msg = f"{model} needs weights: give {known} as pretrained"
        raise ModelFileError(msg)
    if pretrained in tags:
        tag = open_clip.get_pretrained_cfg(model, pretrained)
        if is_offline() and "hf_hub" not in tag and "file" not in tag:
            msg = f"{model}: the weights {pretrained} are not the hub's, and nothing is fetched now"
            raise NotFetchedError(msg)
        path = open_clip.download_pretrained(tag, prefer_hf_hub=True)
        return _Checkpoint(Path(path), tag)
    if not Path(pretrained).is_file():
        msg = f"{model}: there is no file {pretrained}; pretrained takes {known}"
        raise ModelFileError(msg)
    return _Checkpoint(Path(pretrained), {})


def _weights_in(folder: Path) -> Path:
    """The one safetensors file of a folder; open_clip's own name goes first."""
    if not (folder / OPEN_CLIP_CONFIG).is_file():
        msg = f"cannot load {folder}: it has no {OPEN_CLIP_CONFIG}. {_advice(str(folder))}"
        raise ModelFileError(msg)
    found = [folder / name for name in _WEIGHTS if (folder / name).is_file()]
    found = found or sorted(folder.glob("*.safetensors"))
    if len(found) != 1 and (not found or found[0].name not in _WEIGHTS):
        names = ", ".join(path.name for path in sorted(folder.iterdir()))
        msg = f"cannot load {folder}: one safetensors file is needed, there are {names}. {_CONVERT}"
        raise ModelFileError(msg)
    return found[0]


def _preprocessing(tag: dict[str, Any]) -> dict[str, Any]:
    keys = ("mean", "std", "interpolation", "resize_mode")
    return {key: tag[key] for key in keys if key in tag}


def _advice(model: str) -> str:
    return (
        f"On a machine with network, download {model.removeprefix(_HUB)} "
        "(`hf download REPOSITORY --local-dir FOLDER`), then give `local-dir:FOLDER` with "
        f"{OPEN_CLIP_CONFIG} and {_WEIGHTS[0]}, or the model's name with the safetensors file as "
        "pretrained."
    )
