"""What one partition takes over row by row of what was computed before, and the account of it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from recap_assets.artefacts.table import HASH, Table
from recap_assets.graph.kept_rows import (
    ByRow,
    KeptSlice,
    class_of,
    read_kept,
    readable,
)

OWN_VERSIONS = 4
"""Versions of the partition's own slice that are tried before any other slice."""

COMPUTED = "rows_computed"
REUSED = "rows_reused"
REUSED_FROM = "rows_reused_from/"
"""Begins the name of a fact that says how many rows were taken over from one place."""

TOOK = ("seconds", "prompt_tokens", "completion_tokens")
"""What making rows took: the first parts of the names of facts that say it."""

BEFORE = "_reused"
"""Ends the name of such a fact of rows that were taken over: it was paid for before."""

RESUMED = "_resumed"
"""Ends it of rows that an interrupted computation of the same partition had made."""

_COLUMNS = dict(zip(TOOK, ("seconds", "n_prompt_tokens", "n_tokens"), strict=True))


@dataclass(frozen=True)
class Counts:
    """How many units of a partition (images, or texts of some) are computed, and reused."""

    computed: int
    reused: int


class Counted(Exception):  # noqa: N818 - what happened, and no error
    """All that was asked for is known: nothing is computed."""

    def __init__(self, counts: Counts) -> None:
        super().__init__(counts)
        self.counts = counts


@dataclass
class Account:
    """What was taken over of the rows of one partition.

    Attributes:
        counted: Units that were computed, and that were reused.
        whose: Units that were reused, by where they are from.
        seconds: What computing the rows that were taken over took, when they were computed.
        device: What computed them; None where none was taken over.
        reused: Tokens that the rows that were taken over took, of `TOOK`.
        resumed: What an interrupted computation took for the rows of it that are kept, of `TOOK`.
    """

    counted: Counter[str] = field(default_factory=Counter)
    whose: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    device: str | None = None
    reused: Counter[str] = field(default_factory=Counter)
    resumed: Counter[str] = field(default_factory=Counter)

    @property
    def before(self) -> float:
        """Seconds of the partition's rows that were not spent now."""
        return self.seconds + self.resumed["seconds"]

    @property
    def facts(self) -> dict[str, str | int | float]:
        """How many rows were computed and reused, and from where; nothing where none was asked."""
        took: dict[str, str | int | float] = {
            f"{name}{RESUMED}": n for name, n in self.resumed.items() if n
        }
        if not self.counted:
            return took
        counts = {COMPUTED: self.counted[COMPUTED], REUSED: self.counted[REUSED]}
        before = {**self.reused, "seconds": round(self.seconds, 3)}
        took |= {f"{name}{BEFORE}": n for name, n in before.items() if n}
        places = {f"{REUSED_FROM}{whose}": n for whose, n in self.whose.most_common()}
        return {**counts, **took, **places}


