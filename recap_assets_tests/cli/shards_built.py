"""A pool of two shards, indexed and measured: what lineage is asked about without any model."""

import json
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from recap_assets.defs.assets import asset_key, assets_of
from recap_assets.defs.ranges import range_tags
from recap_assets.defs.session import Session
from recap_assets_tests.cli.running import set_environment, write_experiment
from recap_assets_tests.defs.shards import write_shard

POOL, STATISTICS, SUMMARY = "raw_pool", "diversity_statistics/raw", "diversity_summary"
TREE = (POOL, STATISTICS, SUMMARY)
HOSTILE = "a [bold]cat[/bold] <script>alert(1)</script>"


def trimmed(pool: Path) -> dict[str, Any]:
    """Changes to the tiny experiment: a pool of tars, nothing that needs a model."""
    return {
        "pool": {"kind": "webdataset", "shards": str(pool), "shards_per_partition": 1},
        "corpora": {}, "models": {}, "sources": {},
        "scorers": {"b32": {"kind": "open_clip", "model": "ViT-B-32", "pretrained": "openai"}},
        "mixes": {"raw": [{"use": "raw"}]}, "report": {},
    }  # fmt: skip


def build(path: Path, *assets: str, tags: dict[str, str] | None = None) -> Session:
    """Build assets in this process, in the order given; the session that built them."""
    session = Session(path)
    session.create_tables()
    instance = session.open_instance()
    definitions = dg.Definitions(assets=assets_of(session.graph, session.project))
    job = definitions.resolve_implicit_global_asset_job_def()
    for asset in assets or TREE:
        partitions = session.graph.partitions(session.graph.nodes[asset])
        done = job.execute_in_process(
            instance=instance,
            asset_selection=[asset_key(asset)],
            tags={**range_tags(partitions), **(tags or {})},
            raise_on_error=False,
        )
        assert done.success, asset
    return session


class TwoShards:
    """A pool of two shards with an experiment over it, built once and put back for every test;
    and the same with another text in shard 1, built as well.

    It always lies at the same place, since the records name paths.

    Args:
        folder: An empty folder.
    """

    def __init__(self, folder: Path) -> None:
        self.work, self._kept, self._edited = (folder / n for n in ("work", "kept", "edited"))
        pool = self.work / "pool"
        write_shard(pool, 0, ["a boat on the sea", HOSTILE])
        write_shard(pool, 1, ["a red house", "two dogs run"])
        path = write_experiment(self.work, **trimmed(pool))
        with pytest.MonkeyPatch.context() as patch:
            set_environment(patch, self.work)
            build(path)
            self._keep(self._kept)
            write_shard(pool, 1, ["another text entirely", "two dogs run"])
            build(path)
        self._keep(self._edited)

    def _keep(self, folder: Path) -> None:
        """Copy what was built; that the pool is put back later is no change of it."""
        shutil.copytree(self.work, folder)
        (manifest,) = folder.rglob("pool_manifest.json")
        listed = json.loads(manifest.read_text())
        for shard in listed["shards"]:
            shard["stamp"] = ""
        manifest.write_text(json.dumps(listed))

    def anew(self) -> Path:
        """The folder as it was built."""
        shutil.rmtree(self.work)
        return shutil.copytree(self._kept, self.work)

    def edit(self) -> None:
        """Another text in shard 1, and everything built again; what a test added stays."""
        shutil.copytree(self._edited, self.work, dirs_exist_ok=True)


@pytest.fixture(scope="session")
def two_shards(tmp_path_factory: pytest.TempPathFactory) -> TwoShards:
    return TwoShards(tmp_path_factory.mktemp("two_shards"))
