"""A build with several GPUs: one worker on each, models kept, and the machine shared."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.defs.building import Build
from recap_assets.defs.session import Session
from recap_assets_tests.cards import cards_here, shown
from recap_assets_tests.defs.shards import write_shard
from recap_assets_tests.faults.small import experiment
from recap_assets_tests.registering import registered
from recap_assets_tests.watched import POINT, read

pytestmark = pytest.mark.long(reason="builds in several processes")

N_SHARDS, SAMPLES = 6, 4
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for number in range(N_SHARDS):
        write_shard(tmp_path / "pool", number, [f"a boat on lake {i}" for i in range(SAMPLES)])
    source = {"kind": "watched", "log": str(tmp_path / "log"), "n_cards": 2}
    content: dict[str, Any] = {
        **experiment(tmp_path), "mixes": {"raw": [{"use": "raw"}]}, "exports": {},
        "sources": {"a": source, "on_cpu": {**source, "device": "cpu"}},
    }  # fmt: skip
    content["pool"] = {
        "kind": "webdataset", "shards": str(tmp_path / "pool"), "shards_per_partition": 1,
    }  # fmt: skip
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(content))
    monkeypatch.setenv("RECAP_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DAGSTER_HOME", str(REPOSITORY))
    for name in ("RECAP_TABLES", "RECAP_SET", "RECAP_EXPERIMENT", "RECAP_INSTANCE"):
        monkeypatch.delenv(name, raising=False)
    with registered(tmp_path / "site", "captions", POINT):
        yield path


def built(file: Path) -> pl.DataFrame:
    session = Session(file)
    build = Build(session, 2, ["synthetic_captions/a", "synthetic_captions/on_cpu"])
    for _ in build.events():
        pass
    assert build.state.failed == {}
    rows = session.project.workspace.tables.read(SYNTHETIC_CAPTIONS)
    return rows.drop("seconds").sort("source", "partition", "uid")


def test_a_worker_on_each_gpu_keeps_its_model_and_the_captions_are_the_same(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    with cards_here(tmp_path, 2):
        rows = built(file)
    assert rows.height == 2 * N_SHARDS * SAMPLES
    opened = Counter(line["gpus"] for line in read(log, "opened"))
    cards = {line["pid"]: line["gpus"] for line in read(log, "captioned") if line["gpus"]}
    assert sorted(cards.values()) == sorted(shown(0, 1)), "one process for each card"
    assert [opened[card] for card in shown(0, 1)] == [1, 1], "a model is loaded once on each"
    assert opened[None] >= 1, "what computes on the CPU holds no card"
    log.unlink()
    monkeypatch.setenv("RECAP_GPUS", "0")
    monkeypatch.setenv("RECAP_DATA", str(tmp_path / "without"))
    assert built(file).equals(rows)
    assert not any(line["gpus"] for line in read(log, "captioned"))
