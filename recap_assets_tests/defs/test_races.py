"""Several that build at once end in one state, and nothing is computed twice."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest
import yaml

from recap_assets.artefacts.catalogue import TABLES
from recap_assets.defs.events import Materialized
from recap_assets.defs.session import Session
from recap_assets.graph.planner import plan
from recap_assets_tests.tiny import EXPERIMENT

pytestmark = pytest.mark.long(reason="builds beside builds and a daemon")

REPOSITORY = Path(__file__).parents[2]
SELECTED = "curated_mixes/*"

# What the daemon does, as fast as it can: a run for whatever is out of date and ready, each
# in-process, until nothing is left of the selection.
DAEMON = """
import sys
import dagster as dg
from recap_assets.defs.assets import asset_key, assets_of
from recap_assets.defs.ranges import range_tags
from recap_assets.defs.session import Session
from recap_assets.graph.batches import neighbours
from recap_assets.graph.planner import plan
from recap_assets.graph.selection import select_assets

session = Session.from_environment()
instance = session.open_instance()
graph = session.graph
session.create_tables()
wanted = graph.ancestors(select_assets(graph, [sys.argv[1]]))
definitions = dg.Definitions(assets=assets_of(graph, session.project))
job = definitions.resolve_implicit_global_asset_job_def()
while ready := plan(graph, session.records(instance)).only(wanted).ready:
    asset = ready[-1].asset
    partitions = [entry.partition for entry in ready if entry.asset == asset]
    for group in neighbours(graph.partitions(graph.nodes[asset]), partitions):
        done = job.execute_in_process(
            instance=instance, asset_selection=[asset_key(asset)], tags=range_tags(group)
        )
        assert done.success
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(dict(EXPERIMENT)))
    return path


def start(experiment: Path, *words: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "RECAP_EXPERIMENT": str(experiment),
        "RECAP_DATA": str(experiment.parent / "data"),
        "RECAP_INSTANCE": str(experiment.parent / "data" / "tiny" / "dagster"),
        "DAGSTER_HOME": str(REPOSITORY),
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, *words],
        cwd=REPOSITORY,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def build(experiment: Path, *words: str) -> subprocess.Popen[str]:
    command = ["-m", "recap_assets.cli.main", "build", "--yes", "--jobs", "1"]
    return start(experiment, *command, "--select", SELECTED, *words)


def finish(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        output, _ = process.communicate(timeout=900)
        assert process.returncode == 0, output


@pytest.mark.parametrize("others", [("build",), ("daemon",)])
def test_nothing_is_computed_twice(
    experiment: Path, others: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = [build(experiment)]
    for other in others:
        processes += [
            build(experiment) if other == "build" else start(experiment, "-c", DAEMON, SELECTED)
        ]
    finish(*processes)
    monkeypatch.setenv("RECAP_DATA", str(experiment.parent / "data"))
    monkeypatch.setenv("DAGSTER_HOME", str(REPOSITORY))
    monkeypatch.setenv("RECAP_INSTANCE", "")
    session = Session(experiment)
    with session.open_instance() as instance:
        computed = computations(instance, session)
        assert computed
        assert {name: n for name, n in computed.items() if n != 1} == {}
        graph = session.graph
        wanted = graph.ancestors(key for key in graph.nodes if key.startswith("curated_mixes/"))
        left = plan(graph, session.records(instance)).only(wanted)
        assert not left
        assert set(computed) == {(k, p) for k in wanted for p in graph.partitions(graph.nodes[k])}
    for table in TABLES.values():
        session.project.workspace.tables.read(table)


def computations(instance: dg.DagsterInstance, session: Session) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for asset in session.graph.nodes:
        key = dg.AssetKey(asset.split("/"))
        for event in map(Materialized, instance.fetch_materializations(key, limit=1_000).records):
            found[asset, event.partition] += not event.account.reused
    return found


def test_a_selection_builds_itself_and_what_it_reads(experiment: Path) -> None:
    output, _ = (process := build(experiment, "--dry-run")).communicate(timeout=900)
    assert process.returncode == 0, output
    assert "trained_clip" not in output
    words = ["-m", "recap_assets.cli.main", "plan", "--json", "--select", "thresholds/mixed"]
    output, _ = start(experiment, *words).communicate(timeout=900)
    assets = {row["asset"] for row in json.loads(output)}
    assert "thresholds/mixed" in assets
    assert "clip_scores/clip/raw" in assets
    assert not any(asset.startswith("curated_mixes/") for asset in assets)
