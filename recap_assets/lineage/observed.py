"""What Dagster's records have beside results: builds that failed, and what checks found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class FailedBuild:
    """A run that failed at an asset.

    Attributes:
        asset: Its key.
        run_id: Dagster's run.
        partitions: What of the asset the run was for; empty where it has no partitions.
        began: When the asset was begun.
        ended: When it failed.
        message: Why.
    """

    asset: str
    run_id: str
    partitions: str
    began: datetime
    ended: datetime
    message: str


@dataclass(frozen=True)
class CheckResult:
    """What the last evaluation of a check found.

    Attributes:
        asset: The key of what was checked.
        name: The check's.
        description: What it asks, in a sentence.
        passed: Whether it holds.
        blocking: Whether what reads the asset is stopped where it does not.
        figures: What was counted.
        run_id: Dagster's run.
        at: When it was evaluated.
    """

    asset: str
    name: str
    description: str
    passed: bool
    blocking: bool
    run_id: str
    at: datetime
    figures: Mapping[str, object] = field(default_factory=dict[str, object])


@dataclass(frozen=True)
class Observed:
    """All of it, of the assets of a tree."""

    failures: tuple[FailedBuild, ...] = ()
    checks: tuple[CheckResult, ...] = ()


NOTHING = Observed()
