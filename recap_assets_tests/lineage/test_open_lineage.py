"""OpenLineage events, written by its own client to a file."""

import json
import os
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from recap_assets.assembly.graph import build_graph
from recap_assets.graph.project import Project
from recap_assets.lineage.observed import CheckResult, FailedBuild, Observed
from recap_assets.lineage.open_lineage import ExtraMissingError, emit
from recap_assets.lineage.walk import lineage_of
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.lineage.receipts import START, Log, small_log
from recap_assets_tests.tiny import tiny_experiment

RUN = "a4d4f1c8-3e57-4c0f-9d0e-2f4f6f6a3b11"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tiny_experiment(), Workspace(tmp_path / "data", "tiny"))


Emit = Callable[..., list[dict]]


@pytest.fixture
def emit_to_file(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Emit:
    """Sends the events of the tree of a log, and gives them as the client's file transport does."""
    file = tmp_path / "events.jsonl"
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "file")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(file))
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__APPEND", "true")

    def send(log: Log, **observed: Any) -> list[dict]:
        origin = lineage_of(log.receipts(), "curated_mixes/m")
        graph = build_graph(project)
        n_events = emit(origin, graph, project.workspace, Observed(**observed))
        events = [json.loads(line) for line in file.read_text().splitlines()]
        assert len(events) == n_events
        return events

    return send


@pytest.fixture
def emitted(emit_to_file: Emit) -> dict[str, list[dict]]:
    """Events of a small tree by job."""
    log = small_log()
    for row in log.rows:
        row["run_id"] = RUN if row["asset"] == "raw_pool" else str(uuid.uuid4())
    events = emit_to_file(log)
    for start, complete in zip(events[::2], events[1::2], strict=True):
        assert start["eventType"] == "START"
        assert start["run"]["runId"] == complete["run"]["runId"]
        # Each result of the log took a second, and the last was recorded with the last event.
        assert start["eventTime"] < complete["eventTime"]
    by_job: dict[str, list[dict]] = {}
    for event in events[1::2]:
        by_job.setdefault(event["job"]["name"], []).append(event)
    return by_job


def test_each_run_and_asset_starts_and_completes_once(emitted: dict[str, list[dict]]) -> None:
    # One run built both partitions of the pool; all else had a run for each partition.
    assert {job: len(events) for job, events in emitted.items()} == {
        "raw_pool": 1, "models/captioner": 1, "synthetic_captions/a": 2, "clip_scores/clip/a": 2,
        "thresholds/m": 1, "curated_mixes/m": 2,
    }  # fmt: skip
    events = [event for found in emitted.values() for event in found]
    assert len({event["run"]["runId"] for event in events}) == len(events)
    for event in events:
        assert event["eventType"] == "COMPLETE"
        assert event["schemaURL"].endswith("/OpenLineage.json#/$defs/RunEvent")
        assert event["producer"].startswith("urn:recap-assets:")
        assert event["eventTime"].startswith("2026-01-01T00:00:")
        uuid.UUID(event["run"]["runId"])
        assert event["job"]["namespace"] == "recap/tiny"


def test_facets_tell_schema_rows_version_commit_and_documentation(
    emitted: dict[str, list[dict]],
) -> None:
    (pool,) = emitted["raw_pool"]
    (output,) = pool["outputs"]
    facets = output["facets"]
    assert facets["schema"]["fields"][2] == {
        "name": "uid", "type": "Binary", "ordinal_position": 3,
        "description": "Sample id: 16 bytes, DataComp's 32 hex digits.", "fields": [],
    }  # fmt: skip
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 20
    assert len(facets["version"]["datasetVersion"]) == 16
    assert facets["documentation"]["description"].startswith("Every sample of the pool")
    assert facets["symlinks"]["identifiers"][0]["name"].endswith("/tables/raw_pool")
    assert pool["job"]["facets"]["sourceCodeLocation"]["version"] == "abc"
    assert json.loads(pool["job"]["facets"]["sourceCode"]["sourceCode"]) == {"spec": "raw_pool"}
    assert pool["run"]["facets"]["parent"]["run"]["runId"] == RUN
    described = emitted["synthetic_captions/a"][0]["job"]["facets"]["documentation"]
    assert described["description"].startswith("Captions that a")


