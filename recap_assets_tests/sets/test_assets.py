"""Computed sets: their targets, what rebuilds them, and what is told of them."""

import dataclasses
import json
import re
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.sets import CLUSTER_CENTROIDS, TARGET_CLUSTERS, TEXT_LANGUAGES, UID_SETS
from recap_assets.graph.node import Step
from recap_assets.mixes.of_image import explain_image
from recap_assets.mixes.stored_trial import trial
from recap_assets.sets.assets import filter_partition, members_of, why_not
from recap_assets.sets.kinds.image_based.clusters import place_targets
from recap_assets_tests.shards.building import encoded, picture, tar_of, uid_of
from recap_assets_tests.tiny import Bench, Memory, tiny_experiment

STAGES = ("pool", "scores", "sets", "mixes")
PER_SHARD, DIMENSION = 8, 6
TEXTS = (
    "a brown dog runs across the wide field",
    "ein brauner Hund rennt über die weite Wiese",
    "two dogs",
    "a small boat on the calm lake in summer",
)


def vector_of(number: int) -> np.ndarray:
    """Unit vectors in three bunches."""
    vector = np.full(DIMENSION, 0.05) + 0.01 * np.random.default_rng(number).random(DIMENSION)
    vector[number % 3] = 1.0
    return vector / np.linalg.norm(vector)


def write_shard(folder: Path, name: str, numbers: list[int]) -> None:
    members = []
    for number in numbers:
        image = encoded(picture(number, (40, 30)), quality=80)
        facts = {
            "uid": uid_of(number),
            "original_width": 640,
            "original_height": 480 if number else 90,
        }
        members += [
            (f"{number:05d}.jpg", image),
            (f"{number:05d}.txt", TEXTS[number % len(TEXTS)].encode()),
            (f"{number:05d}.json", json.dumps(facts).encode()),
        ]  # fmt: skip
    (folder / "shards").mkdir(parents=True, exist_ok=True)
    (folder / "metadata").mkdir(exist_ok=True)
    (folder / "shards" / f"{name}.tar").write_bytes(tar_of(members))
    pl.DataFrame(
        {
            "uid": [uid_of(number) for number in numbers],
            "score": pl.Series([0.01 * number for number in numbers], dtype=pl.Float32),
        }
    ).write_parquet(folder / "metadata" / f"{name}.parquet")
    vectors = np.stack([vector_of(number) for number in numbers])
    np.savez(folder / "metadata" / f"{name}.npz", l14_img=vectors.astype(np.float16))


@dataclasses.dataclass
class World:
    """A pool of 24 samples in a folder; experiments on it share one memory."""

    folder: Path
    memory: Memory = dataclasses.field(default_factory=Memory)

    def copied(self, folder: Path) -> "World":
        """The same in another folder, with what was built."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return World(folder, deepcopy(self.memory))

    def bench(self, sets: dict[str, Any], **changes: Any) -> Bench:
        scorer = {
            "kind": "open_clip", "model": "ViT-B-32", "pool_scores": "score",
            "pool_embeddings": "l14_img",
        }  # fmt: skip
        pool = {"kind": "webdataset", "shards": f"{self.folder}/shards"}
        return Bench(
            self.folder / "data",
            tiny_experiment(
                **{
                    "pool": {**pool, "metadata": f"{self.folder}/metadata"},
                    "corpora": {}, "models": {}, "sources": {}, "report": {},
                    "scorers": {"clip": scorer}, "sets": sets,
                    "mixes": {n: [{"use": "raw", "where": {"in_set": n}}] for n in sets} or
                             {"raw": [{"use": "raw"}]},
                    **changes,
                }
            ),
            self.memory,
        )  # fmt: skip


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The pool, indexed and scored, before there is any set."""
    return scored_world(tmp_path_factory.mktemp("scored"))


