"""What models are asked for after an edit: the rows that changed, counted by the models themselves.

Each edit is also built in a data folder of its own, where nothing can be reused: what is stored is
the same.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.scores import CLIP_SCORES, IMAGE_EMBEDDINGS, IMAGE_SCORES
from recap_assets.captions.servers.batches import asking
from recap_assets.graph.building import build_partition
from recap_assets.graph.counting import count_rows
from recap_assets.graph.planner import plan
from recap_assets.graph.reuse import Counts
from recap_assets.scores.of_images import assets as of_images
from recap_assets.scores.of_images.kinds.norm_sim import assets, formula
from recap_assets_tests.batch_server import batch_servers
from recap_assets_tests.chat_server import MODEL, Answer, said
from recap_assets_tests.defs.counting_kinds import POINTS, asked
from recap_assets_tests.rebuilding.platform import Platform, Sample, Shards
from recap_assets_tests.registering import registered

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
HEADS: Mapping[str, Any] = {"bright": {"kind": "counting_head", "scorer": "clip"}}


@dataclass
class Rows(Platform):
    """A platform of which the rows are counted and compared."""

    def counted(self) -> Mapping[tuple[str, str], Counts]:
        """The rows that a plan counts now."""
        return count_rows(self.graph, self.memory, plan(self.graph, self.memory).entries)

    def stored(self) -> dict[str, list[tuple[object, ...]]]:
        """What is stored of what models made."""
        return self.contents(*TABLES)

    def undisturbed(self, **changes: Any) -> dict[str, list[tuple[object, ...]]]:
        """What is stored where the present pool is built in a data folder of its own."""
        other = replace(self, data=self.folder / "undisturbed")
        other.build(STAGES, **changes)
        return other.stored()


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Rows]:
    settings: dict[str, Any] = {
        **BARE, "sources": SOURCES, "scorers": SCORERS,
        "image_scorers": {**IMAGE_SCORERS, **HEADS},
        "pool": pool_of(tmp_path), "mixes": {"raw": {"scorer": "clip", "rules": [{"use": "raw"}]}},
    }  # fmt: skip
    families = [f"[recap.{family}]\n" + "\n".join(points) for family, points in POINTS.items()]
    with registered(tmp_path / "site", "tasks", *families):
        yield Rows(tmp_path, tmp_path / "data", settings)


def pool_of(folder: Path, shards_per_partition: int = 1) -> dict[str, Any]:
    return {
        "kind": "webdataset", "shards": str(folder / "pool"),
        "shards_per_partition": shards_per_partition,
    }  # fmt: skip


def shards() -> Shards:
    """Two shards of three samples."""
    return {
        f"{number:08d}": [
            Sample(10 * number + i, f"text {number} {i}", 10 * number + i) for i in range(3)
        ]
        for number in range(2)
    }


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
    "texts": 2 * N, "images": N, "embeddings": N,
}  # fmt: skip


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (one_text, {"text embeddings": 1, "pairs": 1, "texts": 1}),
        # A caption is new, and so are the pairs of the image with it and with its own text.
        (one_image, {
            "captions": 1, "image embeddings": 1, "text embeddings": 2, "pairs": 2, "texts": 1,
            "images": 1, "embeddings": 1,
        }),
        (appended, {
            "captions": 1, "image embeddings": 1, "text embeddings": 2, "pairs": 2, "texts": 2,
            "images": 1, "embeddings": 1,
        }),
        (removed, {}),
        (renamed, {}),
        (moved, {}),
    ],
)  # fmt: skip
def test_an_edit_asks_for_what_it_changed(
    platform: Rows, edit: Callable[[Shards], None], expected: Mapping[str, int]
) -> None:
    pool = shards()
    platform.write(pool)
    assert platform.build(STAGES) == FIRST
    edit(pool)
    platform.write(pool)
    assert platform.build(STAGES) == expected
    assert platform.stored() == platform.undisturbed()


def norm_sim(platform: Rows, *shades: int) -> Mapping[str, Any]:
    """A NormSim by a folder of images that are these."""
    folder = platform.folder / "target"
    folder.mkdir(exist_ok=True)
    for number, shade in enumerate(shades):
        picture = Image.new("RGB", (16, 16), (shade, 2 * shade, 255 - shade))
        picture.save(folder / f"{number}.png")
    target = {"images": str(folder)}
    return {"like": {"kind": "norm_sim", "scorer": "clip", "target": target}}


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How many images were compared with a target since the last call."""
    counted: list[int] = []

    def norms(images: NDArray[np.floating], *others: Any) -> NDArray[np.float32]:
        counted.append(len(images))
        return formula.norms(images, *others)

    def since() -> int:
        n = sum(counted)
        counted.clear()
        return n

    monkeypatch.setattr(assets, "norms", norms)
    return since


