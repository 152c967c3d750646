"""Trackio: a database of this machine, or a Space of the Hub."""

import os
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, StringConstraints

from recap_assets.specs.fields import Address
from recap_assets.tracking.kind import RunIdentity, Status, Tracker

if TYPE_CHECKING:
    import polars as pl

_Project = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
_Space = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$"),
]
PLACE = "TRACKIO_DIR"


class TrackioTracker(Tracker):
    """Trackio's local database, which `trackio show` opens, or a Space of the Hub."""

    extra = "trackio"
    library = "trackio"
    install_note = (
        ". It asks for a pillow below 13, so with constraints.txt, which has 13.0, pip refuses it: "
        "see docs/training.md"
    )

    kind: Literal["trackio"]
    project: _Project | None = Field(
        default=None, description="Trackio's project; by default the name of the experiment."
    )
    space: _Space | None = Field(
        default=None,
        description="A Space of the Hub, as owner/name; its token is HF_TOKEN or the saved login.",
    )
    folder: Annotated[str | None, Address] = Field(
        default=None,
        description="Folder of the database; by default TRACKIO_DIR, else Trackio's own.",
    )

    def open(self, run: RunIdentity, folder: Path) -> "TrackioRun":  # noqa: ARG002 - Trackio has one place
        """The run of this name, resumed where it was begun before."""
        self.require_library()
        if self.folder is not None:
            # Read when the library is imported, and there is no other way to name it.
            os.environ.setdefault(PLACE, str(Path(self.folder).absolute()))
        opened = import_module("trackio").init(
            project=self.project or run.group,
            name=f"{run.name}-{run.key[:8]}",
            group=run.group,
            space_id=self.space,
            config={**run.params, **run.tags},
            resume="allow",
            private=True if self.space else None,
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
        return TrackioRun(opened)

    def problems(self) -> Iterator[str]:
        """No right to the Space."""
        if self.space is None:
            return
        from huggingface_hub import HfApi

        try:
            HfApi().whoami()
        except Exception as error:
            yield f"the Space {self.space} needs HF_TOKEN or `hf auth login`: {error}"


class TrackioRun:
    """One run of Trackio's."""

    def __init__(self, run: Any) -> None:  # noqa: ANN401 - the library is optional
        self._run = run

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """A point of each figure's curve."""
        self._run.log(dict(figures), step=step)

    def summarize(self, figures: Mapping[str, float]) -> None:
        """Figures at the end of the curves."""
        self._run.log(dict(figures))

    def table(self, name: str, rows: "pl.DataFrame") -> None:
        """A table of Trackio's."""
        table = import_module("trackio").Table
        data = [list(row) for row in rows.rows()]
        self._run.log({name: table(columns=rows.columns, data=data)})

    def close(self, status: Status) -> None:  # noqa: ARG002 - Trackio has no failed runs
        """End the run."""
        self._run.finish()
