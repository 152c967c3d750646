"""Where the rows of one asset went: used, or set aside for which reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Account:
    """Rows of one asset by what became of them.

    Attributes:
        what: The asset.
        n_all: Rows in all.
        n_usable: Rows that count as ok.
        n_without_text: Usable rows that have no text.
        rejected: Rows set aside, by reason.
        per_second: Rows that were fetched in a second, where they were fetched.
        notes: Usable rows whose text was not read as plain UTF-8, by what was done or failed: see
            TEXT_NOTES.
    """

    what: str
    n_all: int
    n_usable: int
    n_without_text: int
    rejected: Mapping[str, int]
    per_second: float | None = None
    notes: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_rejected(self) -> int:
        """Rows set aside; with the usable ones they are all."""
        return sum(self.rejected.values())
