"""The daemon brings an experiment up to date by itself, in processes as a user runs them.

Nothing here loads a model: scores and embeddings come with the pool. `benchmarks/daemon.py` makes
the edits that need captioners, with the daemon's own pauses.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest
import yaml

from recap_assets.defs.assets import FORCE_TAG, POOL_PARTITIONS, asset_key
from recap_assets.defs.automation.in_sync import IN_SYNC
from recap_assets.defs.platform import definitions_of
from recap_assets.defs.ranges import range_tags
from recap_assets.defs.session import Session
from recap_assets.graph.planner import plan
from recap_assets_tests.defs.asset_events import Done, computed_since, newest_event
from recap_assets_tests.defs.services import (
    LOCATION,
    Services,
    services,
    wait_for,
    write_instance,
)
from recap_assets_tests.defs.shards import write_shard
from recap_assets_tests.tiny import EXPERIMENT

pytestmark = pytest.mark.long(reason="a real daemon, whose ticks are waited for")

SECONDS = 600
N_SHARDS, SAMPLES = 6, 5
STAGES = ("pool", "scores", "mixes")
REPOSITORY_SELECTOR = {"repositoryLocationName": LOCATION, "repositoryName": "__repository__"}
SCORER = {
    "kind": "open_clip", "model": "ViT-B-32", "pretrained": "openai",
    "pool_scores": "score", "pool_embeddings": "emb",
}  # fmt: skip
MIXES = {
    "raw": [{"use": "raw"}],
    "top30": [{"use": "raw", "where": {"top": 0.3}}],
    "top60": [{"use": "raw", "where": {"top": 0.6}}],
}


@dataclass
class Platform:
    """Running services on an experiment file that is edited."""

    path: Path
    services: Services
    instance: dg.DagsterInstance

    def edit(self, change: Callable[[dict[str, Any]], None]) -> None:
        content = yaml.safe_load(self.path.read_text())
        change(content)
        self.path.write_text(yaml.safe_dump(content))

    def session(self) -> Session:
        return Session(self.path)

    def left(self) -> Done:
        """What the planner calls out of date, in the stages that the daemon sees to."""
        session = self.session()
        graph = session.graph
        entries = plan(graph, session.records(self.instance)).to_build
        return {
            (entry.asset, entry.partition)
            for entry in entries
            if graph.nodes[entry.asset].stage in STAGES
        }

    def settle(self) -> None:
        """Wait until everything is up to date and nothing runs any more."""
        wait_for(lambda: not self.left() and not self._busy(), SECONDS, f"{self.left()} is left")

    def computed(self, since: int, *, reused: bool = False) -> Done:
        return computed_since(self.instance, self.session().graph, since, reused=reused)

    def sensor_ticks(self, name: str) -> list[dict[str, Any]]:
        """Its latest ticks."""
        query = """
            query ($sensor: SensorSelector!) {
              sensorOrError(sensorSelector: $sensor) {
                ... on Sensor { sensorState { ticks(limit: 50) { status skipReason } } }
              }
            }"""
        found = self.services.ask(query, sensor={**REPOSITORY_SELECTOR, "sensorName": name})
        return found["sensorOrError"]["sensorState"]["ticks"]

    def _busy(self) -> bool:
        unfinished = dg.RunsFilter(
            statuses=[
                dg.DagsterRunStatus.QUEUED,
                dg.DagsterRunStatus.NOT_STARTED,
                dg.DagsterRunStatus.STARTING,
                dg.DagsterRunStatus.STARTED,
            ]
        )
        return bool(self.instance.get_runs_count(unfinished))


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("daemon")
    path = folder / "experiment.yaml"
    path.write_text(yaml.safe_dump(experiment(folder)))
    variables = {
        "RECAP_EXPERIMENT": str(path),
        "RECAP_SET": "[]",
        "RECAP_DATA": str(folder / "data"),
        "RECAP_INSTANCE": str(folder / "data" / "daemonic" / "dagster"),
        "DAGSTER_HOME": str(folder / "home"),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        write_instance(folder / "home")
        build(Session(path))
        with services(folder / "home", dict(os.environ), pause=2) as running:
            yield Platform(path, running, dg.DagsterInstance.get())


def build(session: Session) -> None:
    """Build the daemon's stages in this process."""
    session.create_tables()
    instance = session.open_instance()
    repository = definitions_of(session).get_repository_def()
    job = repository.get_implicit_global_asset_job_def()
    nodes = [node for node in session.graph.nodes.values() if node.stage in STAGES]
    ends = (f"{0:05d}", f"{N_SHARDS - 1:05d}")
    # Thresholds have no partitions, and the rows of their mixes read them in the same run.
    done = job.execute_in_process(
        instance=instance,
        asset_selection=[asset_key(node.key) for node in nodes],
        tags=dict(range_tags(ends)),
    )
    assert done.success


