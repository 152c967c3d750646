"""BLIP and BLIP-2 from a Hugging Face folder or the hub.

The models are those of transformers; decoding is our own (`decoding.py`), because `generate` draws
from one generator for the whole batch. Captions carry no prompt. Every image of a batch has the
same prompt, so lengths differ only in how soon a caption ends, and ended ones leave the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoProcessor,
    Blip2ForConditionalGeneration,
    BlipForConditionalGeneration,
    DynamicCache,
    EncoderDecoderCache,
)
from transformers.utils import logging

from recap_assets.engines.captioning.decoding import SamplingCaptioner
from recap_assets.engines.devices import dtype_of, resolve_device
from recap_assets.engines.errors import ModelFileError, explain_loading
from recap_assets.engines.protocols import Captioner, Image
from recap_assets.specs.sources import TransformersSource

_BLIP, _BLIP2 = "blip", "blip-2"


@dataclass
class CachedState:
    """Keys and values of the tokens so far, and for BLIP of the image."""

    cache: DynamicCache | EncoderDecoderCache

    def select(self, rows: Tensor) -> None:
        """Keep `rows`, in that order."""
        self.cache.batch_select_indices(rows)


class _FusedAttention(nn.Module):
    """BLIP's vision attention by torch's fused kernel: a fifth faster, equal to rounding."""

    def __init__(self, plain: Any) -> None:  # noqa: ANN401 - a private class of transformers
        super().__init__()
        self.plain = plain

    def forward(self, hidden_states: Tensor, **_: object) -> tuple[Tensor, None]:
        n, length, width = hidden_states.shape
        heads = self.plain.num_heads
        mixed = self.plain.qkv(hidden_states).view(n, length, 3, heads, width // heads)
        query, key, value = mixed.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(query, key, value, scale=self.plain.scale)
        return self.plain.projection(attended.transpose(1, 2).reshape(n, length, width)), None


class _HubModel:
    """What BLIP and BLIP-2 share: pixels in, text out."""

    def __init__(self, model: Any, processor: Any, device: torch.device) -> None:  # noqa: ANN401
        self.model = model
        self.processor = processor
        self.device = device
        self.dtype = model.dtype
        self.vocabulary = model.config.text_config.vocab_size

    def prepare(self, image: Image) -> Tensor:
        """The processor's own resizing and normalisation."""
        batch = self.processor.image_processor(
            image, input_data_format="channels_last", return_tensors="pt"
        )
        return batch["pixel_values"][0]

    def text(self, tokens: list[int]) -> str:
        """The text without special tokens."""
        return self.processor.tokenizer.decode(tokens, skip_special_tokens=True)

    def prompt_ids(self, prompt: str | None) -> list[int]:
        """Token ids of the prompt without special tokens."""
        return self.processor.tokenizer(prompt or "", add_special_tokens=False)["input_ids"]


class Blip(_HubModel):
    """BLIP: an image encoder, and a decoder that attends to it."""

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - its attributes are typed as modules
        processor: Any,  # noqa: ANN401 - transformers types it by mixins
        device: torch.device,
        prompt: str | None,
    ) -> None:
        super().__init__(model, processor, device)
        text_config = model.config.text_config
        self.eos: Sequence[int] = [text_config.sep_token_id]
        self.prompt = [text_config.bos_token_id, *self.prompt_ids(prompt)]
        self.room = text_config.max_position_embeddings - len(self.prompt) + 1
        for layer in model.vision_model.encoder.layers:
            layer.self_attn = _FusedAttention(layer.self_attn)

    def encode(self, pixels: Tensor) -> Tensor:
        """Last hidden state of the vision tower."""
        return self.model.vision_model(pixel_values=pixels.to(self.device, self.dtype))[0]

    def start(self, features: Tensor) -> tuple[Tensor, CachedState]:
        """Read the prompt; the keys and values of the image are computed here, once."""
        config = self.model.config.text_config
        cache = EncoderDecoderCache(DynamicCache(config=config), DynamicCache(config=config))
        prompt = torch.tensor(self.prompt, device=self.device).expand(len(features), -1)
        return self._logits(prompt, cache, features), CachedState(cache)

    def step(self, tokens: Tensor, state: CachedState) -> Tensor:
        """One token on."""
        # The cache holds the image's keys and values: this argument only switches attention on.
        return self._logits(tokens[:, None], state.cache, tokens)

    def _logits(self, ids: Tensor, cache: Any, features: Tensor) -> Tensor:  # noqa: ANN401
        output = self.model.text_decoder(
            input_ids=ids,
            encoder_hidden_states=features,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return output.logits[:, -1].float()


class Blip2(_HubModel):
    """BLIP-2: an image encoder, a Q-Former, and a language model that reads its outputs."""

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - its attributes are typed as modules
        processor: Any,  # noqa: ANN401 - transformers types it by mixins
        device: torch.device,
        prompt: str | None,
    ) -> None:
        super().__init__(model, processor, device)
        text_config = model.config.text_config
        self.eos: Sequence[int] = _end_tokens(text_config, model.generation_config)
        bos = text_config.bos_token_id
        self.prompt = [bos, *self.prompt_ids(prompt)]
        used = model.config.num_query_tokens + len(self.prompt)
        self.room = text_config.max_position_embeddings - used + 1

    def encode(self, pixels: Tensor) -> Tensor:
        """Outputs of the Q-Former in the space of the language model's tokens."""
        hidden = self.model.vision_model(pixels.to(self.device, self.dtype)).last_hidden_state
        queries = self.model.qformer(
            query_embeds=self.model.query_tokens.expand(len(hidden), -1, -1),
            encoder_hidden_states=hidden,
        ).last_hidden_state
        return self.model.language_projection(queries.to(hidden.dtype))

    def start(self, features: Tensor) -> tuple[Tensor, CachedState]:
        """Read the image and the prompt."""
        prompt = torch.tensor(self.prompt, device=self.device).expand(len(features), -1)
        embedded = self.model.get_input_embeddings()(prompt)
        inputs = torch.cat([features.to(embedded.dtype), embedded], dim=1)
        cache = DynamicCache(config=self.model.config.text_config)
        return self._logits(cache, inputs_embeds=inputs), CachedState(cache)

    def step(self, tokens: Tensor, state: CachedState) -> Tensor:
        """One token on."""
        return self._logits(state.cache, input_ids=tokens[:, None])

    def _logits(self, cache: Any, **inputs: Tensor) -> Tensor:  # noqa: ANN401
        output = self.model.language_model(
            **inputs, past_key_values=cache, use_cache=True, logits_to_keep=1
        )
        return output.logits[:, -1].float()


