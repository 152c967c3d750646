import os
import tarfile
import tracemalloc
from pathlib import Path

import fsspec
import numpy as np
import pytest

from recap_assets.evalsets.sets import (
    ClassificationSet,
    EvaluationSetError,
    RetrievalSet,
    load_set,
)
from recap_assets_tests.evaluation.sets_on_disk import (
    Members,
    captioned,
    decode,
    labelled,
    png,
    write_set,
    write_tar,
)


def _classification(folder: Path, *members: Members) -> ClassificationSet:
    write_set(folder, "classification", [[m for sample in members for m in sample]])
    loaded = load_set(str(folder), "test", decode)
    assert isinstance(loaded, ClassificationSet)
    return loaded


def _retrieval(folder: Path, *members: Members) -> RetrievalSet:
    write_set(folder, "retrieval", [[m for sample in members for m in sample]])
    loaded = load_set(str(folder), "test", decode)
    assert isinstance(loaded, RetrievalSet)
    return loaded


def test_classification_comes_in_batches_across_shards(tmp_path: Path):
    shards = [[*labelled("s0", "1", 10), *labelled("s1", "0\n", 20)], [*labelled("s2", "1", 30)]]
    write_set(tmp_path, "classification", shards)

    loaded = load_set(str(tmp_path), "test", decode)

    assert isinstance(loaded, ClassificationSet)
    assert loaded.class_names == ("a", "b")
    assert loaded.templates == ("a photo of {c}.", "{c}")
    batches = list(loaded.batches(2))
    assert [labels.tolist() for _, labels in batches] == [[1, 0], [1]]
    assert [[image[0, 0, 0] for image in images] for images, _ in batches] == [[10, 20], [30]]


def test_a_set_can_be_read_more_than_once(tmp_path: Path):
    loaded = _classification(tmp_path, labelled("s0", "1"))

    assert len(list(loaded.batches(8))) == len(list(loaded.batches(8))) == 1


def test_retrieval_gives_a_caption_a_line_and_no_blank_ones(tmp_path: Path):
    loaded = _retrieval(tmp_path, captioned("s0", "one\ntwo\n\n"), captioned("s1", "three"))

    [(images, captions)] = loaded.batches(8)

    assert len(images) == 2
    assert captions == [["one", "two"], ["three"]]


def test_without_a_type_it_is_classification(tmp_path: Path):
    write_set(tmp_path, "classification", [labelled("s0", "1")])
    (tmp_path / "dataset_type.txt").unlink()

    assert isinstance(load_set(str(tmp_path), "test", decode), ClassificationSet)


def test_an_fsspec_url_works_like_a_folder(tmp_path: Path):
    write_set(tmp_path, "classification", [labelled("s0", "1", 10)])
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path), "/eval-sets/tiny", recursive=True)

    [(images, labels)] = load_set("memory://eval-sets/tiny/", "test", decode).batches(4)

    assert labels.tolist() == [1]
    assert images[0][0, 0, 0] == 10


def test_only_one_batch_is_in_memory(tmp_path: Path):
    big = [m for i in range(60) for m in labelled(f"s{i:03}", "0")]
    write_set(tmp_path, "classification", [big])

    def large(content: bytes) -> np.ndarray:
        return np.repeat(decode(content), 256, axis=0).repeat(64, axis=1)  # 768 KiB each

    loaded = load_set(str(tmp_path), "test", large)
    tracemalloc.start()
    n_seen = sum(len(images) for images, _ in loaded.batches(4))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert n_seen == 60
    assert peak < 20 * 768 * 1024


@pytest.mark.parametrize(
    ("bound", "n_bytes"), [("MAX_BATCH_BYTES", 4 * 4 * 3), ("MAX_SAMPLE_BYTES", len(png(9)))]
)
def test_a_batch_is_smaller_where_its_images_are_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str, n_bytes: int
):
    members = [labelled(f"s{i}", str(i % 2), 9) for i in range(7)]
    whole = list(_classification(tmp_path, *members).batches(8))
    assert [len(images) for images, _ in whole] == [7]
    monkeypatch.setattr(f"recap_assets.evalsets.webdatasets.{bound}", 3 * n_bytes)

    batches = list(_classification(tmp_path, *members).batches(8))

    assert [len(images) for images, _ in batches] == [3, 3, 1]
    assert np.array_equal(np.concatenate([i for i, _ in batches]), np.concatenate([whole[0][0]]))
    assert np.array_equal(np.concatenate([n for _, n in batches]), whole[0][1])


