"""Where `dagster.yaml` says which workers compute what its runs build."""

from collections.abc import Mapping
from typing import Any, Self

import dagster as dg
from dagster._core.launcher import DefaultRunLauncher
from dagster._serdes import ConfigurableClassData


class WorkersRunLauncher(DefaultRunLauncher):
    """Launches runs as Dagster does; their models compute on the workers that it names.

    Args:
        workers: As `recap build --workers` takes it.
        inst_data: Of Dagster.
    """

    def __init__(self, workers: str, inst_data: ConfigurableClassData | None = None) -> None:
        self.workers = workers
        super().__init__(inst_data)

    @classmethod
    def config_type(cls) -> Mapping[str, Any]:  # type: ignore[override] - as its parent's
        """The address."""
        return {"workers": dg.StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> Self:
        """One with the address of `dagster.yaml`."""
        return cls(config_value["workers"], inst_data)
