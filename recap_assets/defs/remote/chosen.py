"""Which workers compute what this process builds."""

import dagster as dg

from recap_assets.defs.remote.launcher import WorkersRunLauncher
from recap_assets.defs.remote.settings import RemoteSettings, remote_settings
from recap_assets.graph.project import Project
from recap_assets.graph.workers import HERE, Workers


class ChosenWorkers:
    """The workers of an experiment, found when the first partition is built.

    Args:
        project: The experiment in its workspace.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._found: dict[RemoteSettings, Workers] = {}

    def of(self, instance: dg.DagsterInstance) -> Workers:
        """Those that RECAP_WORKERS names, or else `dagster.yaml`; by default this process.

        Raises:
            RemoteSettingError: A setting means nothing.
        """
        launcher = instance.run_launcher
        named = launcher.workers if isinstance(launcher, WorkersRunLauncher) else None
        if (settings := remote_settings(named)) is None:
            return HERE
        if settings not in self._found:
            from recap_assets.defs.remote.workers import RayWorkers  # noqa: PLC0415 - if asked for

            self._found[settings] = RayWorkers(self._project, settings)
        return self._found[settings]