@pytest.mark.parametrize(
    ("edit", "expected"),
    [(one_text, 0), (one_image, 1), (appended, 1), (removed, 0), (renamed, 0), (moved, 0)],
)
def test_norm_sim_compares_what_changed(
    platform: Rows, compared: Callable[[], int], edit: Callable[[Shards], None], expected: int
) -> None:
    pool = shards()
    platform.write(pool)
    platform.settings["image_scorers"] = norm_sim(platform, 3, 90)
    platform.build(STAGES)
    assert compared() == N
    edit(pool)
    platform.write(pool)
    embedded = platform.build(STAGES).get("image embeddings", 0)
    assert (compared(), embedded) == (expected, expected)
    stored = platform.stored()
    assert len(stored[IMAGE_SCORES.name]) == sum(map(len, pool.values()))
    assert stored == platform.undisturbed()


def test_norm_sim_compares_all_with_another_target(
    platform: Rows, compared: Callable[[], int]
) -> None:
    platform.write(shards())
    platform.settings["image_scorers"] = norm_sim(platform, 3, 90)
    platform.build(STAGES)
    assert compared() == N
    norm_sim(platform, 3, 91)
    # The target alone is embedded again.
    assert platform.build(STAGES) == {"image embeddings": 2}
    assert compared() == N
    assert platform.stored() == platform.undisturbed()


def test_heads_score_alike_however_many_at_once(
    platform: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform.write(shards())
    monkeypatch.setattr(of_images, "EMBEDDINGS_AT_ONCE", 2)
    assert platform.build(STAGES)["embeddings"] == N
    stored = platform.stored()
    monkeypatch.undo()
    assert stored == platform.undisturbed()


MADE: Mapping[str, Any] = {
    "told": {"kind": "rewrite", "prompt": "{raw}", "by": {"kind": "counting"}},
    "halves": {"kind": "regions", "boxes": "boxes", "by": {"kind": "counting"}},
}


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (one_text, {"rewrites": 1}),
        (one_image, {"captions": 2}),
        (appended, {"rewrites": 1, "captions": 2}),
        (removed, {}),
        (renamed, {}),
        (moved, {}),
    ],
)
def test_rewriters_and_captioners_of_regions_are_asked_for_what_changed(
    platform: Rows, edit: Callable[[Shards], None], expected: Mapping[str, int]
) -> None:
    pool = shards()
    platform.write(pool)
    columns = {**pool_of(platform.folder), "columns": {"boxes": "json.boxes"}}
    settings: Mapping[str, Any] = {"sources": MADE, "pool": columns, "image_scorers": {}}
    made = {"pool", "captions"}
    assert platform.build(made, **settings) == {"rewrites": N, "captions": 2 * N}
    edit(pool)
    platform.write(pool)
    assert platform.build(made, **settings) == expected
    alone = replace(platform, data=platform.folder / "undisturbed")
    stored = platform.contents(SYNTHETIC_CAPTIONS)
    alone.build(made, **settings)
    assert alone.contents(SYNTHETIC_CAPTIONS) == stored