@pytest.mark.parametrize(
    "missing",
    ["classnames.txt", "zeroshot_classification_templates.txt", "test/nshards.txt", "test/0.tar"],
)
def test_a_missing_file_is_named(tmp_path: Path, missing: str):
    write_set(tmp_path, "classification", [labelled("s0", "1")])
    (tmp_path / missing).unlink()

    with pytest.raises(EvaluationSetError, match=f"{missing} is missing"):
        load_set(str(tmp_path), "test", decode)


@pytest.mark.parametrize(("said", "named"), [("2", "1.tar is missing"), ("1", "1.tar as well")])
def test_a_number_of_shards_that_does_not_fit_is_refused(tmp_path: Path, said: str, named: str):
    n_shards = 1 if said == "2" else 2
    write_set(tmp_path, "classification", [labelled("s0", "1")] * n_shards)
    (tmp_path / "test" / "nshards.txt").write_text(said)

    with pytest.raises(EvaluationSetError, match=f"says {said}, but .*{named}"):
        load_set(str(tmp_path), "test", decode)


@pytest.mark.parametrize("said", ["", "none", "0", "-1", "1.5"])
def test_a_number_of_shards_that_is_none_is_refused(tmp_path: Path, said: str):
    write_set(tmp_path, "classification", [labelled("s0", "1")])
    (tmp_path / "test" / "nshards.txt").write_text(said)

    with pytest.raises(EvaluationSetError, match="must hold the number of shards"):
        load_set(str(tmp_path), "test", decode)


def test_an_unknown_kind_is_refused(tmp_path: Path):
    write_set(tmp_path, "multilabel", [labelled("s0", "1")])

    with pytest.raises(EvaluationSetError, match="'multilabel'; known are classification"):
        load_set(str(tmp_path), "test", decode)


def test_a_blank_class_would_shift_the_labels(tmp_path: Path):
    write_set(tmp_path, "classification", [labelled("s0", "1")], classes="a\n\nb\n")

    with pytest.raises(EvaluationSetError, match="line 2 of it is blank"):
        load_set(str(tmp_path), "test", decode)


def test_a_prompt_without_a_place_for_the_class_is_refused(tmp_path: Path):
    write_set(tmp_path, "classification", [labelled("s0", "1")])
    (tmp_path / "zeroshot_classification_templates.txt").write_text("a {c}\na photo\n")

    with pytest.raises(EvaluationSetError, match="line 2 of zeroshot"):
        load_set(str(tmp_path), "test", decode)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (labelled("s0", "2"), r"sample s0: label 2 is out of range.*2 classes \(0 to 1\)"),
        (labelled("s0", "-1"), "label -1 is out of range"),
        (labelled("s0", "cat"), "must be a whole number, but it is 'cat'"),
        ([("s0.png", png(0))], r"sample s0: it has no label \(.cls\)"),
        ([("s0.cls", b"0")], "it has 0 images instead of one"),
        ([("s0.png", b"no image"), ("s0.cls", b"0")], "the image cannot be decoded"),
        ([*labelled("s0", "0"), *labelled("s0", "1")], "two samples share a key"),
        ([("s0.png", png(0)), ("s1.png", png(0)), ("s0.cls", b"0")], "s0: it has 0 images"),
        ([("s0.png", png(0)), ("s0.cls", b"\xff\xfe")], "its label is not UTF-8"),
        ([], "the split test has no sample"),
    ],
)
def test_a_bad_sample_is_named_with_what_is_wrong(tmp_path: Path, members: Members, message: str):
    loaded = _classification(tmp_path, members)

    with pytest.raises(EvaluationSetError, match=message):
        list(loaded.batches(4))


def test_an_image_without_caption_is_refused(tmp_path: Path):
    loaded = _retrieval(tmp_path, captioned("s0", "\n \n"))

    with pytest.raises(EvaluationSetError, match=r"sample s0: its \.txt holds no caption"):
        list(loaded.batches(4))


def test_a_truncated_shard_is_refused(tmp_path: Path):
    loaded = _classification(tmp_path, labelled("s0", "0"), labelled("s1", "1"))
    shard = tmp_path / "test" / "0.tar"
    shard.write_bytes(shard.read_bytes()[:700])

    with pytest.raises(EvaluationSetError, match=r"0\.tar: not a readable tar file, or cut short"):
        list(loaded.batches(4))


