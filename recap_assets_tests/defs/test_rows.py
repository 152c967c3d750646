"""What models are asked for after an edit: the rows that changed, counted by the models themselves.

Each edit is also built in a data folder of its own, where nothing can be reused: what is stored is
the same.
"""

import io
import json
import tarfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.artefacts.scores import CLIP_SCORES, IMAGE_EMBEDDINGS, IMAGE_SCORES
from recap_assets.assembly.graph import build_graph
from recap_assets.captions.servers.batches import asking
from recap_assets.defs.events import Account, account_of
from recap_assets.defs.lineage import described_by
from recap_assets.graph.building import Built, build_partition
from recap_assets.graph.counting import count_rows
from recap_assets.graph.node import Node
from recap_assets.graph.planner import OutOfDate, plan
from recap_assets.graph.project import Project
from recap_assets.graph.reuse import Counts
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.batch_server import batch_servers
from recap_assets_tests.chat_server import MODEL, Answer, said
from recap_assets_tests.defs.counting_kinds import POINTS, asked
from recap_assets_tests.registering import registered
from recap_assets_tests.tiny import Memory, tiny_experiment

STAGES = {"pool", "captions", "scores"}
BARE: Mapping[str, Any] = {"corpora": {}, "models": {}, "report": {}}
TABLES = (SYNTHETIC_CAPTIONS, IMAGE_EMBEDDINGS, CLIP_SCORES, IMAGE_SCORES)
CAPTIONS = "synthetic_captions/a"
SOURCES: Mapping[str, Any] = {"a": {"kind": "counting"}}
SCORERS: Mapping[str, Any] = {
    "clip": {"kind": "counting"},
    "pairs": {"kind": "counting_pairs"},
    "texts": {"kind": "counting_texts"},
}
AXES = {"fit": "how well it fits"}
IMAGE_SCORERS: Mapping[str, Any] = {"shades": {"kind": "counting"}}


@dataclass(frozen=True)
class Sample:
    """A sample whose image is decided by a number."""

    uid: int
    text: str
    image: int

    def members(self) -> Iterator[tuple[str, bytes]]:
        pixels = np.random.default_rng(self.image).integers(0, 256, (16, 16, 3), np.uint8)
        png = io.BytesIO()
        Image.fromarray(pixels).save(png, "PNG")
        yield "txt", self.text.encode()
        yield "png", png.getvalue()
        yield "json", json.dumps({"uid": f"{self.uid:032x}"}).encode()


Shards = dict[str, list[Sample]]


def shards() -> Shards:
    """Two shards of three samples."""
    return {
        f"{number:08d}": [
            Sample(10 * number + i, f"text {number} {i}", 10 * number + i) for i in range(3)
        ]
        for number in range(2)
    }


