"""Tar shards, read by webdataset, open_clip and DataComp's tools."""

import hashlib
import json
import tarfile
from argparse import Namespace
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import webdataset
from open_clip_train.data import expand_urls, get_dataset_size, get_wds_dataset

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.exports.shard_list import read_shard_list
from recap_assets.graph.project import Project
from recap_assets_tests.exports.exported_pools import (
    KEPT,
    exported,
    pairs_of,
    samples_in,
    wanted_pairs,
)


@pytest.mark.parametrize("mix", ["paper", "each", "joined"])
def test_webdataset_reads_the_pairs_of_the_mix_and_the_pools_own_bytes(
    project: Project, tmp_path: Path, mix: str
) -> None:
    exported(project, tmp_path, mix, "webdataset")
    found, rows = Counter[tuple[str, str]](), project.workspace.tables.read(RAW_POOL)
    sums = {uid.hex(): digest.hex() for uid, digest in rows.select("uid", "sha256").iter_rows()}
    for sample in samples_in(tmp_path):
        told = json.loads(sample["json"])
        found[told["uid"], sample["txt"].decode()] += 1
        assert sample["__key__"].split("-")[0] == told["uid"]
        (image,) = (sample[e] for e in ("jpg", "png", "webp") if e in sample)
        assert hashlib.sha256(image).hexdigest() == told["sha256"] == sums[told["uid"]]
    assert found == wanted_pairs(project, mix)
    assert len(found) > KEPT


def open_clip_args(arguments: list[str], **changes: Any) -> Namespace:
    given = dict(zip(arguments[0::2], arguments[1::2], strict=True)) if arguments else {}
    return Namespace(
        **{
            "train_data": given.get("--train-data"), "train_num_samples": None, "val_data": None,
            "dataset_resampled": False, "train_data_upsampling_factors": None, "seed": 0,
            "batch_size": 8, "workers": 0, "world_size": 1, "val_num_samples": None, **changes,
        }
    )  # fmt: skip


def test_open_clips_loader_reads_every_pair_once(project: Project, tmp_path: Path) -> None:
    done = exported(project, tmp_path, "paper", "webdataset")
    arguments = read_shard_list(done.folder).open_clip_arguments()
    urls = arguments[arguments.index("--train-data") + 1]
    args = open_clip_args([], val_data=urls)
    seen: list[str] = []

    def tokens(text: str) -> list[str]:
        seen.append(text)
        return [text]

    def shape(image: Any) -> np.ndarray:
        return np.array(image.size)

    data = get_wds_dataset(args, shape, is_train=False, tokenizer=tokens)
    n = sum(len(batch[1]) for batch in data.dataloader)
    wanted = wanted_pairs(project, "paper")
    assert n == wanted.total()
    assert Counter(seen) == Counter(text for _, text in wanted.elements())
    # The size that it reads from sizes.json is the same, so no number of samples need be given.
    assert get_dataset_size(urls) == (n, len(done.written.shards))


def test_open_clip_trains_on_it_with_shards_drawn_by_weight(
    project: Project, tmp_path: Path
) -> None:
    done = exported(project, tmp_path, "each", "webdataset")
    words = read_shard_list(done.folder).open_clip_arguments()
    given = {a: b for a, b in pairwise(words) if a.startswith("--")}
    args = open_clip_args(
        [],
        train_data=given["--train-data"],
        train_num_samples=int(given["--train-num-samples"]),
        train_data_upsampling_factors=given["--train-data-upsampling-factors"],
        dataset_resampled=True,
    )
    seen: list[str] = []

    def tokens(text: str) -> list[str]:
        seen.append(text)
        return [text]

    data = get_wds_dataset(args, lambda image: image.size[0], is_train=True, tokenizer=tokens)
    n = sum(len(batch[1]) for batch in data.dataloader)
    assert n == data.dataloader.num_samples >= done.written.n_samples
    texts = {text for _, text in wanted_pairs(project, "each")}
    assert set(seen) <= texts
    synthetic = sum(text.startswith("a picture of") for text in seen) / len(seen)
    assert synthetic > 0.6  # three of four by weight, half by number


def test_shards_are_drawn_by_the_weight_of_their_pairs(project: Project, tmp_path: Path) -> None:
    done = exported(project, tmp_path, "each", "webdataset")
    listed = read_shard_list(done.folder)
    arguments = listed.open_clip_arguments()
    assert "--dataset-resampled" in arguments
    urls = arguments[arguments.index("--train-data") + 1]
    factors = arguments[arguments.index("--train-data-upsampling-factors") + 1]
    expanded, weights = expand_urls(urls, factors)
    assert expanded == [shard.url for shard in listed.shards]
    drawn = dict(zip(expanded, weights, strict=True))
    mass = Counter[str]()
    for url in expanded:
        n = 0
        for sample in webdataset.WebDataset([url], shardshuffle=False):
            n += 1
            source = json.loads(sample["json"])["source"]
        mass[source] += drawn[url]
        # A sample's chance is its shard's, divided by the shard's samples: its weight.
        assert drawn[url] / n == pytest.approx({"raw": 1, "blip2": 3}[source])
    pairs = Counter(pairs_of(project, "each")["source"])
    assert mass["raw"] < mass["blip2"]
    assert set(mass) == set(pairs)


