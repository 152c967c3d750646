import hashlib
import io
import json
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import webdataset
from clip_benchmark.datasets.builder import build_wds_dataset
from PIL import Image

from recap_assets.world.scenes import FINE, world_of
from recap_assets.world.writing import (
    CorpusStyle,
    corpus_sample,
    nouns,
    pool_sample,
    pool_uid,
    write_corpus,
    write_pool,
    write_task,
)


def _members(folder: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                content = tar.extractfile(member)
                assert content is not None
                assert member.mtime == 0
                found[member.name] = content.read()
    return found


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_samples_do_not_depend_on_how_the_pool_is_cut(tmp_path: Path) -> None:
    write_pool(tmp_path / "a", 7, 60, 20)
    write_pool(tmp_path / "b", 7, 60, 13)
    write_pool(tmp_path / "c", 7, 47, 60)
    assert _members(tmp_path / "a") == _members(tmp_path / "b")
    longer, shorter = _members(tmp_path / "a"), _members(tmp_path / "c")
    assert shorter == {name: longer[name] for name in shorter}
    assert len(shorter) == 3 * 47


def test_a_shard_written_alone_and_again_has_the_same_bytes(tmp_path: Path) -> None:
    write_pool(tmp_path / "all", 7, 50, 20)
    write_pool(tmp_path / "some", 7, 50, 20, shards=[2])
    assert set(_files(tmp_path / "some")) == {"00000002.tar", "00000002_stats.json"}
    write_pool(tmp_path / "some", 7, 50, 20, shards=[0, 1])
    assert _files(tmp_path / "some") == _files(tmp_path / "all")
    write_pool(tmp_path / "some", 7, 50, 20)
    assert _files(tmp_path / "some") == _files(tmp_path / "all")


def test_another_seed_gives_other_pictures_texts_and_uids(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_pool(tmp_path / str(seed), seed, 30, 30)
    one, other = _members(tmp_path / "1"), _members(tmp_path / "2")
    assert set(one) == set(other)
    same = [name for name in one if one[name] == other[name]]
    # "advertisement" may stand beside two pictures; a picture or record never repeats.
    assert all(name.endswith(".txt") for name in same)
    assert len(same) < 6


def test_the_pool_has_the_layout_of_img2dataset(tmp_path: Path) -> None:
    write_pool(tmp_path, 7, 25, 10)
    assert sorted(_files(tmp_path)) == [
        f"{shard:08d}{end}" for shard in range(3) for end in (".tar", "_stats.json")
    ]
    assert json.loads((tmp_path / "00000002_stats.json").read_text())["successes"] == 5
    samples = list(
        webdataset.WebDataset(str(tmp_path / "{00000000..00000002}.tar"), shardshuffle=False)
    )
    assert len(samples) == 25
    for number, sample in enumerate(samples):
        record = json.loads(sample["json"])
        expected = pool_sample(world_of(7), number)
        assert record["uid"] == pool_uid(7, number).hex()
        assert len(record["uid"]) == 32
        assert record["sha256"] == hashlib.sha256(sample["jpg"]).hexdigest()
        assert record["kind"] == expected.kind
        assert record["fine"] == FINE[expected.scene.things[0].fine].name
        assert record["original_width"] == record["original_height"] >= 256
        assert sample["txt"].decode() == expected.text == record["caption"]
        assert Image.open(io.BytesIO(sample["jpg"])).size == (64, 64)
    assert len({pool_uid(7, number) for number in range(1_000)}) == 1_000


def test_qualities_vary_within_their_bounds(tmp_path: Path) -> None:
    write_pool(tmp_path, 3, 40, 40)
    images = [content for name, content in _members(tmp_path).items() if name.endswith(".jpg")]
    tables = {tuple(Image.open(io.BytesIO(data)).quantization[0]) for data in images}
    assert len(tables) > 10


def test_a_crash_leaves_no_half_written_tar(tmp_path: Path) -> None:
    def fail(n_done: int) -> None:
        if n_done == 200:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        write_pool(tmp_path, 7, 300, 150, on_progress=fail)
    assert [path.name for path in tmp_path.glob("*.tar")] == ["00000000.tar"]
    assert not list(tmp_path.glob(".*"))
    assert len(_members(tmp_path)) == 3 * 150


def test_progress_counts_samples_to_the_end(tmp_path: Path) -> None:
    seen: list[int] = []
    write_pool(tmp_path, 7, 230, 115, on_progress=seen.append)
    assert seen == [100, 200, 230]


@pytest.mark.parametrize(
    ("samples", "per_shard", "shards"),
    [(0, 10, None), (10, 0, None), (20, 10, [2]), (20, 10, [-1])],
)
def test_a_pool_that_cannot_be_is_refused(
    tmp_path: Path, samples: int, per_shard: int, shards: list[int] | None
) -> None:
    with pytest.raises(ValueError, match=r"shards"):
        write_pool(tmp_path / "pool", 7, samples, per_shard, shards=shards)
    assert not (tmp_path / "pool").exists()


@pytest.mark.parametrize("style", ["broad", "narrow", "scorer", "broad_rot13"])
def test_a_corpus_holds_a_caption_a_line(tmp_path: Path, style: CorpusStyle) -> None:
    write_corpus(tmp_path / "corpus", 7, style, 30, 3)
    members = _members(tmp_path / "corpus")
    assert len(members) == 60
    for number in range(30):
        image, captions = corpus_sample(world_of(7), style, number, 3)
        assert members[f"{number:08d}.jpg"] == image
        assert members[f"{number:08d}.txt"].decode().split("\n") == captions
        assert len(captions) == 3


def test_a_corpus_replaces_what_was_there_and_a_crash_does_not(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    write_corpus(folder, 7, "broad", 1_200, 1)
    assert sorted(_files(folder)) == ["00000000.tar", "00000001.tar"]
    before = _files(folder)

    def fail(_n_done: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        write_corpus(folder, 7, "broad", 200, 1, on_progress=fail)
    assert _files(folder) == before
    write_corpus(folder, 7, "broad", 20, 1)
    assert sorted(_files(folder)) == ["00000000.tar"]
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_the_pool_and_the_corpora_share_no_picture() -> None:
    world = world_of(7)
    pool = {pool_sample(world, i).image for i in range(60)}
    corpora = {
        corpus_sample(world, s, i, 1)[0] for s in ("broad", "narrow", "scorer") for i in range(60)
    }
    assert len(pool) == 60
    assert len(corpora) == 180
    assert not pool & corpora


def test_the_scorer_corpus_is_rich_and_clean_at_its_rates() -> None:
    places = ("stock", "photo:", "|", "royalty", "vintage", "near", "-", "my")
    texts = [corpus_sample(world_of(7), "scorer", i, 1)[1][0] for i in range(400)]
    clean = {"broad": [corpus_sample(world_of(7), "broad", i, 1)[1][0] for i in range(400)]}
    assert not [t for t in clean["broad"] if set(t.split()) & set(places)]
    marked = sum(bool(set(t.split()) & set(places)) for t in texts) / 400
    upper = sum(t != t.lower() for t in texts) / 400
    assert 0.1 < marked < 0.45
    assert 0.15 < upper < 0.55


def test_clip_benchmark_reads_a_classification_set(tmp_path: Path) -> None:
    write_task(tmp_path / "fine", 7, "fine", 72)
    dataset = build_wds_dataset("fine", np.asarray, data_dir=str(tmp_path / "fine"))
    assert dataset.classes == [fine.name for fine in FINE]
    assert "a photo of a {c}" in dataset.templates
    samples = list(dataset)
    assert {image.shape for image, _label in samples} == {(64, 64, 3)}
    assert Counter(label for _image, label in samples) == dict.fromkeys(range(36), 2)


def test_clip_benchmark_reads_the_retrieval_set(tmp_path: Path) -> None:
    write_task(tmp_path / "retrieval", 7, "retrieval", 20)
    dataset = build_wds_dataset("retrieval", np.asarray, data_dir=str(tmp_path / "retrieval"))
    samples = list(dataset)
    assert len(samples) == 20
    assert {len(captions) for _image, captions in samples} == {5}
    assert sorted(_files(tmp_path / "retrieval")) == [
        "dataset_type.txt",
        "test/0.tar",
        "test/nshards.txt",
    ]


def test_a_set_has_the_files_of_a_real_one(tmp_path: Path, shared_data: Path) -> None:
    write_task(tmp_path / "coarse", 7, "coarse", 12)
    made, real = _files(tmp_path / "coarse"), _files(shared_data / "eval" / "cifar10")
    assert set(made) == set(real)
    for name in ("test/nshards.txt", "dataset_type.txt"):
        assert made[name] == real[name]
    for name in ("classnames.txt", "zeroshot_classification_templates.txt"):
        assert made[name].endswith(b"\n") == real[name].endswith(b"\n")
    ours, theirs = (
        _members(tmp_path / "coarse" / "test"),
        _members(shared_data / "eval/cifar10/test"),
    )
    assert list(ours)[:4] == list(theirs)[:4] == [
        "s0000000.jpg", "s0000000.cls", "s0000001.jpg", "s0000001.cls",
    ]  # fmt: skip
    assert ours["s0000001.cls"] == b"1"


def test_an_unknown_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"binding.*fine_among_many"):
        write_task(tmp_path / "x", 7, "binding", 10)


def test_nouns_are_sorted_and_single_words() -> None:
    assert nouns() == sorted(set(nouns()))
    assert {"duck", "ducks", "bird", "birds", "meadow"} <= set(nouns())