def test_rows_that_are_taken_over_are_put_into_no_batch(
    platform: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "FIRST_POLL", 0.01)
    with batch_servers() as start:
        provider = start(lambda _: Answer(said('{"fit": 3}')))
        by = {"kind": "openai", "model": MODEL, "base_url": provider.base_url, "batch": True}
        platform.settings["sources"] = {"a": by}
        platform.settings["scorers"] = {"clip": {"kind": "counting"}, "judge": {**by, "axes": AXES}}
        pool = shards()
        platform.write(pool)
        platform.build(STAGES)
        # A caption an image, and a mark for it and for the image's own text.
        assert len(provider.paid) == 3 * N
        for kept in platform.data.glob("server_replies.sqlite*"):
            kept.unlink()
        one_image(pool)
        platform.write(pool)
        platform.build(STAGES)
        assert len(provider.paid) == 3 * N + 3
        assert set(provider.paid.values()) == {1}
        assert not provider.asked


def test_other_partitions_of_the_same_shards_ask_for_nothing(platform: Rows) -> None:
    platform.write(shards())
    platform.build(STAGES, pool=pool_of(platform.folder, 2))
    assert platform.build(STAGES) == {}
    assert platform.stored() == platform.undisturbed()


def removed_leaving(platform: Rows) -> None:
    for one in platform.graph.leaving():
        one.remove()


def test_what_was_removed_with_its_partition_is_found_in_an_earlier_version(
    platform: Rows,
) -> None:
    platform.write(shards())
    platform.build(STAGES)
    platform.open(pool=pool_of(platform.folder, 2))
    removed_leaving(platform)
    assert platform.build(STAGES, pool=pool_of(platform.folder, 2)) == {}
    assert platform.stored() == platform.undisturbed(pool=pool_of(platform.folder, 2))


def test_another_name_and_another_experiment_ask_for_nothing(platform: Rows) -> None:
    platform.write(shards())
    platform.build(STAGES)
    other = {"sources": {"b": SOURCES["a"]}, "image_scorers": {}}
    assert platform.build(STAGES, **other) == {}
    facts = platform.facts("synthetic_captions/b")
    assert (facts["rows_computed"], facts["rows_reused"]) == (0, 3)
    assert facts["rows_reused_from/synthetic_captions/a"] == 3
    # A second experiment over a pool that shares some of the images.
    pool = shards()
    appended(pool)
    platform.write(pool)
    found = platform.build(STAGES, name="second", sources={"c": SOURCES["a"]}, image_scorers={})
    assert found == {
        "captions": 1, "image embeddings": 1, "text embeddings": 2, "pairs": 2, "texts": 2,
    }  # fmt: skip
    facts = platform.facts("synthetic_captions/c")
    assert (facts["rows_computed"], facts["rows_reused"]) == (1, 3)
    assert facts["rows_reused_from/experiment tiny"] == 3


def test_a_setting_that_goes_back_asks_for_nothing_though_a_text_was_edited(
    platform: Rows,
) -> None:
    pool = shards()
    platform.write(pool)
    platform.build(STAGES)
    warmer = {"a": {"kind": "counting", "temperature": 2.0}}
    assert platform.build(STAGES, sources=warmer)["captions"] == N
    one_text(pool)
    platform.write(pool)
    platform.build(STAGES, sources=warmer)
    appended(pool)
    platform.write(pool)
    assert platform.build(STAGES)["captions"] == 1
    assert platform.stored() == platform.undisturbed()


def test_a_plan_counts_the_rows_of_what_can_be_built(platform: Rows) -> None:
    pool = shards()
    platform.write(pool)
    platform.build(STAGES)
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


def test_what_is_computed_without_reuse_is_computed_whole(platform: Rows) -> None:
    pool = shards()
    platform.write(pool)
    platform.build(STAGES)
    one_image(pool)
    platform.write(pool)
    platform.build(stages={"pool"})
    node = platform.graph.nodes[CAPTIONS]
    before = platform.stored()
    build_partition(platform.graph, platform.memory, node, "00001", reuses=False)
    assert asked() == {"captions": 3}
    assert platform.stored() != before
