"""Results that the same code, settings and inputs gave before, here or in another experiment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from recap_assets.graph.kept_rows import ByRow, KeptSlice
from recap_assets.graph.reuse import COMPUTED, REUSED, REUSED_FROM
from recap_assets.storage.workspace import Workspace

TAKEN_OVER = "taken_over_from"
"""The fact of a result that says where it was taken from."""


@dataclass(frozen=True)
class Former:
    """A result that was computed before, as its receipt describes it.

    Attributes:
        there: The workspace that has it, or had it.
        here: The workspace that is built.
        data_version: Hash of its content.
        n_rows: Its rows.
        seconds: What computing it took.
        device: What computed it: `cpu`, or a GPU's name.
        rejected: Rows set aside, by reason.
        facts: Small numbers and words for people.
        provenance: Git commit and versions of the libraries that computed it.
        table_versions: Delta version at which each table's slice could be read.
        built_on: The day when it was computed, as YYYY-MM-DD.
    """

    there: Workspace
    here: Workspace
    data_version: str
    n_rows: int
    seconds: float
    device: str
    rejected: Mapping[str, int]
    facts: Mapping[str, str | int | float]
    provenance: Mapping[str, str]
    table_versions: Mapping[str, int]
    built_on: str

    @property
    def described(self) -> Mapping[str, str | int | float]:
        """The facts, and where the result was taken from."""
        is_own = self.there.root == self.here.root
        whose = "an earlier version" if is_own else f"experiment {self.there.name}"
        facts = {n: fact for n, fact in self.facts.items() if not n.startswith(REUSED_FROM)}
        if COMPUTED in facts:
            n_all = int(facts[COMPUTED]) + int(facts.get(REUSED, 0))
            facts |= {COMPUTED: 0, REUSED: n_all, f"{REUSED_FROM}{whose}": n_all}
        return {**facts, TAKEN_OVER: f"{whose}, computed on {self.built_on}"}

    def place_of(self, path: Path) -> Path:
        """Where the other workspace has what is at a path of this one."""
        return self.there.root / path.relative_to(self.here.root)


@dataclass(frozen=True)
class Wanted:
    """Rows that may have been computed before.

    Attributes:
        asset: Whose rows are wanted.
        partition: Of which partition.
        by: How they are recognized.
        digest: Of the settings, as `settings_digest` gives it.
    """

    asset: str
    partition: str
    by: ByRow
    digest: str


class FormerResults(Protocol):
    """What was computed before."""

    def of(self, asset: str, partition: str, fingerprint: str) -> Iterable[Former]:
        """Results of an asset's partition with this fingerprint, the newest first."""
        ...

    def slices(self, wanted: Wanted) -> Iterable[KeptSlice]:
        """Slices that were computed under equal settings, those of the asset itself first."""
        ...


class NoFormerResults:
    """Nothing was computed before."""

    def of(self, asset: str, partition: str, fingerprint: str) -> Iterable[Former]:  # noqa: ARG002 - of the protocol
        """None."""
        return ()

    def slices(self, wanted: Wanted) -> Iterable[KeptSlice]:  # noqa: ARG002 - of the protocol
        """None."""
        return ()