def test_inputs_are_the_datasets_that_were_read(emitted: dict[str, list[dict]]) -> None:
    mix = emitted["curated_mixes/m"][0]
    assert {read["name"] for read in mix["inputs"]} == {
        "thresholds/m", "synthetic_captions/a", "clip_scores/clip/a",
    }  # fmt: skip
    (scores,) = [read for read in mix["inputs"] if read["name"] == "clip_scores/clip/a"]
    assert scores["inputFacets"]["dataQualityMetrics"]["rowCount"] == 20
    # What left the experiment is documented as such.
    assert "since removed" in mix["job"]["facets"]["documentation"]["description"]


def test_columns_name_the_columns_that_they_are_made_of(emitted: dict[str, list[dict]]) -> None:
    (output,) = emitted["clip_scores/clip/a"][0]["outputs"]
    found = output["facets"]["columnLineage"]
    assert found["_schemaURL"].endswith("#/$defs/ColumnLineageDatasetFacet")
    read = {
        name: {(one["name"], one["field"]) for one in made_of["inputFields"]}
        for name, made_of in found["fields"].items()
    }
    assert ("synthetic_captions/a", "text") in read["score"]
    assert ("synthetic_captions/a", "uid") in read["uid"]
    assert {one["namespace"] for one in found["fields"]["uid"]["inputFields"]} == {"recap/tiny"}
    (pool,) = emitted["raw_pool"][0]["outputs"]
    assert "columnLineage" not in pool["facets"]


def failure(asset: str, run_id: str, **changes: Any) -> FailedBuild:
    began = START + timedelta(seconds=100)
    return FailedBuild(
        **{
            "asset": asset, "run_id": run_id, "partitions": "00001", "began": began,
            "ended": began + timedelta(seconds=5), "message": "no shard there", **changes,
        }
    )  # fmt: skip


def of_run(events: list[dict], run_id: str, job: str) -> list[dict]:
    wanted = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{run_id}/{job}"))
    return [event for event in events if event["run"]["runId"] == wanted]


def test_a_failed_build_starts_and_fails_with_its_reason(emit_to_file: Emit) -> None:
    other = str(uuid.uuid4())
    events = emit_to_file(
        small_log(),
        failures=(
            failure("synthetic_captions/a", other),
            failure("synthetic_captions/of_another_tree", other),
        ),
    )
    start, fail = of_run(events, other, "synthetic_captions/a")
    assert (start["eventType"], fail["eventType"]) == ("START", "FAIL")
    assert start["eventTime"] < fail["eventTime"]
    assert fail["run"]["facets"]["errorMessage"]["message"] == "00001: no shard there"
    assert fail["run"]["facets"]["parent"]["run"]["runId"] == other
    assert {one["name"] for one in fail["inputs"]} == {"raw_pool", "models/captioner"}
    assert [one["name"] for one in fail["outputs"]] == ["synthetic_captions/a"]
    assert [event["eventType"] for event in events].count("FAIL") == 1


