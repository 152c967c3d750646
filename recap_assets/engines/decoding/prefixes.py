"""The tokens that all prompts begin with, read once: their keys and values serve every prompt.

What a template, a system message and the fixed part of an instruction put before an image's own
part is the same in each prompt. Left out of a prompt, it leaves fewer rows for every product, and
libraries sum rows by their place among those that are computed together: behind 33 tokens the last
of 65 rows of a tiny model had other bits in four prompts of ten. Behind a multiple of sixteen
tokens every row keeps its place in the tiles that kernels divide rows into, and all prompts of a
length agreed, or none. Which it is, is not taken for granted: some prompts of each length are read
both ways, and those after them the short way if logits, keys and values agreed to the bit. Kept are
keys and values as they were read within a whole prompt. No caption changes.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol
from weakref import proxy

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from recap_assets.engines.batch_sizes import is_out_of_memory

_log = logging.getLogger(__name__)

TILE = 16
"""Tokens of which multiples are left out of a prompt."""

N_SHOWN = 2
"""Prompts of a length that are read both ways."""

MOST_IN_VAIN = 8
"""Lengths whose bits differ, before it is given up where those of none agreed."""

Read = tuple[Tensor, DynamicCache, list[Tensor]]
"""The logits after some prompts, shape (rows, vocabulary), their cache and their deltas."""


class ReadsOn(Protocol):
    """A language model that can go on behind what was read of a prompt."""

    def begins(self, inputs: Any) -> Tensor:  # noqa: ANN401 - whatever it prepares
        """The token ids that a prefix may consist of, shape (rows, tokens): those before an image.

        None of them where the model cannot go on behind a prefix.
        """
        ...

    def length(self, prepared: Any) -> int:  # noqa: ANN401
        """Tokens of a prompt."""
        ...

    def read_on(self, inputs: Any, n: int, cache: DynamicCache | None) -> Read:  # noqa: ANN401
        """Read prompts from their token `n` on, behind a cache of those before."""
        ...


class _Shape(NamedTuple):
    """What a library chooses its kernels by."""

    rows: int
    length: int
    n_shared: int


class SharedPrefix:
    """What the prompts of a reader begin with; for one thread at a time.

    The first prompt is taken for the prefix as a whole, and each that begins otherwise shortens it.

    Args:
        reader: The model, which owns this and is not kept in memory by it.
        device: Where it is: on a GPU, where the steps take the time, prompts are read as wholes.
    """

    def __init__(self, reader: ReadsOn, device: torch.device) -> None:
        self._reader: ReadsOn = proxy(reader)
        self._forget()
        self.is_given_up = device.type != "cpu"
        """Whether prompts share too little, or what they share cannot be used."""

    def _forget(self) -> None:
        self._threads = torch.get_num_threads()
        self._ids: Tensor | None = None
        self._layers: Sequence[tuple[Tensor, Tensor]] = ()
        self._seen: set[_Shape] = set()
        self._n_agreed: Counter[_Shape] = Counter()
        self._differ: set[_Shape] = set()

    def read(self, inputs: Any) -> Read:  # noqa: ANN401 - see `ReadsOn`
        """The logits after some prompts of one length, their cache and their deltas.

        Their bits are those of reading each prompt as a whole.
        """
        if self.is_given_up:
            return self._whole(inputs)
        if torch.get_num_threads() != self._threads:
            self._forget()
        ids = self._reader.begins(inputs)
        if self._ids is None:
            return self._first(inputs, ids)
        n_shared = self._shorten(inputs, ids) // TILE * TILE
        shape = _Shape(len(ids), self._reader.length(inputs), n_shared)
        if not n_shared:
            return self._give_up(inputs)
        if self._n_agreed[shape] >= N_SHOWN:
            return self._rest(inputs, shape)
        whole = self._whole(inputs)
        if shape not in self._seen:
            self._seen.add(shape)
        elif shape not in self._differ:
            self._show(inputs, shape, whole)
        return whole

    def _show(self, inputs: Any, shape: _Shape, whole: Read) -> None:  # noqa: ANN401
        """Note whether a prompt has its bits when it is read behind what is shared."""
        if self._is_same(inputs, shape, whole):
            self._n_agreed[shape] += 1
            return
        self._differ.add(shape)
        del self._n_agreed[shape]
        self.is_given_up = len(self._differ) >= MOST_IN_VAIN and not self._n_agreed

    def _whole(self, inputs: Any) -> Read:  # noqa: ANN401
        return self._reader.read_on(inputs, 0, None)

    def _give_up(self, inputs: Any) -> Read:  # noqa: ANN401
        self._forget()
        self.is_given_up = True
        return self._whole(inputs)

    def _first(self, inputs: Any, ids: Tensor) -> Read:  # noqa: ANN401
        if ids.shape[1] < TILE:
            return self._give_up(inputs)
        found = self._whole(inputs)
        layers: Any = found[1].layers
        # A window that slides and a state without tokens have no beginning to be kept; a layer that
        # shares the keys of another has none.
        if not all(type(one) is DynamicLayer and one.is_initialized for one in layers):
            self.is_given_up = True
            return found
        n = ids.shape[1]
        self._ids = ids[0].clone()
        self._layers = [(_first_of(one.keys, n), _first_of(one.values, n)) for one in layers]
        return found

    def _shorten(self, inputs: Any, ids: Tensor) -> int:  # noqa: ANN401
        """How many tokens the prompts share with all before them; what is beyond is forgotten."""
        assert self._ids is not None, "see `read`"  # noqa: S101
        n = min(len(self._ids), ids.shape[1], self._reader.length(inputs) - 1)
        differ = (ids[:, :n] != self._ids[:n]).any(0).nonzero()
        n = int(differ[0]) if len(differ) else n
        if n < len(self._ids):
            self._ids = self._ids[:n]
            self._layers = [(_first_of(k, n), _first_of(v, n)) for k, v in self._layers]
        return n

    def _rest(self, inputs: Any, shape: _Shape) -> Read:  # noqa: ANN401
        cache = DynamicCache()
        many = (shape.rows, -1, -1, -1)
        for number, layer in enumerate(self._layers):
            keys, values = (part[:, :, : shape.n_shared].expand(many) for part in layer)
            cache.update(keys, values, number)
        return self._reader.read_on(inputs, shape.n_shared, cache)

    def _is_same(self, inputs: Any, shape: _Shape, whole: Read) -> bool:  # noqa: ANN401
        try:
            short = self._rest(inputs, shape)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            # Of eighty families some may know no image behind a cache, each in its own words.
            _log.debug("prompts are read as wholes: %s", error)
            return False
        return all(map(_have_same_bits, _parts(whole), _parts(short)))


def _first_of(part: Tensor, n: int) -> Tensor:
    """Keys or values of the first `n` tokens of the first row."""
    return part[:1, :, :n].clone()


def _parts(found: Read) -> list[Tensor]:
    logits, cache, deltas = found
    layers: Any = cache.layers
    return [logits, *deltas, *(part for one in layers for part in (one.keys, one.values))]


def _have_same_bits(one: Tensor, other: Tensor) -> bool:
    # Bytes and not numbers: NaN equals itself, and the two zeros differ.
    bits = (part.contiguous().view(torch.uint8) for part in (one, other))
    return one.shape == other.shape and torch.equal(*bits)
