"""Rows of a table from outside that cannot be read, counted."""

from typing import NamedTuple, Self

from recap_assets.untrusted.errors import UntrustedError

EXAMPLES = 5


class TruncatedError(UntrustedError):
    """A file that ends too early, or of which a part is damaged: it may be had whole elsewhere."""


class Damage(NamedTuple):
    """How many rows are left out, and what is wrong with the first of them."""

    n: int = 0
    examples: tuple[str, ...] = ()

    def and_row(self, words: str) -> Self:
        """One row more."""
        return self.and_more(Damage(1, (words,)))

    def and_more(self, other: "Damage") -> Self:
        """The rows of `other` as well."""
        examples = (self.examples + other.examples)[:EXAMPLES]
        return self._replace(n=self.n + other.n, examples=examples)
