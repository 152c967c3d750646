"""`smoke`, with workers on three nodes, tables in a bucket and records in PostgreSQL.

Its assets are all built, of fewer samples: what is compared does not ask for good models.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from recap_assets.artefacts.catalogue import TABLES
from recap_assets.artefacts.lineage import EXPERIMENTS
from recap_assets.storage.content import slice_version
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.faults import database
from recap_assets_tests.storage import s3

pytest.importorskip("ray", reason="the extra ray is not installed")
botocore_session = pytest.importorskip("botocore.session", reason="the extra s3 brings it")

from recap_assets_tests.defs.remote.cluster import (  # noqa: E402 - needs ray
    REPOSITORY,
    kind_everywhere,
    nodes,
)

pytestmark = pytest.mark.long(reason="smoke twice, once on a cluster of three nodes")

SMOKE = REPOSITORY / "recap_assets" / "experiments" / "smoke.yaml"
BUCKET = "s3://smoke/tables"
SECONDS = 3000


def written(folder: Path) -> Path:
    """The experiment with small amounts."""
    content = yaml.safe_load(SMOKE.read_text())
    content["pool"] |= {"samples": 400, "samples_per_shard": 100}
    for one in (*content["corpora"].values(), *content["evaluation"]["tasks"].values()):
        one["samples"] = 120
    for one in (*content["models"].values(), content["training"]):
        one["samples_seen"] = 640
    (file := folder / "smoke.yaml").write_text(yaml.safe_dump(content))
    return file


def built(file: Path, data: Path, variables: Mapping[str, str]) -> str:
    """What a build of the whole experiment prints."""
    command = [sys.executable, "-m", "recap_assets.cli.main", "-e", str(file), "build", "--yes"]
    done = subprocess.run(  # noqa: S603 - our own words
        [*command, "--jobs", "1"], env={**os.environ, "RECAP_DATA": str(data), **variables},
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def contents(workspace: Workspace) -> dict[str, str]:
    """A hash of each table's content, but of those that say when something was done."""
    return {
        name: slice_version(table, workspace.tables.read(table))
        for name, table in TABLES.items()
        if not table.append_only and table != EXPERIMENTS
    }


@pytest.mark.skipif(bool(database.why_not()), reason=str(database.why_not()))
def test_smoke_on_three_nodes_is_that_of_one_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path)
    here, there = Workspace(tmp_path / "here", "smoke"), Workspace(tmp_path, "smoke", BUCKET)
    with s3.moto_server() as endpoint, kind_everywhere(tmp_path, monkeypatch):
        built(file, here.data, {"RECAP_WORKERS": "local"})
        for name, value in s3.environment(endpoint).items():
            monkeypatch.setenv(name, value)
        client = botocore_session.get_session().create_client("s3", "us-east-1")
        client.create_bucket(Bucket="smoke")
        with database.database(tmp_path) as records, nodes(3) as cluster:
            workers = {"RECAP_WORKERS": str(cluster.address), "RECAP_TABLES": BUCKET}
            output = built(file, tmp_path, {**records, **workers})
        assert re.search(r"Built \d+ partitions", output), output
        assert not list(there.instance.glob("*.db")), "the records are in PostgreSQL"
        assert contents(there) == contents(here)
        parts = client.list_objects_v2(Bucket="smoke", Prefix="tables/smoke/_parts/")
        assert parts["KeyCount"] == 0, "what workers wrote went with the commit"