@dataclass
class Platform:
    """An experiment over some tars."""

    folder: Path
    data: Path
    settings: dict[str, Any]
    memories: dict[object, Memory] = field(default_factory=dict)
    accounts: dict[object, Account] = field(default_factory=dict)

    def write(self, pool: Shards) -> None:
        """Make these the pool's shards."""
        (self.folder / "pool").mkdir(exist_ok=True)
        for old in (self.folder / "pool").glob("*.tar"):
            old.unlink()
        for name, samples in pool.items():
            with tarfile.open(self.folder / "pool" / f"{name}.tar", "w") as tar:
                for sample in samples:
                    for ending, content in sample.members():
                        member = tarfile.TarInfo(f"{sample.uid:09d}.{ending}")
                        member.size = len(content)
                        tar.addfile(member, io.BytesIO(content))

    def build(self, stages: Collection[str] = STAGES, **changes: Any) -> dict[str, int]:
        """Build what is out of date; what models were asked for."""
        asked()
        self.open(**changes)
        for entry in iter(lambda: self.next_ready(stages), None):
            node = self.graph.nodes[entry.asset]
            built = build_partition(self.graph, self.memory, node, entry.partition)
            self.memory.keep(node, entry.partition, built)
            self.receipt(node, entry.partition, built)
        return asked()

    def open(self, **changes: Any) -> None:
        experiment = tiny_experiment(**{**self.settings, **changes})
        self.memory = self.memories.setdefault((self.data, experiment.name), Memory())
        self.project = Project(experiment, Workspace(self.data, experiment.name))
        self.project.scan()
        self.graph = build_graph(self.project)

    def next_ready(self, stages: Collection[str]) -> OutOfDate | None:
        ready = plan(self.graph, self.memory).ready
        return next((one for one in ready if self.graph.nodes[one.asset].stage in stages), None)

    def counted(self) -> Mapping[tuple[str, str], Counts]:
        """The rows that a plan counts now."""
        return count_rows(self.graph, self.memory, plan(self.graph, self.memory).entries)

    def receipt(self, node: Node, partition: str, built: Built) -> None:
        """Keep the receipt of what was built, as Dagster's events are copied."""
        key = (self.data, self.project.experiment.name, node.key, partition)
        self.accounts[key] = account_of(node, built, self.accounts.get(key))
        made: dict[str, Any] = {
            "asset": node.key, "partition": partition, "instance": "i",
            "event_id": self.memory.n_events, "built_at": datetime.now(UTC), "run_id": "",
            "input_events": "{}", "experiment": "",
        }  # fmt: skip
        row = {**described_by(built.record, self.accounts[key]), **made}
        self.project.workspace.tables.append(LINEAGE, pl.DataFrame([row], schema=LINEAGE.schema))

    def contents(self) -> dict[str, list[tuple[object, ...]]]:
        """What is stored, as far as it is content, whatever partitions and shards are called."""
        for one in self.graph.leaving():
            one.remove()
        found: dict[str, list[tuple[object, ...]]] = {}
        for table in TABLES:
            names = [n for n in table.content if n not in ("partition", "shard")]
            rows = self.project.workspace.tables.read(table).select(names)
            found[table.name] = sorted(rows.rows(), key=repr)
        return found

    def undisturbed(self, **changes: Any) -> dict[str, list[tuple[object, ...]]]:
        """What is stored where the present pool is built in a data folder of its own."""
        other = replace(self, data=self.folder / "undisturbed")
        other.build(**changes)
        return other.contents()

    def facts(self, asset: str) -> Mapping[str, Any]:
        """Of what was built last of an asset."""
        rows = self.project.workspace.tables.read(LINEAGE, asset=asset).sort("event_id")
        return json.loads(rows["facts"][-1])


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    settings: dict[str, Any] = {
        **BARE, "sources": SOURCES, "scorers": SCORERS, "image_scorers": IMAGE_SCORERS,
        "pool": pool_of(tmp_path), "mixes": {"raw": {"scorer": "clip", "rules": [{"use": "raw"}]}},
    }  # fmt: skip
    families = [f"[recap.{family}]\n" + "\n".join(points) for family, points in POINTS.items()]
    with registered(tmp_path / "site", "tasks", *families):
        yield Platform(tmp_path, tmp_path / "data", settings)


def pool_of(folder: Path, shards_per_partition: int = 1) -> dict[str, Any]:
    return {
        "kind": "webdataset", "shards": str(folder / "pool"),
        "shards_per_partition": shards_per_partition,
    }  # fmt: skip


def one_text(pool: Shards) -> None:
    pool["00000000"][1] = replace(pool["00000000"][1], text="another text, of another length")


def one_image(pool: Shards) -> None:
    pool["00000001"][0] = replace(pool["00000001"][0], image=99)


def appended(pool: Shards) -> None:
    pool["00000001"].append(Sample(77, "appended", 77))


def removed(pool: Shards) -> None:
    del pool["00000000"][0]


def renamed(pool: Shards) -> None:
    pool["00000007"] = pool.pop("00000000")


def moved(pool: Shards) -> None:
    pool["00000001"].append(pool["00000000"].pop(1))


N = 6
FIRST = {
    "captions": N, "image embeddings": N, "text embeddings": 2 * N, "pairs": 2 * N,
    "texts": 2 * N, "images": N,
}  # fmt: skip


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (one_text, {"text embeddings": 1, "pairs": 1, "texts": 1}),
        # A caption is new, and so are the pairs of the image with it and with its own text.
        (one_image, {
            "captions": 1, "image embeddings": 1, "text embeddings": 2, "pairs": 2, "texts": 1,
            "images": 1,
        }),
        (appended, {
            "captions": 1, "image embeddings": 1, "text embeddings": 2, "pairs": 2, "texts": 2,
            "images": 1,
        }),
        (removed, {}),
        (renamed, {}),
        (moved, {}),
    ],
)  # fmt: skip
def test_an_edit_asks_for_what_it_changed(
    platform: Platform, edit: Callable[[Shards], None], expected: Mapping[str, int]
) -> None:
    pool = shards()
    platform.write(pool)
    assert platform.build() == FIRST
    edit(pool)
    platform.write(pool)
    assert platform.build() == expected
    assert platform.contents() == platform.undisturbed()


