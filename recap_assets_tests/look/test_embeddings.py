"""Embeddings stay in memory as far as they may, and a partition that was written again is seen."""

from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl
import pytest

from recap_assets.artefacts.scores import IMAGE_EMBEDDINGS, vectors_of
from recap_assets.graph.project import Project
from recap_assets.look import embeddings
from recap_assets.look.embeddings import Embeddings, Stored
from recap_assets_tests.look.conftest import client_of
from recap_assets_tests.tiny import Bench

pytest.importorskip("faiss")


@pytest.fixture
def bench(built: Bench, tmp_path: Path) -> Bench:
    """A copy whose embeddings may be written again."""
    return built.copied(tmp_path)


def stored(project: Project) -> pl.DataFrame:
    return project.workspace.tables.read(IMAGE_EMBEDDINGS, scorer="clip").sort("uid")


def write(project: Project, rows: pl.DataFrame, scorer: str = "clip") -> None:
    for partition in rows["partition"].unique():
        at = {"scorer": scorer, "partition": partition}
        of_partition = rows.filter(partition=partition).drop("scorer", "partition")
        project.workspace.tables.replace(IMAGE_EMBEDDINGS, at, of_partition)


def nearest_by_hand(project: Project, uid: bytes) -> list[str]:
    rows = stored(project)
    vectors = vectors_of(rows["embedding"])
    cosines = vectors @ vectors[rows["uid"].index_of(uid)]
    return [rows["uid"][int(i)].hex() for i in (-cosines).argsort(kind="stable")]


def found(project: Project, uid: bytes) -> list[str]:
    with client_of(project) as client:
        return client.get("/uids.txt", params={"like": uid.hex()}).text.split()


def bytes_of(project: Project) -> int:
    return sum(len(one) for one in stored(project)["embedding"])


def read_by(held: Embeddings, scorer: str = "clip") -> list[str]:
    """The partitions that a search reads now."""
    read = []
    blocks = held._blocks

    def noted(scorer: str, partition: str):
        read.append(partition)
        return blocks(scorer, partition)

    with patch.object(held, "_blocks", noted):
        for part in held.searched(scorer).parts:
            assert len(part.uids) == len(part.vectors)
    return read


@pytest.mark.parametrize("bits", embeddings.CODE_BITS)
def test_of_many_images_codes_of_as_many_bits_as_fit_are_searched(
    built: Bench, monkeypatch: pytest.MonkeyPatch, bits: int
) -> None:
    project = built.project
    uids = stored(project)["uid"]
    monkeypatch.setattr(embeddings, "MOST_COMPARED", len(uids) - 1)
    monkeypatch.setattr(embeddings, "HELD_BYTES", bytes_of(project) * bits // 16)
    searched = Embeddings(project).searched("clip")
    assert searched.bits == bits
    assert searched.is_held
    assert not any(isinstance(part.vectors, Stored) for part in searched.parts)
    for uid in uids[::9]:
        few = found(project, uid)[:12]
        wanted = nearest_by_hand(project, uid)
        if bits == embeddings.STORED_BITS:
            assert few == wanted[:12]
        assert len({*few} & {*wanted[:12]}) >= {16: 12, 8: 11, 6: 9, 4: 5}[bits]
    with client_of(project) as client:
        page = client.get("/", params={"like": uids[0].hex()}).text
    assert (f"rounded to {bits} bits a number" in page) == (bits < embeddings.STORED_BITS)


def test_few_images_are_compared_as_they_are_stored(built: Bench) -> None:
    parts = list(Embeddings(built.project).searched("clip").parts)
    assert parts
    assert all(isinstance(part.vectors, Stored) for part in parts)


@pytest.mark.parametrize("has_faiss", [True, False])
def test_what_does_not_fit_is_read_each_time_and_the_page_says_so(
    built: Bench, monkeypatch: pytest.MonkeyPatch, has_faiss: bool
) -> None:
    project, uid = built.project, stored(built.project)["uid"][4]
    monkeypatch.setattr(embeddings, "MOST_COMPARED", 0)
    monkeypatch.setattr(embeddings, "HELD_BYTES", bytes_of(project) // 4 - 1)
    if not has_faiss:
        monkeypatch.setattr(embeddings, "codes", lambda: None)
    held = Embeddings(project)
    assert read_by(held) == read_by(held) == list(project.partitions)
    assert found(project, uid) == nearest_by_hand(project, uid)
    with client_of(project) as client:
        page = client.get("/", params={"like": uid.hex()}).text
    assert "each search reads them again" in page
    assert ("pip install faiss-cpu" in page) is not has_faiss


def test_without_faiss_what_fits_is_held_as_it_is(
    built: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "MOST_COMPARED", 0)
    monkeypatch.setattr(embeddings, "codes", lambda: None)
    held = Embeddings(built.project)
    assert held.searched("clip").bits == embeddings.STORED_BITS
    assert read_by(held) == []


@pytest.mark.parametrize("most", [0, 10**6])
def test_only_a_partition_that_was_written_again_is_read_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(embeddings, "MOST_COMPARED", most)
    project, held = bench.project, Embeddings(bench.project)
    rows = stored(project)
    assert read_by(held) == list(project.partitions)
    assert read_by(held) == []
    second = list(project.partitions)[1]
    here = rows.filter(partition=second)
    turned = [np.roll(np.frombuffer(one, "<f2"), 1).tobytes() for one in here["embedding"]]
    write(project, here.with_columns(embedding=pl.Series(turned, dtype=pl.Binary)))
    assert read_by(held) == [second]
    uid = here["uid"][0]
    assert held.partition_of("clip", uid) == second
    assert found(project, uid) == nearest_by_hand(project, uid)


def test_a_partition_that_went_is_searched_no_more(bench: Bench) -> None:
    project, held = bench.project, Embeddings(bench.project)
    first, *others = project.partitions
    uid = stored(project).filter(partition=first)["uid"][0]
    assert held.partition_of("clip", uid) == first
    project.workspace.tables.remove(IMAGE_EMBEDDINGS, {"scorer": "clip", "partition": first})
    assert held.partition_of("clip", uid) is None
    assert [part.partition for part in held.searched("clip").parts] == others


def test_scorers_share_the_memory(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    project = bench.project
    for scorer in ("one", "two"):
        write(project, stored(project), scorer)
    held, every = Embeddings(project), list(project.partitions)
    monkeypatch.setattr(embeddings, "HELD_BYTES", 2 * bytes_of(project))
    assert [read_by(held, one) for one in ("clip", "one", "clip")] == [every, every, []]
    # A third has room in place of the one that was searched longest ago.
    assert read_by(held, "two") == every
    assert read_by(held, "clip") == []
    assert read_by(held, "one") == every


def test_a_scorer_without_embeddings_finds_nothing(built: Bench) -> None:
    assert list(Embeddings(built.project).searched("nobody").parts) == []