def scored_world(folder: Path) -> World:
    for shard in range(3):
        write_shard(folder, f"{shard:08d}", list(range(8 * shard, 8 * shard + 8)))
    np.save(folder / "targets.npy", vector_of(1)[None].astype(np.float32))
    world = World(folder)
    world.bench({}).build("pool", "scores")
    return world


@pytest.fixture
def world(scored: World, tmp_path: Path) -> World:
    return scored.copied(tmp_path)


def numbers_of(bench: Bench, name: str) -> set[int]:
    by_uid = {bytes.fromhex(uid_of(number)): number for number in range(24)}
    return {by_uid[uid] for uid in members_of(bench.project, name)}


def image_set(world: World, **changes: Any) -> dict[str, Any]:
    target = {"embeddings": str(world.folder / "targets.npy")}
    return {
        "kind": "image_based", "scorer": "clip", "clusters": 3, "target": target, "captions": None,
        **changes,
    }  # fmt: skip


def test_members_reasons_and_languages(world: World) -> None:
    bench = world.bench({"basic": {"kind": "basic"}})
    bench.build(*STAGES)
    expected = {number for number in range(24) if number % 4 in (0, 3)} - {0}
    assert numbers_of(bench, "basic") == expected
    found = filter_partition(bench.project, "basic", Step("00000"))
    assert found.rejected == {"other_language": 2, "too_few_words": 2, "small_image": 1}
    assert found.frame.height == 3
    told = bench.project.workspace.tables.read(TEXT_LANGUAGES)
    assert told["language"].value_counts().sort("language").rows() == [("de", 6), ("en", 18)]


def test_a_set_is_built_for_its_mixes_and_only_what_an_edit_touches_is_built_again(
    world: World,
) -> None:
    sets = {"basic": {"kind": "basic"}, "laion": {"kind": "laion2b", "scorer": "clip"}}
    built = {asset for asset, _ in world.bench(sets).build(*STAGES)}
    assert {"uid_sets/basic", "text_languages/fasttext/raw", "text_languages/cld3/raw"} <= built
    assert world.bench(sets).build(*STAGES) == []
    again = [("uid_sets/basic", key) for key in ("00000", "00001", "00002")]
    # A number that changes no member leaves the mixes as they are.
    edited = world.bench({**sets, "basic": {"kind": "basic", "min_side": 90}})
    assert sorted(edited.build(*STAGES)) == again
    edited = world.bench({**sets, "basic": {"kind": "basic", "min_side": 90, "max_aspect": 8}})
    assert sorted(edited.build(*STAGES)) == [
        ("curated_mixes/basic", "00000"),
        *again,
    ]


def test_sets_that_left_are_removed_with_their_languages(world: World) -> None:
    sets = {"basic": {"kind": "basic"}, "image": image_set(world)}
    world.bench(sets).build(*STAGES)
    bench = world.bench({"image": image_set(world)})
    leaving = bench.graph.leaving()
    assert {one.asset for one in leaving} >= {"uid_sets/basic", "text_languages/fasttext/raw"}
    for one in leaving:
        one.remove()
    tables = bench.project.workspace.tables
    assert tables.read(UID_SETS)["set"].unique().to_list() == ["image"]
    assert tables.read(TEXT_LANGUAGES).is_empty()
    for one in world.bench({}).graph.leaving():
        one.remove()
    for table in (UID_SETS, CLUSTER_CENTROIDS, TARGET_CLUSTERS):
        assert tables.read(table).is_empty()


def test_an_image_is_told_what_keeps_it_out(world: World) -> None:
    sets = {"basic": {"kind": "basic"}, "image": image_set(world, captions={})}
    bench = world.bench(sets)
    bench.build(*STAGES)
    words = {
        one.mix: one.explanation.rules[0].words
        for one in explain_image(bench.project, uid_of(2)).mixes
        if one.explanation is not None
    }
    assert words["basic"].startswith('in_set "basic": no, only 2 words; more than 2 are asked for')
    assert "is that of no target image" in words["image"]
    assert all(one.problem is None for one in explain_image(bench.project, uid_of(3)).mixes)
    uid = bytes.fromhex(uid_of(3))
    assert why_not(bench.project, "basic", "00000", uid) == []
    assert why_not(bench.project, "basic", "00001", uid) == ["the pool set the sample aside"]


