"""Two hosts with one bucket and one PostgreSQL build each partition once."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml

from recap_assets.artefacts.catalogue import TABLES
from recap_assets.artefacts.lineage import EXPERIMENTS
from recap_assets.defs.dead_runs import DRIVER_TAG
from recap_assets.defs.session import Session
from recap_assets.graph.planner import plan
from recap_assets.storage.content import slice_version
from recap_assets_tests.defs.test_races import computations
from recap_assets_tests.storage.s3 import environment, moto_server
from recap_assets_tests.tiny import EXPERIMENT

REPOSITORY = Path(__file__).parents[2]
sys.path.append(str(REPOSITORY / "benchmarks"))

from postgres import private_cluster, server_programs  # noqa: E402 - a script beside the benchmarks

pytest.importorskip("moto", reason="the extra dev brings a stand-in for S3")
botocore_session = pytest.importorskip("botocore.session", reason="the extra s3 brings it")

pytestmark = pytest.mark.long(reason="two builds, a PostgreSQL and an object store")

SELECTED = "curated_mixes/*"
BETWEEN = "10.213.77"
"""The first three numbers of addresses between this machine and its hosts."""


class Host:
    """A network, a name and a mount of the claims' folder of its own, all else shared."""

    def __init__(self, number: int) -> None:
        self.name = f"recap{os.getpid() % 10_000}h{number}"
        self.number = number

    @contextmanager
    def up(self) -> Iterator[str]:
        """Its network, as long as the block lasts.

        Yields:
            The address of this machine that it reaches.
        """
        inside, outside = f"{self.name}i", f"{self.name}o"
        here, there = (f"{BETWEEN}.{4 * self.number + i}" for i in (1, 2))
        ip("netns", "add", self.name)
        try:
            ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", self.name)
            ip("addr", "add", f"{here}/30", "dev", outside)
            ip("link", "set", outside, "up")
            ip("-n", self.name, "addr", "add", f"{there}/30", "dev", inside)
            ip("-n", self.name, "link", "set", inside, "up")
            yield here
        finally:
            ip("netns", "delete", self.name)

    def start(
        self, command: list[str], claims: Path, variables: Mapping[str, str]
    ) -> subprocess.Popen[str]:
        """Run a command there. No file lock in `claims` is seen outside, as with a bad NFS."""
        script = f'hostname {self.name}; mount -t tmpfs none "$0"; exec "$@"'
        words = ["ip", "netns", "exec", self.name, "unshare", "--mount", "--uts", "sh", "-ec"]
        return subprocess.Popen(  # noqa: S603 - our own words
            [*words, script, str(claims), *command],
            cwd=REPOSITORY,
            env={**os.environ, **variables},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)  # noqa: S603, S607 - our own words


def why_not() -> str | None:
    if server_programs() is None:
        return "PostgreSQL's server is not installed"
    if os.geteuid() or not shutil.which("ip") or not shutil.which("unshare"):
        return "network namespaces need root, ip and unshare"
    try:
        ip("netns", "add", probe := f"recap{os.getpid()}")
        ip("netns", "delete", probe)
    except subprocess.CalledProcessError as error:
        return f"no network namespaces here: {error.stderr.decode().strip()}"
    return None


def contents(session: Session) -> dict[str, str]:
    """A hash of each table's content, but of those that say when something was done."""
    tables = session.project.workspace.tables
    return {
        name: slice_version(table, tables.read(table))
        for name, table in TABLES.items()
        if not table.append_only and table != EXPERIMENTS
    }


def dagster_home(folder: Path) -> Path:
    """Dagster configured as docs/scale.md says to."""
    (home := folder / "home").mkdir(exist_ok=True)
    text = (REPOSITORY / "docs/scale.md").read_text()
    (fragment,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (home / "dagster.yaml").write_text(fragment)
    return home


def written(folder: Path) -> Path:
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(dict(EXPERIMENT)))
    return path


BUILD = [sys.executable, "-m", "recap_assets.cli.main", "build", "--yes", "--jobs", "1"]


def undisturbed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The tables' contents of one build on one machine and its disk."""
    folder.mkdir()
    path = written(folder)
    variables = {
        **{name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"},
        "RECAP_DATA": str(folder / "data"), "RECAP_INSTANCE": "", "RECAP_TABLES": "",
        "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    done = subprocess.run(  # noqa: S603 - our own words
        [*BUILD, "-e", str(path), "--select", SELECTED], cwd=REPOSITORY,
        env=variables, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    with monkeypatch.context() as patch:
        patch.setenv("RECAP_DATA", str(folder / "data"))
        return contents(Session(path))


@pytest.mark.skipif(why_not() is not None, reason=why_not() or "")
def test_two_hosts_build_each_partition_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = undisturbed(tmp_path / "alone", monkeypatch)
    path, data = written(tmp_path), tmp_path / "data"
    claims = data / "tiny" / "claims"
    claims.mkdir(parents=True)
    hosts = [Host(1), Host(2)]
    with ExitStack() as stack:
        cluster = stack.enter_context(private_cluster())
        store = stack.enter_context(moto_server("0.0.0.0"))  # noqa: S104 - the hosts reach it
        port = store.rpartition(":")[2]
        variables = {
            **environment(f"http://127.0.0.1:{port}"), "RECAP_POSTGRES_URL": cluster.url,
            "DAGSTER_HOME": str(dagster_home(tmp_path)), "RECAP_DATA": str(data),
            "RECAP_TABLES": "s3://bucket/tables", "RECAP_INSTANCE": "", "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        client = botocore_session.get_session().create_client("s3", "us-east-1")
        client.create_bucket(Bucket="bucket")
        # Together they start at the same moment, with nothing there.
        started = []
        for host in hosts:
            address = stack.enter_context(host.up())
            endpoint = {"AWS_ENDPOINT_URL": f"http://{address}:{port}"}
            command = [*BUILD, "-e", str(path), "--select", SELECTED]
            started.append(host.start(command, claims, endpoint))
        said = [process.communicate(timeout=1_500)[0] for process in started]
        assert [process.returncode for process in started] == [0, 0], "\n".join(said)
        session = Session(path)
        with session.open_instance() as instance:
            computed = computations(instance, session)
            drivers = {run.tags[DRIVER_TAG].partition(":")[0] for run in instance.get_runs()}
            left = plan(session.graph, session.records(instance))
            wanted = session.graph.ancestors(
                key for key in session.graph.nodes if key.startswith("curated_mixes/")
            )
        assert {name: n for name, n in computed.items() if n > 1} == {}
        assert {name for name, n in computed.items() if n} == {
            (key, partition)
            for key in wanted
            for partition in session.graph.partitions(session.graph.nodes[key])
        }
        assert not left.only(wanted)
        assert contents(session) == alone
        leases = client.list_objects_v2(Bucket="bucket", Prefix="tables/tiny/.claims/")
        assert leases["KeyCount"] == 0
        assert drivers == {host.name for host in hosts}
