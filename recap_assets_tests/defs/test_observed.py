"""Failed builds and results of checks, as events of runs that really failed and checked."""

import json
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from recap_assets.defs.assets import asset_key, assets_of
from recap_assets.defs.observed import observed
from recap_assets.defs.ranges import range_tags
from recap_assets.defs.session import Session
from recap_assets_tests.cli.running import Recap, recap_in
from recap_assets_tests.defs.shards import write_shard
from recap_assets_tests.defs.test_building import TRIMMED, broken

RAW = "raw_pool"


def build(session: Session) -> dg.ExecuteInProcessResult:
    """One run of the pool's only partition."""
    session.create_tables()
    with session.open_instance() as instance:
        assets = assets_of(session.graph, session.project)
        job = dg.Definitions(assets=assets).resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=instance, asset_selection=[asset_key(RAW)], raise_on_error=False,
            tags=range_tags(("00000",)),
        )  # fmt: skip


def test_a_failed_step_has_its_run_partition_times_and_words(
    opened: Callable[..., Session], tmp_path: Path
) -> None:
    session = broken(opened, tmp_path)
    result = build(session)
    with session.open_instance() as instance:
        found = observed(instance, session.graph, {RAW})
        assert observed(instance, session.graph, {"curated_mixes/raw"}).failures == ()
    (failure,) = found.failures
    assert (failure.asset, failure.run_id, failure.partitions) == (RAW, result.run_id, "00000")
    assert failure.message.startswith("pool.metadata: ")
    assert "0.parquet is no readable parquet file" in failure.message
    assert failure.began < failure.ended
    assert found.checks == ()


def test_a_run_whose_process_died_failed_at_what_it_had_begun(
    opened: Callable[..., Session], tmp_path: Path
) -> None:
    session = broken(opened, tmp_path)
    run_id = build(session).run_id
    with session.open_instance() as instance:
        (started,) = instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_START)
        dead = instance.add_run(dg.DagsterRun("died", status=dg.DagsterRunStatus.FAILURE))
        instance.store_event(started._replace(run_id=dead.run_id))
        died, failed = observed(instance, session.graph, {RAW}).failures[::-1]
    assert (died.run_id, failed.run_id) == (dead.run_id, run_id)
    assert died.message == "the process that built it ended"
    assert died.partitions == ""


def test_checks_have_their_last_result(
    opened: Callable[..., Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_shard(tmp_path / "pool", 0, ["a boat", "a tree"])
    pool = {"kind": "webdataset", "shards": str(tmp_path / "pool")}
    session = opened(pool=pool, **TRIMMED)
    result = build(session)
    assert result.success
    with session.open_instance() as instance:
        found = observed(instance, session.graph, session.graph.nodes)
    wanted = {check.name: check for check in session.graph.nodes[RAW].checks}
    assert {one.name for one in found.checks} == set(wanted)
    for one in found.checks:
        assert (one.asset, one.passed, one.run_id) == (RAW, True, result.run_id)
        assert (one.blocking, one.description) == (
            wanted[one.name].blocking, wanted[one.name].description,
        )  # fmt: skip
    sent = sent_by(recap_in(monkeypatch, tmp_path), session, tmp_path, monkeypatch)
    assert [(event["job"]["name"], event["eventType"]) for event in sent] == [
        (RAW, "START"), (RAW, "COMPLETE"), ("raw_pool/checks", "START"),
        ("raw_pool/checks", "COMPLETE"),
    ]  # fmt: skip
    facet = sent[-1]["inputs"][0]["inputFacets"]["dataQualityAssertions"]
    assert {one["name"] for one in facet["assertions"]} == set(wanted)


def sent_by(
    recap: Recap, session: Session, tmp_path: Path, patch: pytest.MonkeyPatch
) -> list[dict]:
    """What `recap lineage --openlineage` sends of the pool, to a file."""
    file = tmp_path / "events.jsonl"
    patch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "file")
    patch.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(file))
    patch.setenv("OPENLINEAGE__TRANSPORT__APPEND", "true")
    done = recap("-e", session.path, "lineage", RAW, "--openlineage")
    assert done.exit_code == 0, done.output
    assert "Sent 4 OpenLineage events." in done.output
    return [json.loads(line) for line in file.read_text().splitlines()]
