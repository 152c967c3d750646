# pyright: standard
"""Where the fields of delimited text are, found by looking at all bytes of a block at once."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

LINE_END, RETURN, QUOTE = 10, 13, 34

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Spans:
    """The rows of a block.

    Attributes:
        found: Places of the delimiters and line ends outside of quotes.
        lasts: For each good row the index in `found` of its line end.
        bad_ends: Where the lines end that have another number of fields, or are too long.
        bad_counts: How many fields those have.
    """

    buffer: Bytes
    found: Places
    n_columns: int
    lasts: Places
    bad_ends: Places
    bad_counts: Places

    @classmethod
    def between(cls, buffer: Bytes, found: Places, n_columns: int, max_row: int) -> Self:
        """Group the fields by rows. The last byte of the buffer is a line end, if it has any."""
        lasts = np.flatnonzero(buffer[found] == LINE_END)
        counts = np.diff(lasts, prepend=-1)
        ends = found[lasts]
        sizes = np.diff(ends, prepend=-1)
        good = (counts == n_columns) & (sizes <= max_row)
        blank = (sizes == 1) | ((sizes == 2) & (buffer[ends - 1] == RETURN))
        bad = ~good & ~blank
        if n_columns == 1:
            good &= ~blank
        return cls(buffer, found, n_columns, lasts[good], ends[bad], counts[bad])

    def field(self, at: int) -> tuple[Places, Places]:
        """Where the fields of a column begin and end, quotes around them aside."""
        here = self.lasts - (self.n_columns - 1) + at
        # The first field of the block has nothing before it.
        starts = np.where(here == 0, 0, self.found[here - 1] + 1)
        ends = self.found[here]
        if at == self.n_columns - 1:
            ends = ends - ((ends > starts) & (self.buffer[ends - 1] == RETURN))
        return starts, ends


@dataclass(frozen=True)
class Marks:
    """Delimiters, line ends and quotes of a block.

    Attributes:
        places: Of all of them.
        is_quote: Which are quotes.
        is_inside: Which are between an odd quote and the next, these two aside.
    """

    buffer: Bytes
    places: Places
    is_quote: NDArray[np.bool_]
    is_inside: NDArray[np.bool_]

    @classmethod
    def of(cls, buffer: Bytes, delimiter: int) -> Self:
        """Find them."""
        wanted = buffer == LINE_END
        wanted |= buffer == delimiter
        wanted |= buffer == QUOTE
        places = np.flatnonzero(wanted)
        is_quote = buffer[places] == QUOTE
        is_odd = (np.cumsum(is_quote) & 1).astype(np.bool_)
        return cls(buffer, places, is_quote, is_odd & ~is_quote)

    def add_up(self, delimiter: int) -> bool:
        """Whether each odd quote begins a field or follows a quote, and each even one ends it."""
        quotes = self.places[self.is_quote]
        opening, closing = quotes[0::2], quotes[1::2]
        before = self.buffer[opening - 1]
        begins = (opening == 0) | (before == delimiter) | (before == LINE_END)
        doubled = np.zeros(len(opening), np.bool_)
        doubled[1:] = opening[1:] == closing[: len(opening) - 1] + 1
        # The buffer ends with a line end, so that a byte follows every quote.
        after = self.buffer[closing + 1]
        ends = (after == delimiter) | (after == LINE_END) | (after == QUOTE)
        returns = closing[after == RETURN]
        return bool(
            (begins | doubled).all()
            and (ends | (after == RETURN)).all()
            and (self.buffer[returns + 2] == LINE_END).all()
        )

    def inner_line_ends(self) -> Places:
        """The line ends within quoted fields."""
        inner = self.places[self.is_inside]
        return inner[self.buffer[inner] == LINE_END]

    def last_line_end(self) -> int:
        """The last line end outside of quotes; -1 where there is none."""
        outer = self._outer()
        ends = np.flatnonzero(self.buffer[outer] == LINE_END)
        return int(outer[ends[-1]]) if len(ends) else -1

    def unquoted(self, end: int) -> tuple[Bytes, Places]:
        """The bytes before `end` with one quote for each doubled one, and its separators."""
        outer = self._outer()
        outer = outer[outer < end]
        quotes = self.places[self.is_quote]
        quotes = quotes[quotes < end]
        second = quotes[2::2][quotes[2::2] == quotes[1 : len(quotes) - 1 : 2] + 1]
        if not len(second):
            return self.buffer[:end], outer
        kept = np.ones(end, np.bool_)
        kept[second] = False
        return self.buffer[:end][kept], outer - np.searchsorted(second, outer)

    def _outer(self) -> Places:
        return self.places[~self.is_quote & ~self.is_inside]


def without_quotes(buffer: Bytes, starts: Places, ends: Places) -> tuple[Places, Places]:
    """Leave the quotes around fields out; a field that begins with one ends with one."""
    is_quoted = (ends > starts) & (buffer[starts] == QUOTE)
    return starts + is_quoted, ends - is_quoted


def bytes_between(buffer: Bytes, starts: Places, ends: Places) -> pl.Series:
    """Binary values that are in the buffer one after another, without copying them."""
    n = len(starts)
    if not n:
        return pl.Series(dtype=pl.Binary)
    # Every second value is what is between two fields.
    offsets = np.empty(2 * n, np.int64)
    offsets[0::2], offsets[1::2] = starts, ends
    pair = [None, pa.py_buffer(offsets), pa.py_buffer(buffer)]
    values = pa.LargeBinaryArray.from_buffers(pa.large_binary(), 2 * n - 1, pair)
    return pl.Series(values, dtype=pl.Binary).gather_every(2)
