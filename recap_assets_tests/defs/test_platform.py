"""All definitions load, each asset says what it is, and loading them needs no model library."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import recap_assets
from recap_assets.defs.assets import STAGE_TAG
from recap_assets.defs.platform import definitions_of
from recap_assets.defs.session import Session
from recap_assets.specs.automation import STAGES
from recap_assets.specs.loading import ExperimentError
from recap_assets_tests.defs.asset_graph import SNAPSHOT, asset_graph

PACKAGE = Path(recap_assets.__file__).parent


def test_every_asset_says_whose_it_is_and_what_it_holds(session: Session) -> None:
    specs = definitions_of(session).resolve_all_asset_specs()
    assert len(specs) == len(session.graph.nodes)
    for spec in specs:
        key = spec.key.to_user_string()
        assert spec.owners, key
        assert spec.kinds, key
        assert spec.tags[STAGE_TAG] in STAGES, key
        assert len(spec.description or "") > 20, key
        assert spec.code_version, key


def test_group_and_last_part_of_the_key_name_one_asset(session: Session) -> None:
    """They are all that the UI's graph shows of an asset."""
    shown = [
        (spec.group_name, spec.key.path[-1])
        for spec in definitions_of(session).resolve_all_asset_specs()
    ]
    assert len(set(shown)) == len(shown)
    assert ("curated_mixes", "raw_top30") in shown
    assert ("clip_scores_clip", "raw") in shown
    worlds = {group for group, _ in shown if group.startswith("embedded_world")}
    assert worlds == {"embedded_world", "embedded_world_corpora", "embedded_world_evaluation"}


def test_owners_are_those_of_the_file(opened: Callable[..., Session]) -> None:
    session = opened(owners=["team:data", "anna@example.org"])
    for spec in definitions_of(session).resolve_all_asset_specs():
        assert list(spec.owners) == ["team:data", "anna@example.org"]


@pytest.mark.parametrize("owner", ["data", "team:", "a@b", "team:<b>", "a b@example.org"])
def test_what_is_no_owner_is_refused(opened: Callable[..., Session], owner: str) -> None:
    with pytest.raises(ExperimentError, match=r"owners.*email address, or a team"):
        _ = opened(owners=[owner]).project


def test_a_mix_says_its_rules(session: Session) -> None:
    by_key = {s.key.to_user_string(): s for s in definitions_of(session).resolve_all_asset_specs()}
    assert by_key["curated_mixes/mixed"].description == (
        "An image gives the caption of the first rule that accepts it:\n\n"
        "1. raw, where it is among the best 30 % by its score.\n2. a."
    )


def test_every_asset_links_to_its_file_and_its_code(session: Session) -> None:
    for spec in definitions_of(session).resolve_all_asset_specs():
        experiment, code = spec.metadata["dagster/code_references"].code_references
        assert experiment.file_path == str(session.path)
        assert Path(code.file_path).is_relative_to(PACKAGE), spec.key


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
heavy.add("ray")
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
