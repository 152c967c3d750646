"""GIT: image tokens, which see each other, and then text, in one decoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.masking_utils import create_causal_mask

from recap_assets.captions.kinds.transformers.base import HubModel
from recap_assets.engines.decoding.language import CachedState, end_tokens


@dataclass
class GitState(CachedState):
    """With the position of the next token, which counts text only."""

    position: int


class Git(HubModel):
    """GIT. Captions carry no prompt."""

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - its attributes are typed as modules
        processor: Any,  # noqa: ANN401 - transformers types it by mixins
        device: torch.device,
        prompt: str | None,
    ) -> None:
        super().__init__(model, processor, device)
        self.eos: Sequence[int] = end_tokens(model.generation_config)
        self.take(prompt)

    def take(self, prompt: str | None) -> None:
        """Have this prompt from now on."""
        self.prompt = [self.model.config.bos_token_id, *self.words(prompt)]
        self.room = self.model.config.max_position_embeddings - len(self.prompt) + 1

    def encode(self, pixels: Tensor) -> Tensor:
        """Tokens of the image encoder in the space of the decoder."""
        hidden = self.model.git.image_encoder(pixels.to(self.device, self.dtype)).last_hidden_state
        return self.model.git.visual_projection(hidden)

    def start(self, features: Tensor) -> tuple[Tensor, GitState]:
        """Read the image and the prompt."""
        prompt = torch.tensor(self.prompt, device=self.device).expand(len(features), -1)
        embedded = self.model.git.embeddings(input_ids=prompt)
        inputs = torch.cat([features.to(embedded), embedded], dim=1)
        # Tokens of one block see each other: the image is block 0, text is of none.
        blocks = torch.full(inputs.shape[:2], -1, device=inputs.device)
        blocks[:, : features.shape[1]] = 0
        cache = DynamicCache(config=self.model.config)
        mask = create_causal_mask(
            config=self.model.config.get_text_config(),
            inputs_embeds=inputs,
            attention_mask=None,
            past_key_values=cache,
            position_ids=None,
            block_sequence_ids=blocks,
        )
        output = self.model.git.encoder(
            inputs, attention_mask=mask, past_key_values=cache, use_cache=True
        )
        return self._logits(output), GitState(cache, len(self.prompt))

    def step(self, tokens: Tensor, state: GitState) -> Tensor:
        """One token on."""
        # By its parts: `git` itself asks for a mask here in transformers 5.17.
        positions = torch.full((len(tokens), 1), state.position, device=tokens.device)
        embedded = self.model.git.embeddings(input_ids=tokens[:, None], position_ids=positions)
        output = self.model.git.encoder(embedded, past_key_values=state.cache, use_cache=True)
        state.position += 1
        return self._logits(output)

    def _logits(self, output: Any) -> Tensor:  # noqa: ANN401 - one of two output classes
        return self.model.output(output.last_hidden_state[:, -1]).float().to(self.device)