def test_rows_that_are_taken_over_are_put_into_no_batch(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "FIRST_POLL", 0.01)
    with batch_servers() as start:
        provider = start(lambda _: Answer(said('{"fit": 3}')))
        by = {"kind": "openai", "model": MODEL, "base_url": provider.base_url, "batch": True}
        platform.settings["sources"] = {"a": by}
        platform.settings["scorers"] = {"clip": {"kind": "counting"}, "judge": {**by, "axes": AXES}}
        pool = shards()
        platform.write(pool)
        platform.build()
        # A caption an image, and a mark for it and for the image's own text.
        assert len(provider.paid) == 3 * N
        for kept in platform.data.glob("server_replies.sqlite*"):
            kept.unlink()
        one_image(pool)
        platform.write(pool)
        platform.build()
        assert len(provider.paid) == 3 * N + 3
        assert set(provider.paid.values()) == {1}
        assert not provider.asked


def test_other_partitions_of_the_same_shards_ask_for_nothing(platform: Platform) -> None:
    platform.write(shards())
    platform.build(pool=pool_of(platform.folder, 2))
    assert platform.build() == {}
    assert platform.contents() == platform.undisturbed()


def removed_leaving(platform: Platform) -> None:
    for one in platform.graph.leaving():
        one.remove()


def test_what_was_removed_with_its_partition_is_found_in_an_earlier_version(
    platform: Platform,
) -> None:
    platform.write(shards())
    platform.build()
    platform.open(pool=pool_of(platform.folder, 2))
    removed_leaving(platform)
    assert platform.build(pool=pool_of(platform.folder, 2)) == {}
    assert platform.contents() == platform.undisturbed(pool=pool_of(platform.folder, 2))


def test_another_name_and_another_experiment_ask_for_nothing(platform: Platform) -> None:
    platform.write(shards())
    platform.build()
    other = {"sources": {"b": SOURCES["a"]}, "image_scorers": {}}
    assert platform.build(**other) == {}
    facts = platform.facts("synthetic_captions/b")
    assert (facts["rows_computed"], facts["rows_reused"]) == (0, 3)
    assert facts["rows_reused_from/synthetic_captions/a"] == 3
    # A second experiment over a pool that shares some of the images.
    pool = shards()
    appended(pool)
    platform.write(pool)
    found = platform.build(name="second", sources={"c": SOURCES["a"]}, image_scorers={})
    assert found == {
        "captions": 1, "image embeddings": 1, "text embeddings": 2, "pairs": 2, "texts": 2,
    }  # fmt: skip
    facts = platform.facts("synthetic_captions/c")
    assert (facts["rows_computed"], facts["rows_reused"]) == (1, 3)
    assert facts["rows_reused_from/experiment tiny"] == 3


def test_a_setting_that_goes_back_asks_for_nothing_though_a_text_was_edited(
    platform: Platform,
) -> None:
    pool = shards()
    platform.write(pool)
    platform.build()
    warmer = {"a": {"kind": "counting", "temperature": 2.0}}
    assert platform.build(sources=warmer)["captions"] == N
    one_text(pool)
    platform.write(pool)
    platform.build(sources=warmer)
    appended(pool)
    platform.write(pool)
    assert platform.build()["captions"] == 1
    assert platform.contents() == platform.undisturbed()


def test_a_plan_counts_the_rows_of_what_can_be_built(platform: Platform) -> None:
    pool = shards()
    platform.write(pool)
    platform.build()
    one_image(pool)
    platform.write(pool)
    platform.open()
    # What changed in a shard, only reading it will show.
    assert platform.counted() == {}
    assert platform.build(stages={"pool"}) == {}
    of_images = (CAPTIONS, "image_embeddings/clip", "image_scores/shades")
    alone = {(asset, "00001"): Counts(1, 2) for asset in of_images}
    # Scores of the pool's texts by the images' pixels can be built, too.
    assert platform.counted() == {**alone, ("clip_scores/pairs/raw", "00001"): Counts(1, 2)}
    assert asked() == {}
    assert platform.build(stages={"captions"}) == {"captions": 1}


def test_what_is_computed_without_reuse_is_computed_whole(platform: Platform) -> None:
    pool = shards()
    platform.write(pool)
    platform.build()
    one_image(pool)
    platform.write(pool)
    platform.build(stages={"pool"})
    node = platform.graph.nodes[CAPTIONS]
    before = platform.contents()
    build_partition(platform.graph, platform.memory, node, "00001", reuses=False)
    assert asked() == {"captions": 3}
    assert platform.contents() != before