def _end_tokens(*configs: Any) -> list[int]:  # noqa: ANN401
    """Every token that a config names as the end; a config may name none, one or a list."""
    ends: set[int] = set()
    for config in configs:
        named = getattr(config, "eos_token_id", None)
        ends |= set(named) if isinstance(named, list) else set() if named is None else {named}
    return sorted(ends)


def load_transformers_captioner(source: TransformersSource) -> Captioner:
    """BLIP or BLIP-2, from the hub or from a folder in the hub's layout; safetensors only.

    Args:
        source: Model, revision, precision, prompt, decoding, candidates, batch size and device.

    Raises:
        ModelFileError: The model is missing, damaged, incomplete or of another kind.
        DeviceError: This machine has no such device.
    """
    device = resolve_device(source.device)
    with explain_loading(source.model, _advice(source)):
        config = _read_config(source)
        model = _read_model(source, config).eval().to(device)
        processor = AutoProcessor.from_pretrained(source.model, **_options(source))
    kind = Blip if config.model_type == _BLIP else Blip2
    adapter = kind(model, processor, device, source.prompt)
    return SamplingCaptioner(adapter, source.decoding, source.candidates, source.batch_size)


def _options(source: TransformersSource) -> dict[str, Any]:
    """What every file of the model is read with: no code of the repository's is ever run."""
    return {"revision": source.revision, "trust_remote_code": False}


def _read_config(source: TransformersSource) -> Any:  # noqa: ANN401 - the library's own type
    """The model's config, after checking that it is one of those that we can decode."""
    looks_like_path = source.model.startswith((".", "/", "~")) or source.model.count("/") > 1
    if looks_like_path and not Path(source.model).is_dir():
        msg = f"cannot load {source.model}: there is no such folder. {_advice(source)}"
        raise ModelFileError(msg)
    config = AutoConfig.from_pretrained(source.model, **_options(source))
    if config.model_type not in (_BLIP, _BLIP2):
        msg = (
            f"{source.model} is a model of type {config.model_type}; kind transformers takes BLIP "
            "(Salesforce/blip-image-captioning-base) and BLIP-2 (Salesforce/blip2-opt-2.7b)"
        )
        raise ModelFileError(msg)
    if config.model_type == _BLIP2 and not config.use_decoder_only_language_model:
        msg = (
            f"{source.model} is a BLIP-2 with the encoder-decoder {config.text_config.model_type}; "
            "take one with a decoder only, such as Salesforce/blip2-opt-2.7b"
        )
        raise ModelFileError(msg)
    return config


def _read_model(source: TransformersSource, config: Any) -> Any:  # noqa: ANN401
    """The weights, all of them: transformers itself would fill a gap with random numbers."""
    kind: Any = BlipForConditionalGeneration
    options = _options(source)
    if config.model_type == _BLIP2:
        kind = Blip2ForConditionalGeneration
        # The fused kernel of the CPU gives a single query other bits in another batch.
        options["attn_implementation"] = {"text_config": "eager"}
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        model, report = kind.from_pretrained(
            source.model,
            dtype=dtype_of(source.precision),
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
    finally:
        logging.set_verbosity(verbosity)
    wrong = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if wrong:
        first = ", ".join(wrong[:8])
        msg = f"{source.model} lacks tensors of its own config: {first}. {_advice(source)}"
        raise ModelFileError(msg)
    return model


def _advice(source: TransformersSource) -> str:
    return (
        f"On a machine with network: `hf download {source.model} --local-dir FOLDER`, then give "
        "FOLDER as the model. Only safetensors are read: where a repository has none, load it once "
        "on a machine that you can spare and write it with `save_pretrained(FOLDER)`."
    )
