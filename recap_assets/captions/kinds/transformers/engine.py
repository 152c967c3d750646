"""Captioners of transformers, from the hub or from a folder in its layout; safetensors only."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor, BitsAndBytesConfig

from recap_assets.captions.kinds.transformers.asked import (
    AskedCaptioner,
    AskedChat,
    AskedModel,
)
from recap_assets.captions.kinds.transformers.blip import Blip
from recap_assets.captions.kinds.transformers.chat import (
    INSTRUCTION,
    MARK,
    Chat,
    NoRoomError,
    fix_prompt,
)
from recap_assets.captions.kinds.transformers.florence import Florence2
from recap_assets.captions.kinds.transformers.git import Git
from recap_assets.captions.kinds.transformers.qformer import Blip2, InstructBlip
from recap_assets.captions.kinds.transformers.repository import (
    CHAT_TYPES,
    OPTIONS,
    advice,
    folder_of,
    library_config,
)
from recap_assets.captions.kinds.transformers.spec import TransformersSpec
from recap_assets.engines.batch_sizes import BatchSize, Load, device_name
from recap_assets.engines.decoding.batching import BatchingCaptioner, FixedSizeReader, Reader
from recap_assets.engines.devices import dtype_of, resolve_device
from recap_assets.engines.errors import DeviceError, ModelFileError, explain_loading
from recap_assets.engines.model_folders.skeletons import put
from recap_assets.engines.model_folders.staging import staging
from recap_assets.engines.model_folders.transformers_models import CheckedFolder
from recap_assets.engines.protocols import Captioner
from recap_assets.shards.images import MAX_DECODED_PIXELS

_ADAPTERS = {"blip-2": Blip2, "instructblip": InstructBlip, "git": Git, "florence2": Florence2}


def load_transformers_captioner(
    source: TransformersSpec, batch_sizes: Path | None = None
) -> Captioner:
    """A captioner of one of the families of `repository`.

    Args:
        source: Model, revision, precision, prompt, decoding, candidates, batch size and devices.
        batch_sizes: File in which batch sizes are kept.

    Raises:
        ModelFileError: The model is missing, damaged, incomplete, of another kind, or asks for
            code of its own; or a library that the source asks for is not installed.
        DeviceError: This machine has no such device.
    """
    device = resolve_device(source.device)
    _check_libraries(source, device)
    with explain_loading(source.model, advice(source)):
        folder = folder_of(source)
        with staging(source.model) as staged:
            reader = _staged_reader(source, folder, staged, device)
    size = BatchSize(source.batch_size, _load(source, device), batch_sizes)
    if isinstance(reader, AskedChat | AskedModel):
        asked = cast("Reader[Any, Any]", reader)
        captioner = BatchingCaptioner(asked, source.decoding, source.candidates, size)
        return cast("Captioner", AskedCaptioner(source, captioner, _tokens_of(reader)))
    return BatchingCaptioner(reader, source.decoding, source.candidates, size)


def _load(source: TransformersSpec, device: torch.device) -> Load:
    """What batch sizes and numbers of rows that agree are found for."""
    # Another attention takes other memory and other kernels.
    attention = "" if source.attention == "auto" else f"{source.attention} attention"
    numbers = (source.precision, source.quantization or "", attention)
    return Load(
        source.model,
        source.revision,
        " ".join(filter(None, numbers)),
        source.decoding.max_tokens,
        device_name(device),
    )


def prompt_costs(captioner: Captioner) -> dict[int, int]:
    """Of a chat model the tokens of a prompt by the pixels of its image, which is square.

    Of the largest image that it is shown and, for comparison, of one with a quarter of its pixels;
    of another family nothing.
    """
    inner = captioner.captioner if isinstance(captioner, AskedCaptioner) else captioner
    reader: Any = inner.reader if isinstance(inner, BatchingCaptioner) else None
    chat = reader.chat if isinstance(reader, AskedChat) else reader
    if not isinstance(chat, Chat):
        return {}
    side = int((chat.max_pixels or MAX_DECODED_PIXELS) ** 0.5)
    squares = [np.full((n, n, 3), 128, np.uint8) for n in (side, max(side // 2, 1))]
    costs: dict[int, int] = {}
    for square in squares:
        try:
            costs[square.shape[0] ** 2] = reader.length(reader.prepare(square))
        except NoRoomError:
            costs[square.shape[0] ** 2] = 0
    return costs


def _staged_reader(
    source: TransformersSpec, folder: Path, staged: Path, device: torch.device
) -> Reader[Any, Any]:
    """The model's adapter, by way of a folder that holds what was checked of its own."""
    checked = CheckedFolder(folder, staged)
    config = library_config(source, staged)
    options = {"dtype": dtype_of(source.precision), **_attention(source, config, device)}
    skeleton = checked.skeleton(
        lambda: AutoModelForImageTextToText.from_config(config, trust_remote_code=False, **options)
    )
    processor: Any = AutoProcessor.from_pretrained(staged, **OPTIONS)
    if config.model_type in CHAT_TYPES:
        instruction = MARK if source.reads else source.asked({}) or INSTRUCTION
        fix_prompt(processor, source.model, instruction)
    options |= _placement(source, device)
    model = _filled(source, checked, skeleton, options)
    is_placed = source.device_map or source.quantization
    at = model.device if is_placed else put(model, device)
    reader = _reader(source, config, model, processor, at)
    _try(source, reader)
    return reader


