"""CLIP's text tower at the length of the text, not of the context.

open_clip always computes 77 positions. The tower of the original CLIP is causal and reads its
result at the end mark, so what follows changes nothing, and 12 tokens cost a sixth of 77.
"""

from collections.abc import Callable
from typing import Any

import open_clip
import torch
from open_clip.transformer import text_global_pool
from torch import Tensor

_BUCKET = 8

TextEncoder = Callable[[Tensor], Tensor]
"""Token ids (n, length) to embeddings (n, dim), not normalised."""


class CausalTextEncoder:
    """`encode_text` of open_clip's plain CLIP, for any length up to its context."""

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - its attributes are typed as modules
        self.model = model

    def __call__(self, tokens: Tensor) -> Tensor:
        """Embeddings (n, dim) of token ids (n, length), not normalised."""
        model, length = self.model, tokens.shape[1]
        cast = model.transformer.get_cast_dtype()
        x = model.token_embedding(tokens).to(cast) + model.positional_embedding[:length].to(cast)
        x = model.transformer(x, attn_mask=model.attn_mask[:length, :length])
        x = text_global_pool(model.ln_final(x), tokens, model.text_pool_type)
        projection = model.text_projection
        return projection(x) if isinstance(projection, torch.nn.Linear) else x @ projection


def text_encoder_of(model: Any) -> TextEncoder:  # noqa: ANN401 - one of several classes
    """The fastest exact encoder of the model's texts; open_clip's own where it must be."""
    plain = type(model) is open_clip.CLIP and model.text_pool_type == "argmax"
    if plain and model.attn_mask is not None and model.text_projection is not None:
        return CausalTextEncoder(model)
    return model.encode_text


def bucket_of(encoder: TextEncoder, tokens: Tensor) -> Tensor:
    """The length to compute each text at, int64 of shape (n,): a function of that text alone.

    Args:
        encoder: What `text_encoder_of` gave.
        tokens: Ids (n, context length); the highest id is the end mark.
    """
    context = tokens.shape[1]
    if not isinstance(encoder, CausalTextEncoder):
        return torch.full((len(tokens),), context)
    lengths = tokens.argmax(dim=1) + 1
    return (torch.div(lengths + _BUCKET - 1, _BUCKET, rounding_mode="floor") * _BUCKET).clamp(
        max=context
    )