def test_before_a_set_is_built_that_is_what_is_told(world: World) -> None:
    bench = world.bench({"image": image_set(world)})
    bench.build("pool", "scores")
    uid = bytes.fromhex(uid_of(3))
    assert why_not(bench.project, "image", "00000", uid) == ["uid_sets/image is not built"]


def test_versions_from_outside_are_what_dagster_takes_as_tags(world: World) -> None:
    text = {"kind": "text_based", "wordnet": "nowhere", "synsets": "nothing.txt"}
    sets = {
        "basic": {"kind": "basic"}, "laion": {"kind": "laion2b", "scorer": "clip"}, "text": text,
        "image": image_set(world), "given": image_set(world, centroids="nowhere.npy"),
    }  # fmt: skip
    nodes = world.bench(sets).graph.nodes.values()
    told = [node.outside("") for node in nodes if node.outside and node.stage == "sets"]
    assert len(told) == 6
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]{1,63}", version) for version in told)


def test_a_trial_counts_computed_sets_and_files(world: World) -> None:
    (world.folder / "some.txt").write_text("".join(f"{uid_of(n)}\n" for n in (1, 2, 9)))
    sets = {"basic": {"kind": "basic"}, "some": {"uids": str(world.folder / "some.txt")}}
    bench = world.bench(sets)
    bench.build(*STAGES)
    counted = dict(trial(bench.project).select("mix", "n_pairs").iter_rows())
    rows = bench.project.workspace.tables.read(CURATED_MIXES)
    assert counted == dict(rows["mix"].value_counts().iter_rows()) == {"basic": 11, "some": 3}


@pytest.mark.parametrize("form", ["npy", "npz", "folder", "centroids"])
def test_a_target_is_given_in_files(world: World, form: str) -> None:
    targets = vector_of(1)[None].astype(np.float16)
    np.savez(world.folder / "targets.npz", one=targets, other=-targets)
    parts = world.folder / "parts"
    parts.mkdir()
    np.save(parts / "0.npy", targets)
    np.save(parts / "1.npy", vector_of(4)[None])
    centroids = np.eye(3, DIMENSION, dtype=np.float32)
    np.save(world.folder / "centroids.npy", centroids)
    changes: dict[str, Any] = {
        "npy": {},
        "npz": {"target": {"embeddings": f"{world.folder}/targets.npz", "key": "one"}},
        "folder": {"target": {"embeddings": str(parts)}},
        "centroids": {"centroids": f"{world.folder}/centroids.npy"},
    }[form]
    bench = world.bench({"image": image_set(world, **changes)})
    bench.build(*STAGES)
    assert numbers_of(bench, "image") == {number for number in range(24) if number % 3 == 1}
    n_images = bench.project.workspace.tables.read(TARGET_CLUSTERS)["n_images"].to_list()
    assert n_images == [2 if form == "folder" else 1]


class FirstPixels:
    """A scorer without weights: the mean colour of an image, made as long as the embeddings."""

    embedding_dim = DIMENSION

    def embed_images(self, images: list[np.ndarray]) -> np.ndarray:
        means = np.array([image.reshape(-1, 3).mean(axis=0) for image in images], np.float32)
        return np.pad(means, ((0, 0), (0, DIMENSION - 3)))

    def embed_texts(self, texts: list[str]) -> np.ndarray:
        raise AssertionError(texts)


