"""Keys and values in memory that stays where it is, so that a step can be a recorded graph.

A model of transformers puts each new key and value behind those before and attends to all of them.
By default that is a copy of everything. Here the room for a whole caption is made at once, a step
writes in place, and attention is given a slice: the same numbers of the same shapes, hence the same
kernels, at addresses that do not change.
"""

from copy import copy
from dataclasses import fields
from typing import Any, Generic, cast

import torch
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache
from transformers.cache_utils import DynamicLayer

from recap_assets.engines.decoding.model import S

_ROUNDED = 16
"""Tokens to which room is rounded up, so that prompts of several lengths share it."""


class _RoomLayer(DynamicLayer):
    """Keys and values of one layer; the first `length` tokens of the first `rows` are in use."""

    def __init__(self, like: DynamicLayer, rows: int, length: int) -> None:
        super().__init__()
        keys, values = _tensors(like)
        self.all_keys, self.all_values = (
            one.new_zeros((rows, one.shape[1], length, one.shape[3])) for one in (keys, values)
        )
        self.rows, self.length = rows, 0
        self.dtype, self.device, self.is_initialized = keys.dtype, keys.device, True

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Write in place; all keys and values so far."""
        end = self.length + key_states.shape[-2]
        self.all_keys[: self.rows, :, self.length : end] = key_states
        self.all_values[: self.rows, :, self.length : end] = value_states
        self.length = end
        return self.all_keys[: self.rows, :, :end], self.all_values[: self.rows, :, :end]

    def get_seq_length(self) -> int:
        """Tokens so far."""
        return self.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of what is attended to."""
        return self.length + query_length, 0


