"""Whether this process changed anything stored, for whoever must know if a failure left traces."""

from itertools import count

_numbers = count(1)
_last = 0


def about_to_change() -> None:
    """Say that content is about to be written, replaced or removed."""
    global _last  # noqa: PLW0603 - one count of the whole process
    _last = next(_numbers)


def n_changes() -> int:
    """How often that was said by now."""
    return _last