def test_a_target_of_images_is_embedded_by_the_scorer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recap_assets.scores.targets.embedder_of", lambda *_: FirstPixels())
    folder = world.folder / "images" / "class"
    folder.mkdir(parents=True)
    for i, colour in enumerate([(0, 250, 0), (10, 200, 10)]):
        (folder / f"{i}.png").write_bytes(encoded(Image.new("RGB", (20, 20), colour), "PNG"))
    (folder / "broken.jpg").write_bytes(b"no image")
    bench = world.bench({"image": image_set(world, target={"images": str(folder.parent)})})
    bench.build(*STAGES)
    assert numbers_of(bench, "image") == {number for number in range(24) if number % 3 == 1}
    found = place_targets(bench.project, "image", bench.project.experiment.sets["image"])
    assert found.rejected == {"image_unreadable": 1}
    assert found.facts == {"target_images": 2, "of_clusters": 3}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clusters": 25}, r"sets\.image\.clusters: 24 images cannot make 25 clusters"),
        ({"target": {"embeddings": "none.npy"}}, r"none\.npy: is no \.npy or \.npz file"),
        ({"target": {"images": "none"}}, r"none: holds no image file"),
        ({"centroids": "none.npy"}, r"none\.npy: no array of centroids"),
        ({"centroids": "wide.npy"}, r"of 6 dimensions have no place among centroids of 9"),
        ({"centroids": "flat.npy"}, r"flat\.npy: is float64 \(3,\), not finite floats"),
        ({"target": {"embeddings": "flat.npy"}}, r"flat\.npy: is float64 \(3,\), not floats"),
        ({"target": {"embeddings": "pickled.npy"}}, r"pickled\.npy: no array of embeddings"),
    ],
)
def test_what_cannot_be_used_is_told_where_it_is_built(
    world: World, changes: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.folder)
    np.save("wide.npy", np.eye(9, dtype=np.float32))
    np.save("flat.npy", np.ones(3))
    np.save("pickled.npy", np.array([{}], dtype=object), allow_pickle=True)
    bench = world.bench({"image": image_set(world, **changes)})
    with pytest.raises(ValueError, match=words):
        bench.build(*STAGES)


def test_a_missing_wordnet_stops_only_its_set(world: World) -> None:
    text = {"kind": "text_based", "wordnet": "nowhere", "synsets": "nothing.txt"}
    bench = world.bench({"text": text})
    with pytest.raises(ValueError, match=r"index\.noun: cannot be read"):
        bench.build(*STAGES)


def test_shards_in_another_order_make_the_same_sets(world: World, tmp_path: Path) -> None:
    sets = {"image": image_set(world, sample=0.7, clusters=2), "basic": {"kind": "basic"}}
    first = world.bench(sets)
    first.build(*STAGES)
    other = World(tmp_path / "other")
    shuffled = np.random.default_rng(5).permutation(24).tolist()
    for shard, part in enumerate(np.array_split(shuffled, 2)):
        write_shard(other.folder, f"{shard:08d}", part.tolist())
    second = other.bench(sets)
    second.build(*STAGES)
    for name in sets:
        assert numbers_of(second, name) == numbers_of(first, name)
    one, two = (b.project.workspace.tables.read(CLUSTER_CENTROIDS) for b in (first, second))
    assert one.equals(two)


def test_another_file_of_targets_is_noticed(world: World) -> None:
    bench = world.bench({"image": image_set(world)})
    bench.build(*STAGES)
    np.save(world.folder / "targets.npy", vector_of(2)[None].astype(np.float64))
    built = {asset for asset, _ in bench.build(*STAGES)}
    assert built == {"target_clusters/image", "uid_sets/image", "curated_mixes/image"}
    assert numbers_of(bench, "image") == {number for number in range(24) if number % 3 == 2}


def test_samples_set_aside_are_in_no_set(world: World) -> None:
    write_shard(world.folder, "00000003", [24, 24])
    bench = world.bench({"all": {"kind": "no_filter"}})
    bench.project.scan()
    bench.build(*STAGES)
    samples = bench.project.workspace.tables.read(RAW_POOL)
    usable = samples.filter(status="ok")
    assert samples.height > usable.height == 25
    assert set(members_of(bench.project, "all")) == set(usable["uid"])
