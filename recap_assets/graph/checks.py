"""Checks: predicates on what a node wrote."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        passed: Whether the data is as it must be.
        figures: What was counted, for people.
    """

    passed: bool
    figures: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Check:
    """A predicate on the partitions of a node that were just written.

    Attributes:
        name: What holds when it passes.
        description: In a sentence.
        evaluate: Looks at the given partitions.
        blocking: Whether a failure stops what reads the node; otherwise it warns.
    """

    name: str
    description: str
    evaluate: Callable[[Sequence[str]], Verdict]
    blocking: bool = True
