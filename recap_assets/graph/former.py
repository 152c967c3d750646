"""Results that the same code, settings and inputs gave before, here or in another experiment."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
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
        asset: The asset that has it, where that has another name than the one that is built.
        names: The name there, by the name here, where the two differ.
        is_last: Whether nothing else was computed of its partition there since.
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
    asset: str = ""
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    is_last: bool = True

    @property
    def is_own(self) -> bool:
        """Whether the experiment that is built has it itself."""
        return self.there.root == self.here.root

    @property
    def whose(self) -> str:
        """What has it, for people."""
        of = [self.asset] if self.asset else []
        return " of ".join(of if self.is_own and of else [*of, self._experiment])

    @property
    def described(self) -> Mapping[str, str | int | float]:
        """The facts, and where the result was taken from."""
        whose = self.whose
        facts = {n: fact for n, fact in self.facts.items() if not n.startswith(REUSED_FROM)}
        if COMPUTED in facts:
            n_all = int(facts[COMPUTED]) + int(facts.get(REUSED, 0))
            facts |= {COMPUTED: 0, REUSED: n_all, f"{REUSED_FROM}{whose}": n_all}
        return {**facts, TAKEN_OVER: f"{whose}, computed on {self.built_on}"}

    @property
    def _experiment(self) -> str:
        return "an earlier version" if self.is_own else f"experiment {self.there.name}"

    def place_of(self, path: Path) -> Path:
        """Where the other workspace has what is at a path of this one."""
        parts = path.relative_to(self.here.root).parts
        return self.there.root.joinpath(*(self.names.get(part, part) for part in parts))

    def slice_of(self, at: Mapping[str, str | int]) -> dict[str, str | int]:
        """The slice there of what is in this slice here."""
        return {column: self.names.get(str(value), value) for column, value in at.items()}


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

    def named_otherwise(
        self, asset: str, partition: str, fingerprints: Collection[str], *, is_planned: bool = False
    ) -> Iterable[Former]:
        """Results of assets that differ from an asset by the last part of their keys alone.

        Args:
            asset: The asset.
            partition: The partition.
            fingerprints: One of these they would have under the asset's own name.
            is_planned: Whether a look at the receipts of some seconds ago will do.
        """
        ...

    def slices(self, wanted: Wanted) -> Iterable[KeptSlice]:
        """Slices that were computed under equal settings, those of the asset itself first."""
        ...


class NoFormerResults:
    """Nothing was computed before."""

    def of(self, asset: str, partition: str, fingerprint: str) -> Iterable[Former]:  # noqa: ARG002 - of the protocol
        """None."""
        return ()

    def named_otherwise(
        self,
        asset: str,  # noqa: ARG002 - of the protocol
        partition: str,  # noqa: ARG002 - of the protocol
        fingerprints: Collection[str],  # noqa: ARG002 - of the protocol
        *,
        is_planned: bool = False,  # noqa: ARG002 - of the protocol
    ) -> Iterable[Former]:
        """None."""
        return ()

    def slices(self, wanted: Wanted) -> Iterable[KeptSlice]:  # noqa: ARG002 - of the protocol
        """None."""
        return ()
