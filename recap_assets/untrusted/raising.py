"""Errors that leave for a place where they are kept: without secrets and control characters."""

from collections.abc import Generator
from contextlib import contextmanager

from recap_assets.untrusted.showing import safe_text


@contextmanager
def clean_errors() -> Generator[None]:
    """Clean what an exception of the block says, and what those say that led to it.

    Kinds, traces and causes stay; texts with nothing to hide stay as they are.
    """
    try:
        yield
    except Exception as error:
        seen: set[int] = set()
        todo: list[BaseException | None] = [error]
        while todo:
            one = todo.pop()
            if one is not None and id(one) not in seen:
                seen.add(id(one))
                one.args = tuple(safe_text(a) if isinstance(a, str) else a for a in one.args)
                todo += [one.__cause__, one.__context__]
        raise
