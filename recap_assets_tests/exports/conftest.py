"""Real shards and a project on them, which no test changes."""

from pathlib import Path

import pytest

from recap_assets.graph.project import Project
from recap_assets_tests.exports.exported_pools import WITH_COPIES, cut_shard, real_setting


@pytest.fixture(scope="session")
def pool(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    for number, name in enumerate(("webalt", "flickr8k_web", "webalt")):
        source = shared_data / "pools" / name / "shards" / f"{number:08d}.tar"
        cut_shard(source, folder / f"{number:08d}.tar", first=100)
    return folder


@pytest.fixture(scope="session")
def project(pool: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return real_setting(tmp_path_factory.mktemp("data"), pool, mixes=WITH_COPIES)
