"""Weights & Biases."""

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

_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


class WandbTracker(Tracker):
    """Weights & Biases; its key is WANDB_API_KEY or what `wandb login` saved."""

    extra = "wandb"
    library = "wandb"

    kind: Literal["wandb"]
    project: _Name | None = Field(
        default=None, description="W&B's project; by default the name of the experiment."
    )
    entity: _Name | None = Field(
        default=None, description="User or team; by default the one of the key."
    )
    mode: Literal["online", "offline"] = Field(
        default="online",
        description="offline: runs are files, which `wandb sync` uploads later.",
    )
    folder: Annotated[str | None, Address] = Field(
        default=None, description="Where W&B keeps its files; by default below the data folder."
    )

    def open(self, run: RunIdentity, folder: Path) -> "WandbRun":
        """The run of this id, resumed where it was begun before."""
        self.require_library()
        wandb = import_module("wandb")
        place = Path(self.folder) if self.folder else folder
        place.mkdir(parents=True, exist_ok=True)
        # A build has several runs at once, and its output is not theirs.
        settings = wandb.Settings(
            reinit="create_new", console="off", silent=True, init_timeout=30, disable_git=True
        )
        opened = wandb.init(
            project=self.project or run.group,
            entity=self.entity,
            id=run.key,
            name=run.name,
            group=run.group,
            config={**run.params, **run.tags},
            resume="allow",
            mode=self.mode,
            dir=str(place),
            settings=settings,
        )
        # Steps of W&B's own only rise, and a resumed training fills in what is missing.
        opened.define_metric("step")
        opened.define_metric("train/*", step_metric="step")
        return WandbRun(opened)

    def problems(self) -> Iterator[str]:
        """No key, where one is needed."""
        if self.mode == "offline" or os.environ.get("WANDB_MODE") in ("offline", "disabled"):
            return
        try:
            import_module("wandb").Api(timeout=15).viewer  # noqa: B018 - asks the server who the key is of
        except Exception as error:
            yield f"W&B cannot be used: {error}. Run `wandb login`, or say `mode: offline`"


class WandbRun:
    """One run of W&B's."""

    def __init__(self, run: Any) -> None:  # noqa: ANN401 - the library is optional
        self._run = run

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """A point of each figure's curve, over `step`."""
        self._run.log({"step": step, **{f"train/{name}": v for name, v in figures.items()}})

    def summarize(self, figures: Mapping[str, float]) -> None:
        """Figures of the run's summary."""
        self._run.summary.update(dict(figures))

    def table(self, name: str, rows: "pl.DataFrame") -> None:
        """A table of W&B's."""
        wandb = import_module("wandb")
        self._run.log({name: wandb.Table(columns=rows.columns, data=rows.rows())})

    def close(self, status: Status) -> None:
        """End the run."""
        self._run.finish(exit_code=0 if status == "finished" else 1)