def test_every_sources_caption_is_a_plain_string_that_open_clip_can_name(
    project: Project, tmp_path: Path
) -> None:
    exported(project, tmp_path, "paper", "webdataset")
    tables = project.workspace.tables
    raw = dict(tables.read(RAW_POOL).select("uid", "text").iter_rows())
    written = tables.read(SYNTHETIC_CAPTIONS, source="blip2")
    of_image = written.group_by("uid").agg(pl.col("text")).select("uid", "text")
    candidates = {uid.hex(): set(texts) for uid, texts in of_image.iter_rows()}
    for sample in samples_in(tmp_path):
        told = json.loads(sample["json"])
        assert told.get("caption_raw") == raw[bytes.fromhex(told["uid"])]
        ours = [c for c in told["captions"] if c["source"] == "blip2"]
        assert {c["text"] for c in ours} == candidates.get(told["uid"], set())
        if ours:
            best = min(ours, key=lambda c: (-c["score"], c["candidate"]))
            assert told["caption_blip2"] == best["text"]
        if told["source"] == "blip2":
            assert sample["txt"].decode() == told["caption_blip2"]


def test_it_lies_there_as_datacomps_resharder_leaves_it(project: Project, tmp_path: Path) -> None:
    exported(project, tmp_path, "paper", "webdataset")
    tars = sorted(path.name for path in tmp_path.glob("*.tar"))
    assert tars == [f"{i:08d}.tar" for i in range(len(tars))]
    assert len(tars) > 1
    counts = {}
    for name in tars:
        with tarfile.open(tmp_path / name) as tar:
            members = tar.getmembers()
        counts[name] = len({member.name.split(".")[0] for member in members})
        stats = json.loads((tmp_path / name.replace(".tar", "_stats.json")).read_text())
        assert stats["successes"] == counts[name]
        assert {(m.mtime, m.mode, m.uid, m.uname) for m in members} == {(0, 0o444, 0, "")}
    assert json.loads((tmp_path / "sizes.json").read_text()) == counts
    assert set(counts.values()) - {25, counts[tars[-1]]} == set()
    meta = json.loads((tmp_path / "meta.json").read_text())
    assert (meta["output_shard_count"], meta["output_shard_format"]) == (len(tars), "{:08d}.tar")
    assert meta["output_count"] == sum(counts.values())
    ids = np.load(tmp_path / "sample_ids.npy")
    uids = [uid for uid, _ in wanted_pairs(project, "paper").elements()]
    assert ids.dtype == np.dtype("u8,u8")
    assert ids.tolist() == sorted((int(uid[:16], 16), int(uid[16:], 16)) for uid in uids)


def test_several_positives_can_be_one_sample(project: Project, tmp_path: Path) -> None:
    exported(project, tmp_path, "each", "webdataset", positives="json", by_weight=False)
    found, n = Counter[tuple[str, str]](), 0
    for sample in samples_in(tmp_path):
        told = json.loads(sample["json"])
        n += 1
        found.update((told["uid"], pair["text"]) for pair in told["pairs"])
        heaviest = max(told["pairs"], key=lambda pair: pair["weight"])
        assert sample["txt"].decode() == heaviest["text"]
        assert told["weight"] == sum(pair["weight"] for pair in told["pairs"])
        assert sample["__key__"] == f"{told['uid']}-0"
    assert found == wanted_pairs(project, "each")
    assert n == len({uid for uid, _ in found})


def test_gifs_are_left_out_and_counted_unless_they_are_asked_for(
    project: Project, tmp_path: Path
) -> None:
    rows = project.workspace.tables.read(RAW_POOL)
    n_gif = rows.filter(pl.col("image_format") == "GIF").height
    done = exported(project, tmp_path / "a", "each", "webdataset")
    with_gif = ["jpg", "png", "webp", "gif"]
    every = exported(project, tmp_path / "b", "each", "webdataset", formats=with_gif)
    gap = every.written.n_samples - done.written.n_samples
    assert done.written.left_out["unread_format"] == gap > 0
    assert n_gif > 0
    assert every.written.n_samples == pairs_of(project, "each").height


def test_equal_content_gives_equal_bytes_and_the_seed_decides_the_order(
    project: Project, tmp_path: Path
) -> None:
    def bytes_of(name: str, **options: Any) -> dict[str, bytes]:
        exported(project, tmp_path / name, "paper", "webdataset", **options)
        return {p.name: p.read_bytes() for p in sorted((tmp_path / name).glob("*.tar"))}

    assert bytes_of("a") == bytes_of("b")
    seven, eight = bytes_of("c", shuffle=7), bytes_of("d", shuffle=8)
    assert seven == bytes_of("e", shuffle=7)
    assert seven != eight
    assert sorted(seven) == sorted(eight)