class Room(Generic[S]):
    """The state of a model, in room for some rows and a longest caption.

    Args:
        state: One that the model gave; it must fit (`fits`).
        rows: Most rows.
        more: Tokens that are to come.
    """

    def __init__(self, state: S, rows: int, more: int) -> None:
        self.rows = rows
        self.length = -(-(_length(state) + more) // _ROUNDED) * _ROUNDED
        self._shape = _shape(state)
        self._state = copy(state)
        cache = cast("Any", state).cache
        self._layers = [_RoomLayer(one, rows, self.length) for one in _layers_of(state)]
        self._beside = [one.new_zeros((rows, *one.shape[1:])) for one in _beside(state)]
        self._counts: dict[str, int] = {}
        self._prompt = 0
        self._install(cache)

    @staticmethod
    def fits(state: object) -> bool:
        """Whether a state is one of plain layers, tensors with one row each, and counts."""
        cache = getattr(state, "cache", None)
        parts = [cache]
        if isinstance(cache, EncoderDecoderCache):
            parts = [cache.self_attention_cache, cache.cross_attention_cache]
        layers = [layer for one in parts for layer in getattr(one, "layers", [object()])]
        is_plain = all(type(one) is DynamicCache for one in parts)
        return is_plain and all(type(layer) is DynamicLayer for layer in layers)

    @property
    def devices(self) -> set[torch.device]:
        """Where the room is."""
        inside = {one.device for layer in self._layers for one in _all(layer)}
        return inside | {one.device for one in self._beside}

    def has_room_for(self, state: S, rows: int, more: int) -> bool:
        """Whether these rows of a state like the first one fit in here."""
        is_large_enough = rows <= self.rows and _length(state) + more <= self.length
        return is_large_enough and _shape(state) == self._shape

    def put(self, state: S, at: Tensor) -> None:
        """Copy the rows `at` of a state to the first places."""
        n, length = len(at), _length(state)
        for room, layer in zip(self._layers, _layers_of(state), strict=True):
            for target, source in zip(_all(room), _tensors(layer), strict=True):
                target[:n, :, :length] = source.index_select(0, at.to(source.device))
        for target, source in zip(self._beside, _beside(state), strict=True):
            target[:n] = source.index_select(0, at.to(source.device))
        self._prompt = length
        for name in _counts(state):
            self._counts[name] = getattr(state, name)

    def keep(self, rows: Tensor, position: int) -> None:
        """Move `rows` to the first places, after `position` tokens of the captions."""
        n, length = len(rows), self._prompt + position
        for layer in self._layers:
            for one in _all(layer):
                one[:n, :, :length] = one[:, :, :length].index_select(0, rows.to(one.device))
        for one in self._beside:
            one[:n] = one.index_select(0, rows.to(one.device))

    def key(self, position: int) -> tuple[int, int]:
        """What a step at this position depends on beside the number of rows."""
        return self._prompt, position

    def state(self, rows: int, position: int) -> S:
        """The state of the first rows, after `position` tokens of the captions."""
        for layer in self._layers:
            layer.rows, layer.length = rows, self._prompt + position
        self._show_beside(rows)
        for name, count in self._counts.items():
            setattr(self._state, name, count + position)
        return self._state

    def _install(self, cache: DynamicCache | EncoderDecoderCache) -> None:
        """A cache of the same class as the state's, over the room."""
        own: Any = copy(cache)
        grows: Any = copy(_self_attention(cache))
        grows.layers = self._layers
        if isinstance(cache, EncoderDecoderCache):
            across: Any = copy(cache.cross_attention_cache)
            across.layers = [copy(layer) for layer in across.layers]
            own.self_attention_cache, own.cross_attention_cache = grows, across
        else:
            own = grows
        cast("Any", self._state).cache = own

    def _show_beside(self, rows: int) -> None:
        """Give the state the first rows of what does not grow."""
        shown = iter([one[:rows] for one in self._beside])
        state: Any = self._state
        if isinstance(state.cache, EncoderDecoderCache):
            layers: list[Any] = state.cache.cross_attention_cache.layers
            for layer in layers:
                layer.keys, layer.values = next(shown), next(shown)
        for field in fields(state):
            value = getattr(state, field.name)
            if isinstance(value, Tensor):
                setattr(state, field.name, next(shown))
            elif isinstance(value, list):
                setattr(state, field.name, [next(shown) for _ in value])


def _self_attention(cache: DynamicCache | EncoderDecoderCache) -> DynamicCache:
    found = cache.self_attention_cache if isinstance(cache, EncoderDecoderCache) else cache
    return cast("DynamicCache", found)


def _layers_of(state: object) -> list[DynamicLayer]:
    return cast("list[DynamicLayer]", _self_attention(cast("Any", state).cache).layers)


def _tensors(layer: DynamicLayer) -> tuple[Tensor, Tensor]:
    return cast("Tensor", layer.keys), cast("Tensor", layer.values)


def _all(layer: _RoomLayer) -> tuple[Tensor, Tensor]:
    return layer.all_keys, layer.all_values


def _beside(state: object) -> list[Tensor]:
    """What has one row each and does not grow: keys and values of the image, and its encoding."""
    found: list[Tensor] = []
    cache = cast("Any", state).cache
    if isinstance(cache, EncoderDecoderCache):
        across = cast("list[DynamicLayer]", cache.cross_attention_cache.layers)
        found += [one for layer in across for one in _tensors(layer)]
    for field in fields(cast("Any", state)):
        value = getattr(state, field.name)
        found += [value] if isinstance(value, Tensor) else value if isinstance(value, list) else []
    return found


def _counts(state: object) -> list[str]:
    """Fields that count tokens."""
    named = (field.name for field in fields(cast("Any", state)))
    return [name for name in named if type(getattr(state, name)) is int]


def _length(state: object) -> int:
    """Tokens so far."""
    return _tensors(_layers_of(state)[0])[0].shape[-2]


def _shape(state: object) -> list[torch.Size]:
    """Shapes of all there is, but for rows and tokens so far."""
    keys = [one.shape for layer in _layers_of(state) for one in _tensors(layer)]
    grown = [torch.Size((*shape[1:-2], shape[-1])) for shape in keys]
    return grown + [one.shape[1:] for one in _beside(state)]