def experiment(folder: Path) -> dict[str, Any]:
    """Six shards, with scores and embeddings for them and one more."""
    for number in range(N_SHARDS):
        write_shard(folder / "pool", number, ["a boat"] * SAMPLES)
    uids = [100 * number + i for number in range(N_SHARDS + 1) for i in range(SAMPLES)]
    metadata = folder / "metadata"
    metadata.mkdir()
    scores = np.random.default_rng(1).uniform(0.1, 0.4, len(uids)).astype(np.float32)
    hexes = [f"{uid:032x}" for uid in uids]
    pl.DataFrame({"uid": hexes, "score": scores}).write_parquet(metadata / "0.parquet")
    np.savez(metadata / "0.npz", emb=np.ones((len(uids), 4), np.float16))
    return {
        **EXPERIMENT,
        "name": "daemonic",
        "pool": {
            "kind": "webdataset", "shards": str(folder / "pool"), "metadata": str(metadata),
        },
        "corpora": {}, "models": {}, "sources": {},
        "scorers": {"b32": SCORER},
        "mixes": MIXES,
        "report": {},
        "automation": {"enabled": True, "stages": list(STAGES), "interval_seconds": 5},
    }  # fmt: skip


def over_shards(*assets: str, shards: range = range(N_SHARDS)) -> Done:
    return {(asset, f"{number:05d}") for asset in assets for number in shards}


def test_a_threshold_moves_its_own_mix_only(platform: Platform) -> None:
    before = newest_event(platform.instance)
    n_runs = len(platform.instance.get_runs())

    def change(content: dict[str, Any]) -> None:
        content["mixes"]["top30"][0]["where"]["top"] = 0.5

    platform.edit(change)
    platform.settle()
    assert platform.computed(before) == {
        ("thresholds/top30", ""), *over_shards("curated_mixes/top30"),
    }  # fmt: skip
    assert platform.computed(before, reused=True) == set()
    # A run for the threshold, and one for all partitions of the mix.
    runs = platform.instance.get_runs(limit=len(platform.instance.get_runs()) - n_runs)
    assert sorted(_assets_of(run) for run in runs) == [
        ["curated_mixes/top30"],
        ["thresholds/top30"],
    ], [(_assets_of(run), run.status, run.tags) for run in runs]


def _assets_of(run: dg.DagsterRun) -> list[str]:
    return sorted(key.to_user_string() for key in run.asset_selection or ())


def test_keys_in_another_order_and_comments_start_nothing(platform: Platform) -> None:
    before = newest_event(platform.instance)
    n_runs = len(platform.instance.get_runs())
    content = yaml.safe_load(platform.path.read_text())
    backwards = dict(reversed(content.items()))
    text = yaml.safe_dump(backwards, sort_keys=False, indent=4)
    platform.path.write_text(f"# a comment\n\n{text}\n# and another\n")
    platform.services.reload()
    n_ticks = len(platform.sensor_ticks("out_of_date"))
    wait_for(
        lambda: len(platform.sensor_ticks("out_of_date")) >= min(n_ticks + 3, 50),
        SECONDS,
        "three ticks",
    )
    assert platform.computed(before) == set()
    assert len(platform.instance.get_runs()) == n_runs


