"""Receipts as files, and the pool end of a tree."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.assembly.graph import build_graph
from recap_assets.graph.project import Project
from recap_assets.lineage import pins
from recap_assets.lineage.origin import Origin
from recap_assets.lineage.pins import (
    ReceiptError,
    experiment_to_rebuild,
    pin,
    pool_partitions,
    reached_outside,
    read_receipt,
    receipts_of,
    write_experiment,
)
from recap_assets.lineage.walk import lineage_of
from recap_assets.specs.loading import ExperimentError, load_experiment
from recap_assets.storage.pins import pinned_versions
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.defs.shards import write_shard
from recap_assets_tests.lineage.receipts import Log, small_log
from recap_assets_tests.tiny import tiny_experiment


@pytest.fixture
def project(tmp_path: Path) -> Project:
    write_shard(tmp_path / "pool", 0, ["a boat"])
    write_shard(tmp_path / "pool", 1, ["a tree"])
    pool = {"kind": "webdataset", "shards": str(tmp_path / "pool"), "shards_per_partition": 1}
    return Project(tiny_experiment(pool=pool), Workspace(tmp_path / "data", "tiny"))


def kept(project: Project, log: Log) -> Origin:
    """The tree of the mix, from the table `lineage`."""
    project.workspace.tables.append(LINEAGE, log.frame())
    return lineage_of(receipts_of(project.workspace, "curated_mixes/m"), "curated_mixes/m")


def test_a_receipt_reads_back_whole(project: Project) -> None:
    origin = kept(project, small_log())
    path = pin(project, origin, "v1")
    assert path == project.workspace.root / "receipts" / "v1.json"
    pinned = read_receipt("v1", project.workspace)
    assert pinned.origin.as_json() == origin.as_json()
    assert pinned.experiment == project.experiment
    assert pinned.shards == tuple(project.shards.values())
    content = json.loads(path.read_text())
    assert content["table_versions"]["curated_mixes"] == [9, 10]
    assert content["data_versions"]["raw_pool"] == {"00000": "v2", "00001": "v5"}
    assert pinned_versions(project.workspace.receipts)["curated_mixes"] == {9: ["v1"], 10: ["v1"]}
    assert content["version"] == origin.root.version


def test_a_name_is_taken_once_and_stays_in_its_folder(project: Project) -> None:
    origin = kept(project, small_log())
    path = pin(project, origin, "v1")
    before = path.read_bytes()
    with pytest.raises(ReceiptError, match="'v1' exists already and is never replaced"):
        pin(project, origin, "v1")
    assert path.read_bytes() == before
    for name in ("../v1", "", ".hidden", "a/b", "x" * 65):
        with pytest.raises(ReceiptError, match="a receipt cannot be called"):
            pin(project, origin, name)
    assert [file.name for file in path.parent.iterdir()] == ["v1.json"]


def edited(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recap_receipt": 9}, "is no receipt of format 1"),
        ({"version": "0" * 16}, "edited or damaged"),
        ({"lineage": {"ancestors": [{}]}}, "is damaged"),
        ({"pool": {}}, "is damaged"),
    ],
)
def test_a_damaged_receipt_is_refused_in_words(
    project: Project, changes: dict[str, Any], words: str
) -> None:
    path = pin(project, kept(project, small_log()), "v1")
    edited(path, **changes)
    with pytest.raises(ReceiptError, match=words):
        read_receipt(path)


def test_what_is_no_json_or_not_there_is_refused_in_words(project: Project, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(ReceiptError, match="cannot be read as JSON"):
        read_receipt(tmp_path / "x.json")
    with pytest.raises(ReceiptError, match="receipts there: none"):
        read_receipt("v1", project.workspace)


def test_the_pool_end_names_shards_and_tells_what_changed(project: Project, tmp_path: Path) -> None:
    graph = build_graph(project)
    outside = graph.nodes["raw_pool"].outside
    assert outside is not None
    log = Log()
    for key in ("00000", "00001", "00007"):
        now = outside(key) if key != "00007" else "gone"
        log.build("raw_pool", key, inputs={"outside": now})
        log.build("curated_mixes/m", key, {"raw_pool": "same"})
    origin = kept(project, log)
    found = pool_partitions(project, graph, origin)
    assert [(p.partition, p.changed, len(p.shards)) for p in found] == [
        ("00000", False, 1), ("00001", False, 1), ("00007", True, 0),
    ]  # fmt: skip
    write_shard(tmp_path / "pool", 1, ["a tree", "and another"])
    project.scan()
    found = pool_partitions(project, graph, origin)
    assert [p.partition for p in found if p.changed] == ["00001", "00007"]


def test_a_frozen_pool_has_its_shards_and_no_other(project: Project, tmp_path: Path) -> None:
    shards = [replace(shard, number=5 - number) for number, shard in project.shards.items()]
    write_shard(tmp_path / "pool", 2, ["landed since"])
    again = Project(project.experiment, Workspace(tmp_path / "again", "tiny"))
    again.freeze(shards)
    again.scan()
    assert {s.name: n for n, s in again.shards.items()} == {"00000000": 5, "00000001": 4}
    (tmp_path / "pool" / "00000001.tar").unlink()
    again.scan()
    assert [shard.name for shard in again.shards.values()] == ["00000000"]
    project.scan()
    assert len(project.shards) == 2


def with_experiment(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text())
    content["experiment"] |= changes
    path.write_text(json.dumps(content))


def test_a_receipt_is_data_and_nothing_in_it_acts(project: Project) -> None:
    path = pin(project, kept(project, small_log()), "v1")
    whole = path.read_text()
    edited(path, name="../../elsewhere")
    with pytest.raises(ReceiptError, match="a receipt cannot be called"):
        read_receipt(path)
    path.write_text(whole)
    shell = ["--no-python", "/bin/sh", "-c", "touch x"]
    with_experiment(
        path, training={"launcher": "torchrun", "scale": "debug", "torchrun_arguments": shell}
    )
    with pytest.raises(ExperimentError, match=r"torchrun_arguments: '--no-python' is not taken"):
        read_receipt(path)


TEXTS = {"a": "${HOME}", "b": "$${HOME:-x} ${NONE_SUCH}", "c": "${HOME:-", "d": "}\x85"}


def test_no_text_of_a_receipt_is_filled_in_from_the_environment(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pin(project, kept(project, small_log()), "v1")
    mixes = {name: {"description": text, "rules": [{"use": "raw"}]} for name, text in TEXTS.items()}
    with_experiment(path, mixes=mixes, report={})
    write_experiment(read_receipt(path), tmp_path / "again.yaml")
    again = load_experiment(tmp_path / "again.yaml")
    assert {name: mix.description for name, mix in again.mixes.items()} == TEXTS
    monkeypatch.setattr(pins, "dump_yaml", yaml.safe_dump)
    monkeypatch.setenv("NONE_SUCH", "")
    with pytest.raises(ReceiptError, match="is read as another experiment on this machine"):
        write_experiment(read_receipt(path), tmp_path / "again.yaml")


def test_a_receipt_nested_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[" * 100_000)
    with pytest.raises(ReceiptError, match="nests deeper"):
        read_receipt(tmp_path / "x.json")


def test_what_a_rebuild_reaches_beyond_its_folder_is_told_and_exports_stay_in_it(
    project: Project, tmp_path: Path
) -> None:
    path = pin(project, kept(project, small_log()), "v1")
    exports = {"e": {"to": "subset", "mix": "raw", "folder": "/somewhere/else"}}
    server = {"kind": "openai", "model": "m", "base_url": "http://x/v1", "api_key_env": "MY_KEY"}
    sources = json.loads(path.read_text())["experiment"]["sources"]
    with_experiment(path, exports=exports, sources={**sources, "s": server})
    pinned = read_receipt(path)
    assert experiment_to_rebuild(pinned)["exports"]["e"]["folder"] is None
    told = reached_outside(pinned)
    assert f"pool: {tmp_path}/pool" in told
    assert "sources.s.base_url: http://x/v1" in told
    assert "sources.s.api_key_env: MY_KEY" in told
    assert not any("/somewhere/else" in line for line in told)
