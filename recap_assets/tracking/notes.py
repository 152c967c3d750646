"""What was sent of a training, beside its checkpoint: one that resumes sends nothing twice."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from recap_assets.storage.files import write_atomically


@dataclass
class Note:
    """Of one mix and seed.

    Attributes:
        fingerprint: Of the training.
        attempt: Which training of this fingerprint it is, from 0: one that was forced is another.
        steps: The steps whose points were sent.
        version: Data version of the trained model; empty before there is one.
    """

    fingerprint: str
    attempt: int = 0
    steps: list[int] = field(default_factory=list[int])
    version: str = ""

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The note of a file; None where there is none that can be read."""
        try:
            values = json.loads(path.read_bytes())
            return cls(
                str(values["fingerprint"]),
                int(values["attempt"]),
                [int(step) for step in values["steps"]],
                str(values["version"]),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @classmethod
    def of_training(cls, path: Path, fingerprint: str) -> Self:
        """The note to continue with: that of a training that was interrupted, or a new one."""
        known = cls.read(path)
        if known is None or known.fingerprint != fingerprint:
            return cls(fingerprint)
        return cls(fingerprint, known.attempt + 1) if known.version else known

    def write(self, path: Path) -> None:
        """Keep it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(vars(self)).encode())
