"""Sets of unique images over a pool: by bytes, hash and embedding; real near duplicates."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import IMAGE_EMBEDDINGS
from recap_assets.artefacts.sets import DUPLICATES
from recap_assets.artefacts.table import is_usable
from recap_assets.sets.assets import members_of, why_not
from recap_assets.specs.loading import ExperimentError
from recap_assets_tests.tiny import Bench, tiny_experiment

STAGES = ("world", "pool", "models", "scores", "sets")
WITHOUT_SCORES = ("pool", "sets")
Near = list[tuple[bytes, bytes, bytes]]


def experiment(folder: Path, sets: dict[str, Any]) -> Any:
    mixes = {name: [{"use": "raw", "where": {"in_set": name}}] for name in sets}
    pool = {"kind": "webdataset", "shards": str(folder)}
    return tiny_experiment(pool=pool, sets=sets, mixes=mixes, sources={}, report={})


def write_shard(folder: Path, number: int, images: list[tuple[bytes, bytes]]) -> None:
    """A tar of JPEG images with their uids."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / f"{number:08d}.tar", "w") as tar:
        for sample, (uid, image) in enumerate(images):
            told = json.dumps({"uid": uid.hex()}).encode()
            for suffix, data in {"jpg": image, "txt": b"a photo", "json": told}.items():
                member = tarfile.TarInfo(f"{number:04d}{sample:05d}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


@pytest.fixture(scope="module")
def near(shared_data: Path) -> Near:
    """Real photographs, and the same through another pipeline: uid, image, the other image."""
    pool, folder = shared_data / "pools" / "flickr8k_web", shared_data / "near_duplicates"
    partners = {}
    for line in (folder / "pairs.jsonl").read_text().splitlines():
        pair = json.loads(line)
        partners[Path(pair["duplicate_of"]).stem] = folder / pair["image"]
    urls = pl.concat(
        pl.read_parquet(path, columns=["url", "uid"])
        for path in sorted((pool / "metadata").glob("*.parquet"))
    )
    wanted = {
        uid: partners[name] for url, uid in urls.iter_rows() if (name := Path(url).stem) in partners
    }
    found = []
    for path in sorted((pool / "shards").glob("*.tar")):
        with tarfile.open(path) as tar:
            members = {member.name: tar.extractfile(member).read() for member in tar.getmembers()}  # type: ignore[union-attr]
        for name, content in members.items():
            if name.endswith(".json") and (uid := json.loads(content)["uid"]) in wanted:
                image = members[f"{name[:-5]}.jpg"]
                found.append((bytes.fromhex(uid), image, wanted[uid].read_bytes()))
    return found


def test_real_near_duplicates_are_found_and_the_larger_one_is_kept(
    near: Near, tmp_path: Path
) -> None:
    pairs = near[:60]
    assert len(pairs) >= 20
    other = {uid: bytes(b ^ 0xFF for b in uid) for uid, *_ in pairs}
    write_shard(tmp_path / "pool", 0, [(uid, image) for uid, image, _ in pairs])
    write_shard(tmp_path / "pool", 1, [(other[uid], small) for uid, _, small in pairs])
    sets = {
        "by_hash": {"kind": "unique", "by": "perceptual"},
        "by_bytes": {"kind": "unique", "by": "sha256"},
    }
    bench = Bench(tmp_path / "data", experiment(tmp_path / "pool", sets))
    bench.build(*WITHOUT_SCORES)
    assert set(members_of(bench.project, "by_hash")) == {uid for uid, *_ in pairs}
    assert set(members_of(bench.project, "by_bytes")) == {*other, *other.values()}
    rows = bench.project.workspace.tables.read(DUPLICATES, set="by_hash")
    assert dict(rows.select("uid", "kept").iter_rows()) == {
        member: uid for uid, *_ in pairs for member in (uid, other[uid])
    }
    uid = pairs[0][0]
    pool = bench.project.workspace.tables.read(RAW_POOL)
    partition = pool.filter(pl.col("uid") == pl.lit(other[uid]))["partition"].item()
    told = why_not(bench.project, "by_hash", partition, other[uid])
    assert told == [f"its image is that of {uid.hex()}, which is kept"]
    assert bench.build(*WITHOUT_SCORES) == []


def test_a_shard_that_brings_a_larger_copy_replaces_the_one_that_was_kept(
    near: Near, tmp_path: Path
) -> None:
    pairs = near[:12]
    low = {uid: b"\0" + uid[1:] for uid, *_ in pairs}
    write_shard(tmp_path / "pool", 0, [(low[uid], small) for uid, _, small in pairs])
    sets = {"unique": {"kind": "unique", "by": "perceptual"}}
    bench = Bench(tmp_path / "data", experiment(tmp_path / "pool", sets))
    bench.build(*WITHOUT_SCORES)
    assert set(members_of(bench.project, "unique")) == set(low.values())
    first, rest = pairs[:4], pairs[4:]
    write_shard(tmp_path / "pool", 1, [(uid, image) for uid, image, _ in first])
    grown = Bench(tmp_path / "data", experiment(tmp_path / "pool", sets), bench.memory)
    grown.project.scan()
    grown.build(*WITHOUT_SCORES)
    expected = {uid for uid, *_ in first} | {low[uid] for uid, *_ in rest}
    assert set(members_of(grown.project, "unique")) == expected


@pytest.mark.parametrize("clusters", [1, 3])
def test_by_embedding_every_group_keeps_one(tmp_path: Path, clusters: int) -> None:
    spec = {"kind": "unique", "by": "embedding", "scorer": "clip", "cosine": 0.9, "keep": "first"}
    sets = {"unique": {**spec, "clusters": clusters}}
    mixes = {"unique": [{"use": "raw", "where": {"in_set": "unique"}}]}
    bench = Bench(tmp_path, tiny_experiment(sets=sets, mixes=mixes, sources={}, report={}))
    bench.build(*STAGES)
    tables = bench.project.workspace.tables
    rows = tables.read(IMAGE_EMBEDDINGS).sort("uid")
    vectors = np.frombuffer(b"".join(rows["embedding"]), "<f2").reshape(rows.height, -1)
    vectors = vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    members = set(members_of(bench.project, "unique"))
    kept = np.array([uid in members for uid in rows["uid"]])
    usable = tables.scan(RAW_POOL).filter(is_usable()).collect().height
    assert 0 < kept.sum() < usable
    if clusters == 1:
        assert np.triu(cosines[np.ix_(kept, kept)], k=1).max() < 0.9
    # Everybody who was left out is like somebody.
    assert ((cosines - np.eye(len(cosines)))[~kept].max(axis=1) >= 0.899).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"by": "embedding"},
        {"by": "sha256", "scorer": "clip"},
        {"by": "perceptual", "bits": 16},
        {"by": "embedding", "scorer": "clp"},
    ],
)
def test_what_a_comparison_cannot_do_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ExperimentError, match=r"sets\.unique"):
        tiny_experiment(sets={"unique": {"kind": "unique", **wrong}})
