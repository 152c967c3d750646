"""Prompts read one by one or in a fixed number of rows, and what follows them written together.

Every prompt is read by itself, or always in the same number of rows: kernels choose their order of
sums by the shapes that they are given, so neighbours change no bit of a row, and a number of rows
that varies would. From then on texts are written together, those with prompts of one length in a
batch: padding a shorter one would change its bits.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import DynamicCache

from recap_assets.engines.batch_sizes import free_memory, is_out_of_memory
from recap_assets.engines.decoding.language import UNLIMITED

_log = logging.getLogger(__name__)


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


MOST_TOKENS_TOGETHER = 16_384
"""Of the prompts that are read together; those that would be more are read one by one."""


class PromptReader(Protocol):
    """A language model that reads prompts and goes on with them.

    Attributes:
        together: Prompts that are read at once, always as many; 1 reads each by itself.
    """

    together: int

    device: torch.device
    eos: Sequence[int]
    vocabulary: int
    positions: int

    def length(self, prepared: Any) -> int:  # noqa: ANN401 - whatever it prepares
        """Tokens of a prompt."""
        ...

    def read(self, inputs: Any) -> tuple[Tensor, DynamicCache, list[Tensor]]:  # noqa: ANN401
        """The logits after a prompt, shape (1, vocabulary), its cache and its deltas.

        Of `together` prompts, whose inputs are joined along their first axis, one row each.
        """
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
        """Read every prompt, once, and put the rows together; numbers may repeat."""
        named, rows = features[:, 0].unique(return_inverse=True)
        numbers: list[int] = named.tolist()
        chunks = list(self._chunks(numbers))
        read = [self._read_within_memory(chunk) for chunk in chunks]
        places = {number: row for row, number in enumerate(n for chunk in chunks for n in chunk)}
        order = torch.tensor([places[number] for number in numbers], device=rows.device)
        rows = order[rows]
        logits = torch.cat([found[0] for found in read])
        deltas = [torch.cat(column) for column in zip(*(found[2] for found in read), strict=True)]
        state = PromptState(joined([found[1] for found in read]), deltas)
        state.select(rows)
        return logits[rows], state

    def _chunks(self, numbers: list[int]) -> Iterator[list[int]]:
        """Prompts that are read at once: of one length, and their images of one layout."""
        n = self.reader.together
        by_layout: dict[object, list[int]] = {}
        for number in numbers:
            inputs = self.prepared[number]
            is_short = n > 1 and n * self.reader.length(inputs) <= MOST_TOKENS_TOGETHER
            by_layout.setdefault(_layout_of(inputs) if is_short else number, []).append(number)
        for same in by_layout.values():
            yield from (same[start : start + n] for start in range(0, len(same), n))

    def _read_within_memory(self, numbers: list[int]) -> tuple[Tensor, DynamicCache, list[Tensor]]:
        """As `_read`, but by itself where a lone prompt, filled up, does not fit the device."""
        try:
            return self._read(numbers)
        except Exception as error:
            if self.reader.together == 1 or len(self.prepared) > 1 or not is_out_of_memory(error):
                raise  # a batch of several is halved, which may be enough
        free_memory()
        _log.warning("prompts are read one by one: %d fill the memory", self.reader.together)
        self.reader.together = 1
        return self._read(numbers)

    def _read(self, numbers: list[int]) -> tuple[Tensor, DynamicCache, list[Tensor]]:
        n = self.reader.together
        first = self.prepared[numbers[0]]
        if n == 1 or n * self.reader.length(first) > MOST_TOKENS_TOGETHER:
            return self.reader.read(first)
        filled = [self.prepared[number] for number in numbers]
        filled += [filled[-1]] * (n - len(filled))
        joint = {name: torch.cat([inputs[name] for inputs in filled]) for name in first}
        logits, cache, deltas = self.reader.read(joint)
        if len(numbers) < n:
            kept = torch.arange(len(numbers), device=logits.device)
            cache.reorder_cache(kept)  # pyright: ignore[reportArgumentType] - an int64 tensor
        return logits[: len(numbers)], cache, [delta[: len(numbers)] for delta in deltas]

    def step(self, tokens: Tensor, state: PromptState) -> Tensor:
        """One token on."""
        return self.reader.step(tokens, state)

    def text(self, tokens: list[int]) -> str:
        """The text without special tokens."""
        return self.reader.text(tokens)


def _layout_of(inputs: Mapping[str, Tensor]) -> object:
    """What must be equal for prompts to be read at once, the sizes of images included."""
    sizes = (inputs[name] for name in sorted(inputs) if name.endswith(("grid_thw", "sizes")))
    shapes = tuple((name, tuple(inputs[name].shape)) for name in sorted(inputs))
    return shapes, tuple(tuple(one.flatten().tolist()) for one in sizes)


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
