"""The PostgreSQL of the faults that happen to one: a cluster of its own for each fault."""

import importlib.util
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import CalledProcessError

REPOSITORY = Path(__file__).parents[2]
sys.path.append(str(REPOSITORY / "benchmarks"))

from postgres import Cluster, private_cluster, server_programs  # noqa: E402 - beside benchmarks

WHERE = "cluster"
"""A file in a fault's folder that names the cluster's."""
RESTART_SECONDS = 0.5


def why_not() -> str | None:
    """Why there is no PostgreSQL here; None where there is."""
    if server_programs() is None:
        return "PostgreSQL's server is not installed (Debian: postgresql)"
    if importlib.util.find_spec("psycopg2") is None:
        return "no psycopg2: the extra postgres brings it"
    return None


@contextmanager
def database(folder: Path) -> Iterator[Mapping[str, str]]:
    """Configure Dagster in the folder of a fault as docs/scale.md tells to, on a new cluster.

    Yields:
        The environment of who uses it.
    """
    home = folder / "home"
    home.mkdir()
    (fragment,) = re.findall(
        r"```yaml\n(.*?)```", (REPOSITORY / "docs" / "scale.md").read_text(), re.DOTALL
    )
    (home / "dagster.yaml").write_text(fragment)
    with private_cluster() as cluster:
        (folder / WHERE).write_text(str(cluster.folder))
        try:
            yield {"DAGSTER_HOME": str(home), "RECAP_POSTGRES_URL": cluster.url}
        finally:
            come_back(folder)


def cluster_of(folder: Path) -> Cluster:
    """The cluster of a fault."""
    return Cluster("", Path((folder / WHERE).read_text()))


def restart(folder: Path) -> int:
    """Crash the server and start it again a moment later."""
    cluster = cluster_of(folder)
    cluster.stop()
    time.sleep(RESTART_SECONDS)
    cluster.start()
    return 0


def come_back(folder: Path) -> None:
    """Start the server, where it is down."""
    cluster = cluster_of(folder)
    if not (cluster.folder / "data" / "postmaster.pid").exists():
        with suppress(CalledProcessError):
            cluster.start()
