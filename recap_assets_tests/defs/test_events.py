"""One event for each partition, with versions of our own, and the records read from it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.defs import assets
from recap_assets.defs.assets import FORCE_TAG, asset_key, assets_of
from recap_assets.defs.damaged_files import SUSPECT
from recap_assets.defs.events import (
    DATA_VERSION,
    FINGERPRINT,
    INPUT_EVENT,
    INPUT_VERSION,
)
from recap_assets.defs.ranges import range_tags
from recap_assets.defs.records import DagsterRecords
from recap_assets.defs.run_results import RESULTS_TAG
from recap_assets.defs.session import Session
from recap_assets.graph.planner import plan
from recap_assets.graph.records import Record
from recap_assets_tests.cli.running import set_environment, write_experiment
from recap_assets_tests.tiny import EXPERIMENT

PARTITIONS = ("00000", "00001", "00002")
WORLD, RAW = "embedded_world/pool", "raw_pool"

Run = Callable[..., dg.ExecuteInProcessResult]


@pytest.fixture(scope="module")
def pool_built(nothing_built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The experiment's folder after one run, which drew the pool and indexed it."""
    folder = tmp_path_factory.mktemp("pool_built")
    with pytest.MonkeyPatch.context() as patch:
        set_environment(patch, folder)
        session = Session(write_experiment(folder))
        shutil.copytree(nothing_built, session.project.workspace.root)
        with session.open_instance() as instance:
            assert runs_of(session, instance)(WORLD, RAW).success
    return session.project.workspace.root


@pytest.fixture
def built(session: Session, pool_built: Path) -> dg.DagsterInstance:
    """The instance of a copy of what was built."""
    shutil.copytree(pool_built, session.project.workspace.root)
    return session.open_instance()


@pytest.fixture
def run(session: Session, instance: dg.DagsterInstance) -> Run:
    return runs_of(session, instance)


def runs_of(session: Session, instance: dg.DagsterInstance) -> Run:
    """Executes one run of some assets, over a range of partitions if some are given."""
    definitions = dg.Definitions(assets=assets_of(session.graph, session.project))
    job = definitions.resolve_implicit_global_asset_job_def()

    def execute(*assets: str, partitions: tuple[str, ...] = PARTITIONS, **tags: str):
        return job.execute_in_process(
            instance=instance,
            asset_selection=[asset_key(asset) for asset in assets],
            tags={**range_tags(partitions), **tags},
            raise_on_error=False,
        )

    return execute


def events_of(instance: dg.DagsterInstance, asset: str) -> list[dg.AssetMaterialization]:
    """Its materializations, the first one first."""
    found = instance.fetch_materializations(asset_key(asset), limit=100).records
    return [record.asset_materialization for record in reversed(found)]


def versions(event: dg.AssetMaterialization) -> dict[str, str]:
    """Its tags without the pointers to the events read, which a later event moves on."""
    return {name: v for name, v in event.tags.items() if not name.startswith(INPUT_EVENT)}


def test_a_range_of_partitions_gives_one_event_each_with_its_own_versions(
    built: dg.DagsterInstance,
) -> None:
    world, raw = events_of(built, WORLD), events_of(built, RAW)
    assert [event.partition for event in world] == list(PARTITIONS)
    assert [event.partition for event in raw] == list(PARTITIONS)
    for name in (DATA_VERSION, FINGERPRINT):
        assert len({event.tags[name] for event in raw}) == len(PARTITIONS)
    for drawn, read in zip(world, raw, strict=True):
        assert read.tags[INPUT_VERSION + WORLD] == drawn.tags[DATA_VERSION]
        # Dagster takes `row_count` for that of the whole table.
        assert read.metadata["dagster/partition_row_count"].value == 20
        assert "dagster/row_count" not in read.metadata
        assert read.metadata["result"].value == "computed"
        assert "preview" in read.metadata


def test_dagster_takes_our_data_version_for_its_own(built: dg.DagsterInstance) -> None:
    record = built.get_latest_data_version_record(asset_key(RAW), partition_key="00001")
    event = record.asset_materialization
    versions = {e.partition: e.tags[DATA_VERSION] for e in events_of(built, RAW)}
    assert event.tags[DATA_VERSION] == versions["00001"]


def test_the_records_are_what_the_events_say(session: Session, built: dg.DagsterInstance) -> None:
    remembered = DagsterRecords(built).latest(RAW)
    assert set(remembered) == set(PARTITIONS)
    for event in events_of(built, RAW):
        one = remembered[event.partition]
        assert one.fingerprint == event.tags[FINGERPRINT]
        assert one.data_version == event.tags[DATA_VERSION]
        assert one.inputs.names == (WORLD,)
        assert one.code_version == session.graph.nodes[RAW].code_version
        assert one.n_rows == 20
        assert sum(dict(one.rejected).values()) == event.metadata["rejected"].value
    stale = {entry.asset for entry in plan(session.graph, DagsterRecords(built)).entries}
    assert not stale & {WORLD, RAW}


def test_a_second_run_computes_nothing_and_says_so(
    session: Session, built: dg.DagsterInstance
) -> None:
    version = session.project.workspace.tables.version(RAW_POOL)
    assert runs_of(session, built)(WORLD, RAW).success
    first, again = events_of(built, RAW)[:3], events_of(built, RAW)[3:]
    assert [event.metadata["reused"].value for event in again] == ["yes"] * 3
    assert [event.metadata["result"].value for event in again] == ["reused"] * 3
    (newest, *_) = built.get_runs(limit=1)
    assert newest.tags[RESULTS_TAG] == "6 reused"
    assert [versions(event) for event in again] == [versions(event) for event in first]
    assert session.project.workspace.tables.version(RAW_POOL) == version