def test_a_run_that_wrote_a_partition_and_failed_at_another_ends_once(emit_to_file: Emit) -> None:
    log = small_log()
    run = next(row["run_id"] for row in log.rows if row["asset"] == "raw_pool")
    message = "https://me:pass-word-1234@server gone\x1b[2J" * 200
    failed = failure("raw_pool", run, partitions="", message=message)
    start, fail = of_run(emit_to_file(log, failures=(failed,)), run, "raw_pool")
    assert (start["eventType"], fail["eventType"]) == ("START", "FAIL")
    assert fail["eventTime"] == failed.ended.isoformat()
    said = fail["run"]["facets"]["errorMessage"]["message"]
    assert "pass-word-1234" not in said
    assert "\x1b" not in said
    assert len(said) < 10_000
    # What it wrote it still wrote.
    assert fail["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 10


def test_the_checks_of_an_asset_are_a_job_that_reads_it(emit_to_file: Emit) -> None:
    run = str(uuid.uuid4())

    def check(name: str, seconds: int, **changes: Any) -> CheckResult:
        at = START + timedelta(seconds=seconds)
        return CheckResult(
            **{
                "asset": "raw_pool", "name": name, "description": f"That {name}.", "passed": True,
                "blocking": True, "run_id": run, "at": at, **changes,
            }
        )  # fmt: skip

    figures = {"repeated": 3, "rows": 20}
    events = emit_to_file(
        small_log(),
        checks=(
            check("rows_add_up", 50),
            check("uids_differ", 52, passed=False, blocking=False, figures=figures),
        ),
    )
    start, complete = of_run(events, run, "raw_pool/checks")
    assert (start["eventTime"], complete["eventTime"]) == (
        "2026-01-01T00:00:50+00:00", "2026-01-01T00:00:52+00:00",
    )  # fmt: skip
    (read,) = complete["inputs"]
    assert read["name"] == "raw_pool"
    good, bad = read["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert (good["name"], good["success"], good["severity"]) == ("rows_add_up", True, "error")
    assert (bad["name"], bad["success"], bad["severity"]) == ("uids_differ", False, "warn")
    assert bad["actual"] == "repeated 3, rows 20"
    assert complete["outputs"] == []


SPEC = "RECAP_OPENLINEAGE_SPEC"
"""Variable with the folder `spec` of a checkout of OpenLineage."""


@pytest.mark.skipif(SPEC not in os.environ, reason=f"{SPEC} names no folder of schemas")
def test_events_and_facets_fit_openlineages_own_schemas(emit_to_file: Emit) -> None:
    folder = Path(os.environ[SPEC])
    documents = {
        path.name: json.loads(path.read_text())
        for path in (folder / "OpenLineage.json", *(folder / "facets").glob("*.json"))
    }
    resources = [(one["$id"], Resource.from_contents(one)) for one in documents.values()]
    registry = Registry().with_resources(resources)

    def fits(value: object, name: str, definition: str) -> None:
        schema = {"$ref": f"{documents[name]['$id']}#/$defs/{definition}"}
        checker = Draft202012Validator.FORMAT_CHECKER
        Draft202012Validator(schema, registry=registry, format_checker=checker).validate(value)

    def facets(value: object) -> Iterator[dict]:
        for one in value.values() if isinstance(value, dict) else value:
            if isinstance(one, dict) and "_schemaURL" in one:
                yield one
            elif isinstance(one, dict | list):
                yield from facets(one)

    at = START + timedelta(seconds=50)
    checked = CheckResult("raw_pool", "rows_add_up", "That.", passed=True, blocking=True,
                          run_id="x", at=at, figures={"rows": 1})  # fmt: skip
    failures = (failure("raw_pool", str(uuid.uuid4())), failure("thresholds/m", "no uuid"))
    seen = set()
    for event in emit_to_file(small_log(), failures=failures, checks=(checked,)):
        fits(event, "OpenLineage.json", "RunEvent")
        for facet in facets(event):
            file, definition = facet["_schemaURL"].split("#/$defs/")
            fits(facet, file.rpartition("/")[2], definition)
            seen.add(definition)
    assert {"ErrorMessageRunFacet", "DataQualityAssertionsDatasetFacet"} <= seen


def test_a_missing_client_is_told_in_words(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openlineage.client", None)
    origin = lineage_of(small_log().receipts(), "curated_mixes/m")
    with pytest.raises(ExtraMissingError, match=r"-m pip install .*openlineage-python[<>]"):
        emit(origin, build_graph(project), project.workspace)
