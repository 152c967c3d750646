"""A build goes on past what fails, and says what failed in words."""

from collections.abc import Callable
from pathlib import Path

from recap_assets.defs.building import Build, Finished
from recap_assets.defs.records import DagsterRecords
from recap_assets.defs.session import Session
from recap_assets.orchestration.planner import plan
from recap_assets_tests.defs.shards import write_shard

# Nothing here loads a model: scoring would be the first to, and what it reads fails.
TRIMMED = {
    "corpora": {},
    "models": {},
    "sources": {},
    "scorers": {"b32": {"kind": "open_clip", "model": "ViT-B-32", "pretrained": "openai"}},
    "mixes": {"raw": [{"use": "raw"}]},
    "report": {},
}


def broken(opened: Callable[..., Session], tmp_path: Path) -> Session:
    """An experiment whose pool's metadata file is no parquet, so that indexing fails."""
    write_shard(tmp_path / "pool", 0, ["a boat", "a tree"])
    (tmp_path / "metadata").mkdir()
    (tmp_path / "metadata" / "0.parquet").write_text("this is no parquet file")
    pool = {
        "kind": "webdataset",
        "shards": str(tmp_path / "pool"),
        "metadata": str(tmp_path / "metadata"),
    }
    return opened(pool=pool, **TRIMMED)


def test_what_fails_is_told_and_the_rest_is_built(
    opened: Callable[..., Session], tmp_path: Path
) -> None:
    session = broken(opened, tmp_path)
    build = Build(session, jobs=1)
    finished = [event for event in build.events() if isinstance(event, Finished)]
    assert list(build.state.failed) == ["raw_pool[00000]"]
    words = build.state.failed["raw_pool[00000]"]
    assert words.startswith("pool.metadata: ")
    assert "0.parquet is no readable parquet file" in words
    assert sum(event.error is not None for event in finished) == 1
    left = plan(session.graph, DagsterRecords(session.open_instance())).entries
    assert {entry.asset for entry in left if entry.state == "ready"} == {"raw_pool"}
    assert not any(entry.asset.startswith("embedded_world") for entry in left)
    assert build.state.n_done == len(build.session.graph.nodes) - len({e.asset for e in left})
