"""Prompts read one by one, and what follows them written together.

Every prompt is read by itself: its bits have no neighbours. From then on texts are written
together, those with prompts of one length in a batch: padding a shorter one would change its bits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import DynamicCache

from recap_assets.engines.decoding.language import UNLIMITED


@dataclass
class PromptState:
    """Keys and values of the rows, and by how much their positions run ahead of the tokens.

    Attributes:
        cache: Of all rows.
        deltas: Shape (rows, 1) for each module that counts an image's positions in two dimensions.
    """

    cache: DynamicCache
    deltas: list[Tensor]

    def select(self, rows: Tensor) -> None:
        """Keep `rows`, in that order."""
        self.cache.reorder_cache(rows)  # pyright: ignore[reportArgumentType] - an int64 tensor
        self.deltas = [delta.index_select(0, rows.to(delta.device)) for delta in self.deltas]


class PromptReader(Protocol):
    """A language model that reads prompts and goes on with them."""

    device: torch.device
    eos: Sequence[int]
    vocabulary: int
    positions: int

    def length(self, prepared: Any) -> int:  # noqa: ANN401 - whatever it prepares
        """Tokens of a prompt."""
        ...

    def read(self, inputs: Any) -> tuple[Tensor, DynamicCache, list[Tensor]]:  # noqa: ANN401
        """One prompt: the logits after it, shape (1, vocabulary), its cache and its deltas."""
        ...

    def step(self, tokens: Tensor, state: PromptState) -> Tensor:
        """One token on."""
        ...

    def text(self, tokens: list[int]) -> str:
        """The text without special tokens."""
        ...


class PromptBatch:
    """A language model for some prompts of one length: their numbers stand for them."""

    def __init__(self, reader: PromptReader, prepared: Sequence[Any]) -> None:
        self.reader, self.prepared = reader, prepared
        self.device: torch.device = reader.device
        self.eos: Sequence[int] = reader.eos
        self.vocabulary: int = reader.vocabulary
        longest = reader.length(prepared[0]) if prepared else 0
        self.room: int = reader.positions - longest if reader.positions < UNLIMITED else UNLIMITED

    def prepare(self, image: Any) -> Tensor:  # noqa: ANN401 - a number, see `Reader.batch`
        """The number, shape (1,)."""
        return torch.tensor([image])

    def encode(self, pixels: Tensor) -> Tensor:
        """The numbers: a prompt is read as a whole in `start`."""
        return pixels.to(self.device)

    def start(self, features: Tensor) -> tuple[Tensor, PromptState]:
        """Read every prompt by itself, once, and put the rows together; numbers may repeat."""
        named, rows = features[:, 0].unique(return_inverse=True)
        read = [self.reader.read(self.prepared[number]) for number in named.tolist()]
        logits = torch.cat([found[0] for found in read])
        deltas = [torch.cat(column) for column in zip(*(found[2] for found in read), strict=True)]
        state = PromptState(joined([found[1] for found in read]), deltas)
        state.select(rows)
        return logits[rows], state

    def step(self, tokens: Tensor, state: PromptState) -> Tensor:
        """One token on."""
        return self.reader.step(tokens, state)

    def text(self, tokens: list[int]) -> str:
        """The text without special tokens."""
        return self.reader.text(tokens)


def joined(caches: Sequence[DynamicCache]) -> DynamicCache:
    """One cache with the rows of all, which have read equally many tokens each.

    The first of them becomes the result; the others are emptied layer by layer, so that memory
    holds hardly more than one copy.
    """
    whole, *others = caches
    for number, layer in enumerate(whole.layers):
        same = [cache.layers[number] for cache in others]
        for name, value in vars(layer).items():
            if isinstance(value, Tensor) and value.dim():
                rows = torch.cat([value, *(getattr(one, name) for one in same)])
                setattr(layer, name, rows)
            elif isinstance(value, dict):
                _join_states(value, [getattr(one, name) for one in same])
        for cache in others:
            layers: Any = cache.layers
            layers[number] = None
    return whole


def _join_states(states: dict[int, Any], others: Sequence[Mapping[int, Any]]) -> None:
    """The same for layers of linear attention, which keep several states by number."""
    for number, value in states.items():
        if isinstance(value, Tensor):
            states[number] = torch.cat([value, *(other[number] for other in others)])
