"""DataComp's no_filter."""

from typing import Literal

from recap_assets.sets.kind import ComputedSet, Requirement


class NoFilter(ComputedSet):
    """Every usable sample."""

    kind: Literal["no_filter"]

    def requirements(self) -> tuple[Requirement, ...]:
        """None."""
        return ()
