"""MLflow: a server, or a folder of this machine."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from recap_assets.specs.fields import Address
from recap_assets.tracking.kind import RunIdentity, Status, Tracker, TrackingError
from recap_assets.tracking.sending import now_ms

if TYPE_CHECKING:
    import polars as pl

URI = "MLFLOW_TRACKING_URI"
KEY_TAG = "recap.run"
_SETTINGS = {
    # Nothing about who trains what goes to MLflow's makers.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # By default a server that is down is asked for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
}
_MOST_CHARACTERS = 500
"""Of a parameter's value; what MLflow's oldest servers take."""
_MOST_PARAMS = 100
"""Of one request."""


class MlflowTracker(Tracker):
    """MLflow's tracking: a server, or a folder of this machine with a database in it."""

    extra = "mlflow"
    library = "mlflow"

    kind: Literal["mlflow"]
    uri: Annotated[str, StringConstraints(pattern=r"^https?://[!-~]{1,500}$")] | None = Field(
        default=None,
        description="Address of the server; its user or token are MLFLOW_TRACKING_USERNAME and the "
        "like. By default MLFLOW_TRACKING_URI.",
    )
    folder: Annotated[str | None, Address] = Field(
        default=None, description="A folder of this machine instead of a server."
    )
    project: Annotated[str, StringConstraints(pattern=r"^[^\s/][^\r\n]{0,200}$")] | None = Field(
        default=None, description="MLflow's experiment; by default the name of this one."
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.uri is not None and self.folder is not None:
            msg = "uri and folder are two places: leave one out"
            raise ValueError(msg)
        return self

    def open(self, run: RunIdentity, folder: Path) -> "MlflowRun":  # noqa: ARG002 - MLflow keeps nothing here
        """The run with the tag `recap.run` of this key, or a new one."""
        self.require_library()
        if problem := next(self._unplaced(), None):
            raise TrackingError(problem)
        return MlflowRun.opened(self._client(), run, self.project or run.group, self._artifacts)

    def problems(self) -> Iterator[str]:
        """No place, or one that does not answer."""
        yield from self._unplaced()
        if not list(self._unplaced()):
            try:
                self._client().search_experiments(max_results=1)
            except Exception as error:
                yield f"MLflow at {self.uri or self.folder or URI} does not answer: {error}"

    def _unplaced(self) -> Iterator[str]:
        if not (self.uri or self.folder or os.environ.get(URI)):
            yield f"say where MLflow is: `uri:`, `folder:`, or the variable {URI}"

    @property
    def _artifacts(self) -> str | None:
        return None if self.folder is None else (Path(self.folder) / "artifacts").as_uri()

    def _client(self) -> Any:  # noqa: ANN401 - the library is optional
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        if self.folder is None:
            return MlflowClient(tracking_uri=self.uri)
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        return MlflowClient(tracking_uri=f"sqlite:///{Path(self.folder).absolute()}/mlflow.db")


class MlflowRun:
    """One run, by MLflow's client, which has no state of the process."""

    def __init__(self, client: Any, run_id: str) -> None:  # noqa: ANN401 - the library is optional
        self._client, self.run_id = client, run_id

    @classmethod
    def opened(
        cls,
        client: Any,  # noqa: ANN401 - the library is optional
        run: RunIdentity,
        project: str,
        artifacts: str | None,
    ) -> Self:
        """The run of this key in an experiment of MLflow's; both are made where there is none."""
        known = client.get_experiment_by_name(project)
        experiment = (
            client.create_experiment(project, artifact_location=artifacts)
            if known is None
            else known.experiment_id
        )
        wanted = f"tags.`{KEY_TAG}` = '{run.key}'"
        found = client.search_runs([experiment], filter_string=wanted, max_results=1)
        if found:
            client.update_run(found[0].info.run_id, status="RUNNING")
            return cls(client, found[0].info.run_id)
        tags = {**run.tags, KEY_TAG: run.key}
        made = cls(client, client.create_run(experiment, run_name=run.name, tags=tags).info.run_id)
        made._describe(run.params)
        return made

    def _describe(self, params: Mapping[str, str]) -> None:
        from mlflow.entities import Param

        listed = [Param(name, value[:_MOST_CHARACTERS]) for name, value in params.items()]
        for first in range(0, len(listed), _MOST_PARAMS):
            self._client.log_batch(self.run_id, params=listed[first : first + _MOST_PARAMS])

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """A point of each figure's curve."""
        from mlflow.entities import Metric

        now = now_ms()
        metrics = [Metric(name, value, now, step) for name, value in figures.items()]
        self._client.log_batch(self.run_id, metrics=metrics)

    def summarize(self, figures: Mapping[str, float]) -> None:
        """Metrics without a curve."""
        self.log(0, figures)

    def table(self, name: str, rows: "pl.DataFrame") -> None:
        """A CSV file among the run's artifacts."""
        self._client.log_text(self.run_id, rows.write_csv(), f"{name}.csv")

    def close(self, status: Status) -> None:
        """End the run."""
        self._client.set_terminated(self.run_id, "FINISHED" if status == "finished" else "FAILED")