@pytest.mark.parametrize("damage", ["a header is damaged", "cut off within a header"])
def test_samples_behind_a_damaged_header_are_not_lost_in_silence(tmp_path: Path, damage: str):
    loaded = _classification(tmp_path, labelled("s0", "1"), labelled("s1", "0"))
    shard = tmp_path / "test" / "0.tar"
    content = bytearray(shard.read_bytes())
    second = content.index(b"s1.png")
    content[second + 20] = 1  # within the name, which the header's sum covers
    shard.write_bytes(content if "damaged" in damage else content[: second + 100])

    with pytest.raises(EvaluationSetError, match=rf"0\.tar: not a readable tar file.*{damage}"):
        list(loaded.batches(4))


def test_a_member_too_large_to_be_an_image_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("recap_assets.evalsets.webdatasets.MAX_MEMBER_BYTES", 100)
    loaded = _classification(tmp_path, [("s0.png", b"0" * 101), ("s0.cls", b"0")])

    with pytest.raises(EvaluationSetError, match=r"'s0\.png' has 101 bytes, over 100"):
        list(loaded.batches(4))


def test_member_names_never_become_paths(tmp_path: Path):
    folder = tmp_path / "set"
    write_set(folder, "classification", [labelled("s0", "0")])
    write_tar(folder / "test" / "0.tar", labelled("../../escaped", "1"))
    before = sorted(tmp_path.rglob("*"))

    [(_, labels)] = load_set(str(folder), "test", decode).batches(4)

    assert labels.tolist() == [1]
    assert sorted(tmp_path.rglob("*")) == before


def _refused(folder: Path, message: str) -> None:
    with pytest.raises(EvaluationSetError, match=message):
        list(load_set(str(folder), "test", decode).batches(4))


@pytest.mark.parametrize("name", ["classnames.txt", "test/nshards.txt", "test/0.tar"])
def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path, name: str):
    write_set(tmp_path, "classification", [labelled("s0", "0")])
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    _refused(tmp_path, f"{name} cannot be read: it is a named pipe")


def test_links_in_a_tar_are_named(tmp_path: Path):
    write_set(tmp_path, "classification", [[]])
    with tarfile.open(tmp_path / "test" / "0.tar", "w") as tar:
        link = tarfile.TarInfo("s0.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    _refused(tmp_path, r"0\.tar: 's0\.jpg' is a link or device")


def test_what_follows_the_end_of_a_tar_is_not_lost_in_silence(tmp_path: Path):
    write_set(tmp_path, "classification", [labelled("s0", "0"), labelled("s1", "0")])
    first, second = (tmp_path / "test" / f"{n}.tar" for n in (0, 1))
    first.write_bytes(first.read_bytes() + second.read_bytes())
    _refused(tmp_path, r"0\.tar: more follows the mark that ends the archive")


def test_texts_are_bounded(tmp_path: Path):
    write_set(tmp_path, "classification", [labelled("s0", "0")])
    with (tmp_path / "classnames.txt").open("wb") as file:
        file.truncate(2**40)
    _refused(tmp_path, "classnames.txt has more than 16,777,216 bytes")
    (tmp_path / "test" / "nshards.txt").write_text("9" * 5_000)
    _refused(tmp_path, "must hold the number of shards")


def test_names_with_a_byte_order_mark_are_read_and_other_encodings_named(tmp_path: Path):
    write_set(tmp_path, "classification", [labelled("s0", "0")])
    (tmp_path / "classnames.txt").write_text("a\nb\n", encoding="utf-8-sig")
    loaded = load_set(str(tmp_path), "test", decode)
    assert isinstance(loaded, ClassificationSet)
    assert loaded.class_names == ("a", "b")
    (tmp_path / "classnames.txt").write_text("café\nb\n", encoding="latin-1")
    _refused(tmp_path, "classnames.txt is not UTF-8 text; it looks like cp1252")


@pytest.mark.parametrize("name", ["set[1]", "a::b"])
def test_a_folder_of_any_name(tmp_path: Path, name: str):
    write_set(tmp_path / name, "classification", [labelled("s0", "1")])
    batches = load_set(str(tmp_path / name), "test", decode).batches(4)
    assert [labels.tolist() for _, labels in batches] == [[1]]