class Reuse:
    """What one partition may take over row by row, and the account of what it took.

    Args:
        by: How its rows are recognized; None takes nothing over.
        find: The slices that were computed under equal settings, the newest first.
        digest: Of those settings; empty where nothing is taken over.
        only_counts: Raise `Counted` in place of an answer, whatever class of device computed what
            is stored: for a plan.
    """

    def __init__(
        self,
        by: ByRow | None = None,
        find: Callable[[], Sequence[KeptSlice]] = tuple,
        digest: str = "",
        *,
        only_counts: bool = False,
    ) -> None:
        self._by, self._find = by, find
        self.digest, self.only_counts = digest, only_counts
        self.account = Account()

    def divided(
        self, table: Table, wanted: pl.DataFrame, machine: Mapping[str, str]
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The rows that are taken over for some of `wanted`, and the rest of it.

        Args:
            table: What rows are wanted of.
            wanted: Of each unit (an image, or a text of one) the columns of `table.order` that
                name it, `input_hash`, and any others.
            machine: What computes the rest; only what an equal machine computed is taken.

        Returns:
            Rows with the columns of `table` but those that name the slice, and rows of `wanted`.

        Raises:
            Counted: The rows are only counted.
        """
        empty = table.empty().select(*table.unsliced, HASH)
        if self._by is None or wanted.is_empty():
            self.account.counted[COMPUTED] += wanted.height
            return empty, wanted
        kept = self._kept(machine)
        own = [one for one in kept if one.is_own][:OWN_VERSIONS]
        division = _Division(self._by, wanted, [empty])
        for one in own:
            self._take(division, one, one.written if one.replaced else None)
        others = [one for one in kept if one not in own]
        for one, version in readable(table, others, division.keys):
            self._take(division, one, version)
        n_left = division.left.height
        if self.only_counts:
            raise Counted(Counts(n_left, wanted.height - n_left))
        self.account.counted[COMPUTED] += n_left
        self.account.counted[REUSED] += wanted.height - n_left
        return pl.concat(division.taken), division.left

    def present(self) -> Mapping[str, KeptSlice]:
        """The slices that are there now and were computed under equal settings, by partition."""
        if self._by is None:
            return {}
        return {one.partition: one for one in reversed(self._find()) if one.replaced is None}

    def _kept(self, machine: Mapping[str, str]) -> Sequence[KeptSlice]:
        """The slices that an equal machine computed."""
        if self.only_counts:
            return self._find()
        present = class_of(machine)
        found = () if present is None else self._find()
        return [one for one in found if class_of(one.machine) == present]

    def _take(self, division: "_Division", one: KeptSlice, version: int | None) -> None:
        """Take the rows of one slice that are still wanted, and account for them."""
        if division.left.is_empty():
            return
        n_rows, n_units = division.take(read_kept(division.by.table, one, version))
        if n_rows:
            took = self.account
            made = taken_for(division.taken[-1])
            took.reused.update({name: n for name, n in made.items() if name != "seconds"})
            took.whose[one.whose] += n_units
            took.seconds += one.seconds * n_rows / max(one.n_rows, n_rows)
            took.device = took.device or one.device


def taken_for(rows: pl.DataFrame) -> dict[str, float]:
    """What making rows took, of `TOOK` as far as their columns say it."""
    there = {name: column for name, column in _COLUMNS.items() if column in rows.columns}
    sums = rows.select(pl.col(column).sum().alias(name) for name, column in there.items())
    found = sums.row(0, named=True) if there else dict[str, float]()
    return {name: value for name, value in found.items() if value}


@dataclass
class _Division:
    """What is still wanted of a partition, and the rows that were taken."""

    by: ByRow
    left: pl.DataFrame
    taken: list[pl.DataFrame]

    def keys(self) -> pl.DataFrame:
        """By what stored rows are recognized as those that are still wanted."""
        return self.left.select(self.by.on)

    def take(self, rows: pl.DataFrame | None) -> tuple[int, int]:
        """Take what is wanted of the rows of a slice: how many rows, of how many units."""
        if rows is None:
            return 0, 0
        before = self.left.height
        found, self.left = matched(self.by, rows, self.left)
        self.taken.append(found)
        return found.height, before - self.left.height


def unit_of(table: Table, wanted: pl.DataFrame) -> list[str]:
    """The columns that name what a row of `wanted` asks for: an image, or a text of one."""
    return [column for column in table.order if column in wanted.columns]


def matched(
    by: ByRow, rows: pl.DataFrame, wanted: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that are those of some of `wanted`, under its names, and the rest of `wanted`."""
    unit = unit_of(by.table, wanted)
    if by.retried is not None:
        rows = rows.filter(~by.retried.fill_null(value=False).any().over(unit))
    # Of several units with one key the first counts, with all of its rows.
    firsts = rows.select(*unit, HASH).unique(by.on, keep="first", maintain_order=True)
    named = rows.join(firsts.select(unit), on=unit, how="semi", nulls_equal=True)
    named = named.drop(column for column in unit if column not in by.on)
    found = wanted.select(*unit, HASH).join(named, on=by.on, how="inner")
    rest = wanted.join(named.select(by.on).unique(), on=by.on, how="anti", maintain_order="left")
    return found.select(*by.table.unsliced, HASH), rest
