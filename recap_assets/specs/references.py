"""What one part of an experiment names of another."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """One name.

    Attributes:
        field: The field that has it.
        name: The name.
        section: Where it must stand: `sources`, `scorers`, `models` and so on.
        kind: The kind that it must be of; None for any.
    """

    field: str
    name: str
    section: str
    kind: str | None = None
