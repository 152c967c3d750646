"""Language models that continue from embedded tokens, with their key-value caches."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

UNLIMITED = 1 << 20
"""Room of a model with relative positions."""


@dataclass
class CachedState:
    """Keys and values of the tokens so far, and of the image where it is attended to."""

    cache: DynamicCache | EncoderDecoderCache

    def select(self, rows: Tensor) -> None:
        """Keep `rows`, in that order."""
        _reorder(self.cache, rows)

    def reorder(self, rows: Tensor) -> None:
        """`select` for rows of the same image: keys and values of the image alone stay put."""
        _reorder(getattr(self.cache, "self_attention_cache", self.cache), rows)


def _reorder(cache: Any, rows: Tensor) -> None:  # noqa: ANN401 - a cache, whatever its layers
    # `batch_select_indices` wants the rows on the device of each layer, and knows no linear ones.
    cache.reorder_cache(rows)


@dataclass
class EncodedState(CachedState):
    """With what the encoder read, shape (rows, tokens, width)."""

    encoded: Tensor

    def select(self, rows: Tensor) -> None:
        """Keep `rows`, in that order."""
        super().select(rows)
        self.encoded = self.encoded.index_select(0, rows.to(self.encoded.device))


class DecoderOnly:
    """A language model that reads image and prompt as a prefix: OPT, LLaMA."""

    def __init__(self, language_model: Any, device: torch.device) -> None:  # noqa: ANN401
        self.model = language_model
        self.device = device

    def read(self, embedded: Tensor) -> tuple[Tensor, CachedState]:
        """Logits after the prefix, shape (rows, tokens, width), and the state."""
        state = CachedState(DynamicCache(config=self.model.config))
        return self._logits(state, inputs_embeds=embedded), state

    def step(self, tokens: Tensor, state: CachedState) -> Tensor:
        """One token on."""
        with same_bits_for_one_query(self.device):
            return self._logits(state, input_ids=tokens[:, None])

    def _logits(self, state: CachedState, **inputs: Tensor) -> Tensor:
        output = self.model(**inputs, past_key_values=state.cache, use_cache=True, logits_to_keep=1)
        return output.logits[:, -1].float().to(self.device)


class EncoderDecoder:
    """A language model whose encoder reads image and prompt, and whose decoder writes: T5, BART.

    Args:
        model: What takes `decoder_input_ids` and `encoder_outputs` and gives logits.
        encoder: Its encoder.
        text_config: The language model's own config.
        first: Tokens that every caption begins with, the start mark first.
        device: Where logits are wanted.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - one of several classes of transformers
        encoder: Any,  # noqa: ANN401
        text_config: Any,  # noqa: ANN401
        first: Sequence[int],
        device: torch.device,
    ) -> None:
        self.model, self.encoder, self.text_config = model, encoder, text_config
        self.first = list(first)
        self.device = device

    def read(self, embedded: Tensor) -> tuple[Tensor, EncodedState]:
        """Logits after the start mark, and the state; `embedded` is (rows, tokens, width)."""
        encoded = self.encoder(inputs_embeds=embedded).last_hidden_state
        config = self.text_config
        cache = EncoderDecoderCache(DynamicCache(config=config), DynamicCache(config=config))
        state = EncodedState(cache, encoded)
        first = torch.tensor(self.first, device=self.device).expand(len(embedded), -1)
        return self._logits(first, state), state

    def step(self, tokens: Tensor, state: EncodedState) -> Tensor:
        """One token on."""
        return self._logits(tokens[:, None], state)

    def _logits(self, ids: Tensor, state: EncodedState) -> Tensor:
        with same_bits_for_one_query(self.device):
            output = self.model(
                decoder_input_ids=ids,
                encoder_outputs=BaseModelOutput(last_hidden_state=state.encoded),  # pyright: ignore[reportArgumentType] - a tensor
                past_key_values=state.cache,
                use_cache=True,
            )
        return output.logits[:, -1].float().to(self.device)


@contextmanager
def same_bits_for_one_query(device: torch.device) -> Iterator[None]:
    """Attention whose bits do not depend on the batch.

    The fused kernel of the CPU gives a single query other bits in another batch as soon as two
    threads share the work; plain matrix products do not.
    """
    if device.type != "cpu":
        yield
        return
    with sdpa_kernel(SDPBackend.MATH):
        yield


def counted_on(device: torch.device) -> AbstractContextManager[object]:
    """Within it a model's own counts are made on a GPU.

    Qwen-VL and its kin count positions on the host at each token and send them up. A step would
    wait for that, and a recorded one cannot.
    """
    return device if device.type == "cuda" else nullcontext()


def positions_of(text_config: Any) -> int:  # noqa: ANN401 - one of dozens of configs
    """Positions that a language model has."""
    return getattr(text_config, "max_position_embeddings", None) or UNLIMITED


def end_tokens(*configs: Any) -> list[int]:  # noqa: ANN401
    """Every token that a config names as the end; a config may name none, one or a list."""
    ends: set[int] = set()
    for config in configs:
        named = getattr(config, "eos_token_id", None)
        ends |= set(named) if isinstance(named, list) else set() if named is None else {named}
    return sorted(ends)
