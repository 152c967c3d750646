"""Changes of what is stored: whether this process made any, and whether it still may."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count

_numbers = count(1)
_last = 0
_guards: ContextVar[tuple[Callable[[], None], ...]] = ContextVar("guards", default=())


def about_to_change() -> None:
    """Say that content is about to be written, replaced or removed.

    Raises:
        RecapError: A guard forbids it.
    """
    global _last  # noqa: PLW0603 - one count of the whole process
    refuse_forbidden()
    _last = next(_numbers)


def n_changes() -> int:
    """How often that was said by now."""
    return _last


@contextmanager
def guarded(guard: Callable[[], None]) -> Iterator[None]:
    """Ask `guard` before every change that this thread makes within the block.

    Args:
        guard: Raises where nothing may be changed any more.
    """
    token = _guards.set((*_guards.get(), guard))
    try:
        yield
    finally:
        _guards.reset(token)


def refuse_forbidden() -> None:
    """Raise what a guard raises, where one forbids changes."""
    for guard in _guards.get():
        guard()
