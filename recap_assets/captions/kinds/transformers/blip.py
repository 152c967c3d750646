"""BLIP: an image encoder, and a decoder that attends to it."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache

from recap_assets.captions.kinds.transformers.base import HubModel
from recap_assets.engines.decoding.language import CachedState


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


class Blip(HubModel):
    """BLIP. Captions carry no prompt."""

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - its attributes are typed as modules
        processor: Any,  # noqa: ANN401 - transformers types it by mixins
        device: torch.device,
        prompt: str | None,
        *,
        is_fused: bool = True,
    ) -> None:
        super().__init__(model, processor, device)
        text_config = model.config.text_config
        self.eos: Sequence[int] = [text_config.sep_token_id]
        self.take(prompt)
        for layer in model.vision_model.encoder.layers if is_fused else ():
            layer.self_attn = _FusedAttention(layer.self_attn)

    def take(self, prompt: str | None) -> None:
        """Have this prompt from now on."""
        config = self.model.config.text_config
        self.prompt = [config.bos_token_id, *self.words(prompt)]
        self.room = config.max_position_embeddings - len(self.prompt) + 1

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
        return output.logits[:, -1].float().to(self.device)
