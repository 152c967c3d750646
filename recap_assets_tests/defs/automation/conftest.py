"""A watch on the tiny experiment, and a way to build some of it."""

from collections.abc import Callable

import dagster as dg
import pytest

from recap_assets.defs.assets import asset_key, assets_of
from recap_assets.defs.automation.outlook import Watch
from recap_assets.defs.ranges import range_tags
from recap_assets.defs.session import Session

WORLD, RAW = "embedded_world/pool", "raw_pool"
PARTITIONS = ("00000", "00001", "00002")

Build = Callable[..., None]


@pytest.fixture
def watch(session: Session) -> Watch:
    return Watch(session)


@pytest.fixture
def build(session: Session, instance: dg.DagsterInstance) -> Build:
    """Runs some assets, over all partitions if no others are given."""

    def run(*assets: str, partitions: tuple[str, ...] = PARTITIONS) -> None:
        definitions = dg.Definitions(assets=assets_of(session.graph, session.project))
        assert (
            definitions.resolve_implicit_global_asset_job_def()
            .execute_in_process(
                instance=instance,
                asset_selection=[asset_key(asset) for asset in assets],
                tags=dict(range_tags(partitions)),
            )
            .success
        )

    return run
