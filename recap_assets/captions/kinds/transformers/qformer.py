"""BLIP-2 and InstructBLIP: an image encoder, a Q-Former, and a language model.

The language model is a decoder (OPT, LLaMA), which reads image and prompt as a prefix, or an
encoder with a decoder (T5).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from recap_assets.captions.kinds.transformers.base import HubModel
from recap_assets.engines.decoding.language import (
    CachedState,
    DecoderOnly,
    EncoderDecoder,
    end_tokens,
    positions_of,
)

INSTRUCTION = "A short image caption."
"""InstructBLIP's instruction by default: one of the caption templates of its training."""


class Blip2(HubModel):
    """BLIP-2. Captions carry no prompt."""

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - its attributes are typed as modules
        processor: Any,  # noqa: ANN401 - transformers types it by mixins
        device: torch.device,
        prompt: str | None,
    ) -> None:
        super().__init__(model, processor, device)
        language, text_config = model.language_model, model.config.text_config
        self.eos: Sequence[int] = end_tokens(text_config, model.generation_config)
        if model.config.use_decoder_only_language_model:
            self.language = DecoderOnly(language, device)
        else:
            first = [text_config.decoder_start_token_id]
            self.language = EncoderDecoder(
                language, language.get_encoder(), text_config, first, device
            )
        self.take(prompt)

    def take(self, prompt: str | None) -> None:
        """Have this prompt from now on."""
        self.prompt = self.read_prompt(prompt)
        used = 1
        if self.model.config.use_decoder_only_language_model:
            used = self.model.config.num_query_tokens + len(self.prompt)
        self.room = positions_of(self.model.config.text_config) - used + 1

    def read_prompt(self, prompt: str | None) -> list[int]:
        """Token ids that follow the image."""
        if self.model.config.use_decoder_only_language_model:
            return [self.model.config.text_config.bos_token_id, *self.words(prompt)]
        return self.processor.tokenizer(prompt or "")["input_ids"]

    def encode(self, pixels: Tensor) -> Tensor:
        """Outputs of the Q-Former in the space of the language model's tokens."""
        hidden = self.model.vision_model(pixels.to(self.device, self.dtype)).last_hidden_state
        queries = self.model.query_tokens.expand(len(hidden), -1, -1)
        return self.model.language_projection(self._queried(queries, hidden).to(hidden.dtype))

    def start(self, features: Tensor) -> tuple[Tensor, CachedState]:
        """Read the image and the prompt."""
        return self.language.read(self.after_image(features, self.prompt))

    def step(self, tokens: Tensor, state: Any) -> Tensor:  # noqa: ANN401 - of `language`
        """One token on."""
        return self.language.step(tokens, state)

    def _queried(self, queries: Tensor, hidden: Tensor) -> Tensor:
        return self.model.qformer(
            query_embeds=queries, encoder_hidden_states=hidden
        ).last_hidden_state


class InstructBlip(Blip2):
    """InstructBLIP: its Q-Former reads the instruction too."""

    def read_prompt(self, prompt: str | None) -> list[int]:
        """Token ids of the instruction with the language model's own marks."""
        words = prompt or INSTRUCTION
        ids = self.processor.qformer_tokenizer(words)["input_ids"]
        self.instruction = torch.tensor([ids], device=self.device)
        return self.processor.tokenizer(words)["input_ids"]

    def _queried(self, queries: Tensor, hidden: Tensor) -> Tensor:
        output = self.model.qformer(
            input_ids=self.instruction.expand(len(hidden), -1),
            query_embeds=queries,
            encoder_hidden_states=hidden,
        )
        return output.last_hidden_state[:, : queries.shape[1]]
