"""Dagster's code server, web server and daemon as processes of their own, over GraphQL."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from recap_assets_tests import waiting
from recap_assets_tests.ports import free_port

REPOSITORY = Path(__file__).parents[2]
LOCATION = "recap"

# The daemon looks at backfills every 30 seconds, a number that it takes from nowhere else.
DAEMON = """
import sys
import dagster._daemon.controller as controller
controller.DEFAULT_DAEMON_INTERVAL_SECONDS = float(sys.argv.pop(1))
from dagster._daemon.__main__ import main
main()
"""


@dataclass(frozen=True)
class Services:
    """Running services: the GraphQL address, and the environment that all of them share."""

    url: str
    environment: Mapping[str, str]

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The data that a GraphQL query or mutation gives."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/graphql", body, kind)  # noqa: S310 - ours
        with urllib.request.urlopen(request, timeout=300) as reply:  # noqa: S310 - our own address
            answer = json.loads(reply.read())
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def reload(self) -> None:
        """What the button `Reload` does."""
        mutation = """
            mutation ($name: String!) {
              reloadRepositoryLocation(repositoryLocationName: $name) { __typename }
            }"""
        answer = self.ask(mutation, name=LOCATION)["reloadRepositoryLocation"]
        assert answer["__typename"] == "WorkspaceLocationEntry", answer


@contextlib.contextmanager
def services(home: Path, variables: Mapping[str, str], *, pause: float) -> Iterator[Services]:
    """Start all three, and stop them and what they started in the end.

    Args:
        home: DAGSTER_HOME, with a dagster.yaml; logs go there too.
        variables: The environment: experiment, data folder, instance folder.
        pause: Seconds between the daemon's looks at backfills; 30 in the daemon as it is.
    """
    grpc, web = free_port(), free_port()
    server = {"host": "localhost", "port": grpc, "location_name": LOCATION}
    workspace = home / "workspace.yaml"
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    environment = {**os.environ, **variables, "DAGSTER_HOME": str(home)}
    with contextlib.ExitStack() as stack:

        def start(name: str, *words: str) -> None:
            stack.enter_context(_process(home / f"{name}.log", words, environment))

        start(
            "code",
            *("-m", "dagster", "code-server", "start", "-m", "recap_assets.definitions"),
            *("--port", str(grpc), "--location-name", LOCATION),
        )
        wait_for(lambda: _answers(grpc), 180, "the code server")
        start("web", "-m", "dagster_webserver", "-w", str(workspace), "--port", str(web))
        start("daemon", "-c", DAEMON, str(pause), "run", "-w", str(workspace))
        wait_for(lambda: _answers(web), 180, "the web server")
        yield Services(f"http://localhost:{web}", environment)


def wait_for(holds: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until something holds that takes a while to be asked of Dagster.

    Raises:
        TimeoutError: It did not within so many seconds.
    """
    waiting.wait_for(holds, what, seconds, pause=0.5)


def write_instance(home: Path) -> None:
    """Write the repository's dagster.yaml, with a queue that is looked at more often."""
    home.mkdir(parents=True, exist_ok=True)
    content = yaml.safe_load((REPOSITORY / "dagster.yaml").read_text())
    del content["concurrency"]
    content["run_coordinator"] = {
        "module": "dagster._core.run_coordinator.queued_run_coordinator",
        "class": "QueuedRunCoordinator",
        "config": {"max_concurrent_runs": 2, "dequeue_interval_seconds": 1},
    }
    (home / "dagster.yaml").write_text(yaml.safe_dump(content))


@contextlib.contextmanager
def _process(log: Path, words: tuple[str, ...], environment: Mapping[str, str]) -> Iterator[None]:
    with log.open("w") as out:
        # A session of its own, so that the runs that it starts end with it.
        process = subprocess.Popen(  # noqa: S603 - our own words
            [sys.executable, *words],
            cwd=REPOSITORY,
            env=dict(environment),
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield
        finally:
            for kind, seconds in ((signal.SIGINT, 20), (signal.SIGKILL, 5)):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, kind)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(seconds)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("localhost", port)) == 0
