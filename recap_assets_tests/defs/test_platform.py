"""All definitions load, each asset says what it is, and loading them needs no model library."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from recap_assets.defs.platform import definitions_of
from recap_assets.defs.session import Session
from recap_assets.specs.automation import STAGES
from recap_assets_tests.defs.asset_graph import SNAPSHOT, asset_graph


def test_every_asset_says_whose_it_is_and_what_it_holds(session: Session) -> None:
    specs = definitions_of(session).resolve_all_asset_specs()
    assert len(specs) == len(session.graph.nodes)
    for spec in specs:
        key = spec.key.to_user_string()
        assert spec.owners, key
        assert spec.kinds, key
        assert spec.group_name in STAGES, key
        assert len(spec.description or "") > 20, key
        assert spec.code_version, key


def test_every_asset_is_in_one_job_and_every_stage_has_a_schedule(session: Session) -> None:
    repository = definitions_of(session).get_repository_def()
    jobs = {job.name: job for job in repository.get_all_jobs() if not job.name.startswith("__")}
    selected = [key for job in jobs.values() for key in job.asset_layer.executable_asset_keys]
    assert sorted(selected) == sorted(repository.asset_graph.executable_asset_keys)
    stages = {node.stage for node in session.graph.nodes.values()}
    names = {schedule.name for schedule in repository.schedule_defs}
    assert names == {f"{stage}_schedule" for stage in stages}


def test_the_asset_graph_is_the_one_that_was_reviewed(tmp_path: Path) -> None:
    message = "the graph changed: python -m recap_assets_tests.defs.asset_graph, and look at it"
    assert asset_graph(tmp_path) == SNAPSHOT.read_text(), message


@pytest.mark.usefixtures("session")
def test_the_code_location_loads_without_a_model_library() -> None:
    code = """
import sys, recap_assets.definitions
heavy = {"torch", "transformers", "open_clip", "huggingface_hub.hf_api", "altair", "vl_convert"}
sys.exit(str(sorted(heavy & set(sys.modules)) or ""))
"""
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - our own words
    assert done.stderr.strip() == ""


def test_an_experiment_on_shards_has_no_world_to_draw(
    opened: Callable[..., Session], tmp_path: Path
) -> None:
    session = opened(pool={"kind": "webdataset", "shards": str(tmp_path / "pool")})
    keys = {s.key.to_user_string() for s in definitions_of(session).resolve_all_asset_specs()}
    assert "raw_pool" in keys
    assert "embedded_world/pool" not in keys