def test_a_shard_is_taken_in_when_it_is_complete(platform: Platform) -> None:
    before = newest_event(platform.instance)
    folder = platform.path.parent / "pool"
    half = write_shard(folder, N_SHARDS, ["a tree"] * SAMPLES, suffix=".tar.part")
    whole = half.read_bytes()
    half.unlink()
    growing = folder / f"{N_SHARDS:08d}.tar"
    growing.write_bytes(whole[: len(whole) // 3])
    skipped = len(platform.sensor_ticks("new_shards"))
    wait_for(
        lambda: len(platform.sensor_ticks("new_shards")) >= min(skipped + 2, 50),
        SECONDS,
        "two ticks",
    )
    assert len(platform.instance.get_dynamic_partitions(POOL_PARTITIONS)) == N_SHARDS
    growing.write_bytes(whole)
    wait_for(
        lambda: len(platform.instance.get_dynamic_partitions(POOL_PARTITIONS)) > N_SHARDS,
        SECONDS,
        "the shard's partition",
    )
    platform.settle()
    computed = platform.computed(before)
    new = range(N_SHARDS, N_SHARDS + 1)
    assert computed >= over_shards(
        "raw_pool", "image_embeddings/b32", "clip_scores/b32/raw", "curated_mixes/raw", shards=new
    )
    moved = over_shards("curated_mixes/top30", "curated_mixes/top60", shards=range(N_SHARDS + 1))
    others = computed - moved - over_shards(*{asset for asset, _ in computed}, shards=new)
    assert {asset for asset, _ in others} == {"thresholds/top30", "thresholds/top60"}


def test_the_ui_says_what_is_in_sync(platform: Platform) -> None:
    query = """
        query ($key: AssetKeyInput!) {
          assetNodeOrError(assetKey: $key) {
            ... on AssetNode { assetChecksOrError { ... on AssetChecks { checks {
              name executionForLatestMaterialization { status evaluation { success description } }
            } } } }
          }
        }"""

    def shown(asset: str) -> dict[str, Any] | None:
        found = platform.services.ask(query, key={"path": asset.split("/")})
        checks = found["assetNodeOrError"]["assetChecksOrError"]["checks"]
        (one,) = [check for check in checks if check["name"] == IN_SYNC]
        execution = one["executionForLatestMaterialization"]
        return execution and execution["evaluation"]

    wait_for(lambda: (shown("curated_mixes/top30") or {}).get("success"), SECONDS, "in sync")
    assert "never built" in (shown("trained_clip/top30") or {})["description"]


def test_a_tag_forces_a_rebuild(platform: Platform) -> None:
    before = newest_event(platform.instance)
    tags = [{"key": FORCE_TAG, "value": "true"}]
    wanted = over_shards("clip_scores/b32/raw", shards=range(4))
    launch_run(platform, "clip_scores/b32/raw", ("00000", "00001"), tags)
    launch_backfill(platform, "clip_scores/b32/raw", ("00002", "00003"), tags)
    wait_for(lambda: platform.computed(before) == wanted, SECONDS, "the forced partitions")
    platform.settle()
    # The content is equal, so nothing that reads it is computed.
    assert platform.computed(before) == wanted


def launch_run(
    platform: Platform, asset: str, ends: tuple[str, str], tags: list[dict[str, str]]
) -> None:
    mutation = """
        mutation ($params: ExecutionParams!) {
          launchPipelineExecution(executionParams: $params) {
            __typename ... on PythonError { message }
          }
        }"""
    names = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
    ranges = [{"key": name, "value": end} for name, end in zip(names, ends, strict=True)]
    params = {
        "mode": "default",
        "executionMetadata": {"tags": [*tags, *ranges]},
        "selector": {
            **REPOSITORY_SELECTOR,
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": asset.split("/")}],
        },
    }
    answer = platform.services.ask(mutation, params=params)["launchPipelineExecution"]
    assert answer["__typename"] == "LaunchRunSuccess", answer


def launch_backfill(
    platform: Platform, asset: str, keys: tuple[str, ...], tags: list[dict[str, str]]
) -> None:
    mutation = """
        mutation ($params: LaunchBackfillParams!) {
          launchPartitionBackfill(backfillParams: $params) {
            __typename ... on PythonError { message }
          }
        }"""
    params = {
        "tags": tags,
        "assetSelection": [{"path": asset.split("/")}],
        "partitionNames": list(keys),
        "fromFailure": False,
    }
    answer = platform.services.ask(mutation, params=params)["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