def test_a_forced_run_computes_and_does_not_write_equal_content(
    session: Session, built: dg.DagsterInstance
) -> None:
    version = session.project.workspace.tables.version(RAW_POOL)
    forced = runs_of(session, built)(RAW, partitions=("00001",), **{FORCE_TAG: "true"})
    assert forced.success
    event = events_of(built, RAW)[-1]
    assert event.partition == "00001"
    assert "reused" not in event.metadata
    assert event.metadata["rewritten"].value is False
    assert session.project.workspace.tables.version(RAW_POOL) == version


def test_checks_are_judged_once_over_all_partitions_of_a_run(run: Run) -> None:
    result = run(WORLD, RAW)
    found = {e.check_name: (e.passed, e.metadata) for e in result.get_asset_check_evaluations()}
    assert set(found) == {"uids_are_unique", "most_samples_are_usable"}
    assert all(passed for passed, _ in found.values())
    assert found["uids_are_unique"][1]["samples"].value == 60


def test_what_was_never_built_upstream_fails_in_words(run: Run) -> None:
    result = run(RAW, partitions=("00000",))
    (failure,) = result.get_step_failure_events()
    assert "embedded_world/pool, never built" in str(failure.step_failure_data.error)


def test_a_failed_partition_keeps_those_before_it(
    run: Run, instance: dg.DagsterInstance, session: Session
) -> None:
    run(WORLD)
    (session.project.workspace.world / "pool" / "00000001.tar").unlink()
    assert not run(RAW).success
    # The step was tried twice: the second time the first partition is there already.
    kept, again = events_of(instance, RAW)
    assert (kept.partition, again.partition) == ("00000", "00000")
    assert again.metadata["reused"].value == "yes"
    assert set(DagsterRecords(instance).latest(RAW)) == {"00000"}


def test_no_event_keeps_a_secret_that_an_error_repeats(
    run: Run, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        msg = "\x1b[2J the store at https://me:hunter2@host said no"
        raise ValueError(msg)

    monkeypatch.setattr(assets, "build_partition", fails)
    result = run(WORLD, partitions=PARTITIONS[:1])
    assert not result.success
    kept = "".join(str(entry) for entry in instance.all_logs(result.run_id))
    assert "https://me:[hidden]@host said no" in kept
    assert "hunter2" not in kept
    assert "\x1b" not in kept


def read_again(session: Session) -> dict[str, Mapping[str, Record]]:
    """Every asset's records as a command reads them that only reads, which keeps them."""
    reading = replace(session, only_reads=True)
    reading.export()
    records = reading.read_records()
    records.look(reading.graph.nodes)
    found = {asset: records.latest(asset) for asset in reading.graph.nodes}
    records.save()
    return found


def test_records_that_were_read_are_read_again_without_dagster(
    session: Session, built: dg.DagsterInstance
) -> None:
    stored = {asset: DagsterRecords(built).latest(asset) for asset in session.graph.nodes}
    assert read_again(session) == stored
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "open_instance", lambda _self: pytest.fail("Dagster was asked"))
        assert read_again(session) == stored
        kept = replace(session, only_reads=True).read_records()
        code_version = session.graph.nodes[RAW].code_version
        node = session.graph.nodes[RAW]
        for record in stored[RAW].values():
            assert record.code_version == code_version
            assert kept.implementation(RAW, record) == (node.implementation, node.decides)
    assert set(stored[RAW]) == set(PARTITIONS)


@pytest.mark.parametrize("change", ["another build", "a wipe", "another asset", "a damaged log"])
def test_records_are_asked_for_where_the_file_may_lack_some(
    session: Session, built: dg.DagsterInstance, opened: Callable[..., Session], change: str
) -> None:
    read_again(session)
    if change == "another build":
        assert runs_of(session, built)(RAW, partitions=("00001",), **{FORCE_TAG: "true"}).success
    elif change == "a wipe":
        built.wipe_assets([asset_key(RAW)])
    elif change == "another asset":
        session = opened(mixes={**EXPERIMENT["mixes"], "more": [{"use": "raw"}]})
    else:
        (session.storage / SUSPECT).touch()
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        opens = Session.open_instance
        patch.setattr(Session, "open_instance", lambda self: asked.append(1) or opens(self))
        found = read_again(session)
    assert asked
    assert found[RAW] == DagsterRecords(built).latest(RAW)
    assert bool(found[RAW]) == (change != "a wipe")


def test_a_plan_of_what_was_built_needs_no_dagster(
    session: Session, built: dg.DagsterInstance
) -> None:
    read_again(session)
    built.dispose()
    code = f"""
import sys
from recap_assets.cli.main import recap
recap(["-e", {str(session.path)!r}, "plan", "--json"], standalone_mode=False)
sys.exit(str(sorted({{"dagster", "sqlalchemy", "torch"}} & set(sys.modules)) or ""))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    assert done.stderr.strip() == ""
    stale = {row["asset"] for row in json.loads(done.stdout)}
    assert "raw_pool" not in stale
    assert "curated_mixes/raw" in stale