def _reader(
    source: TransformersSpec,
    config: Any,  # noqa: ANN401 - the library's own type
    model: Any,  # noqa: ANN401 - one of a hundred classes
    processor: Any,  # noqa: ANN401
    device: torch.device,
) -> Reader[Any, Any]:
    """The adapter of the model's family."""
    longest = source.decoding.max_tokens
    plain = source.asked(dict.fromkeys(source.reads, "something"))
    arguments = (model, processor, device, None if source.reads else source.asked({}) or None)
    adapter = _ADAPTERS.get(config.model_type)
    if source.max_pixels is not None and config.model_type not in CHAT_TYPES:
        msg = f"{source.model} ({config.model_type}) shows every image in one size: leave out "
        raise ModelFileError(f"{msg}max_pixels, which is for chat models")
    if config.model_type == "blip":
        fixed = Blip(*arguments, is_fused=source.attention != "eager")
    elif adapter is not None:
        fixed = adapter(*arguments)
    else:
        chat = Chat(*arguments, longest, source.max_pixels)
        return AskedChat(chat, plain) if source.reads else chat
    return AskedModel(fixed, plain, longest) if source.reads else FixedSizeReader(fixed)


@torch.inference_mode()
def _try(source: TransformersSpec, reader: Reader[Any, Any]) -> None:
    """One grey image, up to the first token: what does not fit together fails here, by name."""
    try:
        prepared = reader.prepare(np.full((32, 32, 3), 128, np.uint8))
    except NoRoomError:
        return  # which is reported for every image
    model = reader.batch([prepared])
    if strange := [end for end in model.eos if not 0 <= end < model.vocabulary]:
        msg = f"{source.model} ends a text with token {strange[0]}; it has {model.vocabulary:,}"
        raise ModelFileError(msg)
    if reader.device.type == "meta" and not isinstance(reader, FixedSizeReader | AskedModel):
        return  # what a chat model makes of a prompt is a matter of its numbers
    model.start(model.encode(model.prepare(cast("Any", 0))[None]))


def _tokens_of(reader: AskedChat | AskedModel) -> frozenset[str]:
    processor = reader.chat.processor if isinstance(reader, AskedChat) else reader.model.processor
    return frozenset(str(one) for one in processor.tokenizer.added_tokens_decoder.values())


def _check_libraries(source: TransformersSpec, device: torch.device) -> None:
    """Libraries that only some options need."""
    needs = {
        "accelerate": source.device_map or source.quantization,
        "bitsandbytes": source.quantization,
        "flash_attn": source.attention == "flash_attention_2",
    }
    for library, option in needs.items():
        if option and find_spec(library) is None:
            msg = (
                f"cannot load {source.model} as asked: {library} is not installed. Leave out "
                "device_map, quantization and flash_attention_2, or `pip install "
                f"{library.replace('_', '-')}`"
            )
            raise ModelFileError(msg)
    if device.type != "cuda" and (source.quantization or needs["flash_attn"]):
        option = "attention flash_attention_2" if needs["flash_attn"] else "quantization"
        msg = f"{option} needs a GPU of NVIDIA's; this machine would compute on {device.type}"
        raise DeviceError(msg)


def _filled(
    source: TransformersSpec,
    checked: CheckedFolder,
    skeleton: Any,  # noqa: ANN401 - one of a hundred classes
    options: Mapping[str, Any],
) -> Any:  # noqa: ANN401 - as above
    """The weights, all of them: transformers itself would fill a gap with random numbers."""
    read = AutoModelForImageTextToText.from_pretrained
    model, lacking = checked.model(skeleton, read, **options)
    if lacking:
        first = ", ".join(lacking[:8])
        msg = f"{source.model} lacks tensors of its own config: {first}. {advice(source)}"
        raise ModelFileError(msg)
    return model


def _attention(source: TransformersSpec, config: Any, device: torch.device) -> dict[str, Any]:  # noqa: ANN401
    """How attention is computed: the library's choice, but for one query on a CPU.

    There the fused kernel gives a single query other bits in another batch.
    """
    if source.attention != "auto":
        # BLIP has an attention of its own, and we fuse it ourselves.
        is_ours = config.model_type == "blip" and source.attention == "sdpa"
        return {} if is_ours else {"attn_implementation": source.attention}
    has_text = "text_config" in config.sub_configs
    if device.type == "cpu" and has_text and config.model_type != "blip":
        return {"attn_implementation": {"text_config": "eager"}}
    return {}


def _placement(source: TransformersSpec, device: torch.device) -> dict[str, Any]:
    """Which device holds what, where that is not simply one device; and the weights' bits."""
    placement: dict[str, Any] = {}
    if source.device_map or source.quantization:
        placement["device_map"] = source.device_map or {"": device}
    if source.quantization:
        placement["quantization_config"] = BitsAndBytesConfig(
            load_in_8bit=source.quantization == "8bit",
            load_in_4bit=source.quantization == "4bit",
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=dtype_of(source.precision),
        )
    return placement
