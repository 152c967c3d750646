"""How many bytes of a model's weights are read: all of them, but for `recap doctor`.

A model beyond the limit is opened as its skeleton, on torch's meta device: what does not fit
together shows all the same, since configs, tokenizers and the names and shapes of tensors are
read, and nothing can be computed with it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from recap_assets.engines.model_folders.weights import Weights


@dataclass
class _Limit:
    n_bytes: int | None
    n_beyond: int = 0


_LIMIT: ContextVar[_Limit | None] = ContextVar("limit", default=None)


@contextmanager
def weight_limit(n_bytes: int | None) -> Iterator[None]:
    """Within it no weights are read of a model that has more than these bytes of them.

    Args:
        n_bytes: At most; None reads all.
    """
    token = _LIMIT.set(_Limit(n_bytes))
    try:
        yield
    finally:
        _LIMIT.reset(token)


def is_beyond(weights: Weights) -> bool:
    """Whether a model's weights are not to be read; if so, they are counted."""
    limit = _LIMIT.get()
    if limit is None or limit.n_bytes is None or weights.n_bytes <= limit.n_bytes:
        return False
    limit.n_beyond += weights.n_bytes
    return True


def bytes_beyond() -> int:
    """Bytes of the weights that were not read since the limit was set."""
    limit = _LIMIT.get()
    return 0 if limit is None else limit.n_beyond
