"""Errors that a user can fix."""

from typing import ClassVar


class RecapError(Exception):
    """Something cannot continue, and a person can fix it: the text says what, where and how.

    Every door (command line, Dagster, doctor) shows the text alone, without a traceback.

    Attributes:
        may_pass: Whether the same may go well when it is tried again at once.
    """

    may_pass: ClassVar[bool] = False


class UntrustedError(RecapError, ValueError):
    """Bytes from outside that cannot be taken: what is wrong; the reader adds where."""
