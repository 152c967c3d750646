"""OpenLineage events, written by its own client to a file."""

import json
import sys
import uuid
from pathlib import Path

import pytest

from recap_assets.assembly.graph import build_graph
from recap_assets.graph.project import Project
from recap_assets.lineage.open_lineage import ExtraMissingError, emit
from recap_assets.lineage.walk import lineage_of
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.lineage.receipts import small_log
from recap_assets_tests.tiny import tiny_experiment

RUN = "a4d4f1c8-3e57-4c0f-9d0e-2f4f6f6a3b11"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tiny_experiment(), Workspace(tmp_path / "data", "tiny"))


@pytest.fixture
def emitted(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, list[dict]]:
    """Events of a small tree by job, as the client's file transport writes them."""
    file = tmp_path / "events.jsonl"
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__TYPE", "file")
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__LOG_FILE_PATH", str(file))
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT__APPEND", "true")
    log = small_log()
    for row in log.rows:
        row["run_id"] = RUN if row["asset"] == "raw_pool" else str(uuid.uuid4())
    origin = lineage_of(log.receipts(), "curated_mixes/m")
    n_events = emit(origin, build_graph(project), project.workspace)
    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(events) == n_events
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


def test_a_missing_client_is_told_in_words(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openlineage.client", None)
    origin = lineage_of(small_log().receipts(), "curated_mixes/m")
    with pytest.raises(ExtraMissingError, match=r"pip install 'recap-assets\[openlineage\]'"):
        emit(origin, build_graph(project), project.workspace)
