"""A mix of real shards, exported by the platform and read by the field's own loaders."""

import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
import webdataset
from fsspec.core import url_to_fs
from huggingface_hub import DatasetCard
from open_clip_train.data import expand_urls, get_dataset_size, get_wds_dataset

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.mixes import CURATED_MIXES, THRESHOLDS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.exports.checksums import check_folder
from recap_assets.exports.declared import shard_list
from recap_assets.exports.once import Exported, export_once
from recap_assets.exports.shard_list import read_shard_list
from recap_assets.graph.node import Step
from recap_assets.graph.project import Setting
from recap_assets.specs.exports import parse_export
from recap_assets.specs.loading import ExperimentError
from recap_assets.storage.folders import Folder, FolderError
from recap_assets_tests.exports.exported_pools import (
    build_mixes,
    index,
    pairs_of,
    real_experiment,
    real_setting,
    write_captions_and_scores,
)
from recap_assets_tests.storage.s3 import environment, moto_server
from recap_assets_tests.tiny import Bench

KEPT = 60
"""Samples of each real shard: enough for every kind of sample, few enough to be quick."""


def cut_shard(source: Path, target: Path, first: int = 0) -> None:
    """The samples of a real shard from number `first`, as many as tests need."""
    with tarfile.open(source) as tar, tarfile.open(target, "w") as cut:
        members = sorted(tar.getmembers(), key=lambda m: m.name)
        keys = sorted({m.name.split(".")[0] for m in members})[first : first + KEPT]
        for member in members:
            if member.name.split(".")[0] in keys:
                cut.addfile(member, tar.extractfile(member))


@pytest.fixture(scope="module")
def pool(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    for number, name in enumerate(("webalt", "flickr8k_web", "webalt")):
        source = shared_data / "pools" / name / "shards" / f"{number:08d}.tar"
        cut_shard(source, folder / f"{number:08d}.tar", first=100)
    return folder


@pytest.fixture(scope="module")
def setting(pool: Path, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return real_setting(tmp_path_factory.mktemp("data"), pool)


def exported(setting: Setting, folder: Path | str, mix: str, to: str, **options: Any) -> Exported:
    if to != "subset":
        options = {"samples_per_shard": 25, **options}
    export = parse_export({"mix": mix, "to": to, "folder": str(folder), **options})
    return export_once(setting, export)


def wanted_pairs(setting: Setting, mix: str, *, gif: bool = False) -> Counter[tuple[str, str]]:
    """Uid and text of each pair of a mix whose image open_clip reads."""
    images = setting.workspace.tables.read(RAW_POOL).select("uid", "image_format")
    pairs = pairs_of(setting, mix).join(images, on="uid")
    if not gif:
        pairs = pairs.filter(pl.col("image_format") != "GIF")
    return Counter((uid.hex(), text) for uid, text in pairs.select("uid", "text").iter_rows())


def samples_in(folder: Path) -> Iterator[dict[str, Any]]:
    """Read by the webdataset library, every tar below the folder."""
    tars = sorted(str(path) for path in folder.rglob("*.tar"))
    return iter(webdataset.WebDataset(tars, shardshuffle=False))


@pytest.mark.parametrize("mix", ["paper", "each", "joined"])
def test_webdataset_reads_the_pairs_of_the_mix_and_the_pools_own_bytes(
    setting: Setting, tmp_path: Path, mix: str
) -> None:
    exported(setting, tmp_path, mix, "webdataset")
    found, rows = Counter[tuple[str, str]](), setting.workspace.tables.read(RAW_POOL)
    sums = {uid.hex(): digest.hex() for uid, digest in rows.select("uid", "sha256").iter_rows()}
    for sample in samples_in(tmp_path):
        told = json.loads(sample["json"])
        found[told["uid"], sample["txt"].decode()] += 1
        assert sample["__key__"].split("-")[0] == told["uid"]
        (image,) = (sample[e] for e in ("jpg", "png", "webp") if e in sample)
        assert hashlib.sha256(image).hexdigest() == told["sha256"] == sums[told["uid"]]
    assert found == wanted_pairs(setting, mix)
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


def test_open_clips_loader_reads_every_pair_once(setting: Setting, tmp_path: Path) -> None:
    done = exported(setting, tmp_path, "paper", "webdataset")
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
    wanted = wanted_pairs(setting, "paper")
    assert n == wanted.total()
    assert Counter(seen) == Counter(text for _, text in wanted.elements())
    # The size that it reads from sizes.json is the same, so no number of samples need be given.
    assert get_dataset_size(urls) == (n, len(done.written.shards))


def test_open_clip_trains_on_it_with_shards_drawn_by_weight(
    setting: Setting, tmp_path: Path
) -> None:
    done = exported(setting, tmp_path, "each", "webdataset")
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
    texts = {text for _, text in wanted_pairs(setting, "each")}
    assert set(seen) <= texts
    synthetic = sum(text.startswith("a picture of") for text in seen) / len(seen)
    assert synthetic > 0.6  # three of four by weight, half by number


def test_shards_are_drawn_by_the_weight_of_their_pairs(setting: Setting, tmp_path: Path) -> None:
    done = exported(setting, tmp_path, "each", "webdataset")
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
    pairs = Counter(pairs_of(setting, "each")["source"])
    assert mass["raw"] < mass["blip2"]
    assert set(mass) == set(pairs)


def test_every_sources_caption_is_a_plain_string_that_open_clip_can_name(
    setting: Setting, tmp_path: Path
) -> None:
    exported(setting, tmp_path, "paper", "webdataset")
    tables = setting.workspace.tables
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


def test_it_lies_there_as_datacomps_resharder_leaves_it(setting: Setting, tmp_path: Path) -> None:
    exported(setting, tmp_path, "paper", "webdataset")
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
    uids = [uid for uid, _ in wanted_pairs(setting, "paper").elements()]
    assert ids.dtype == np.dtype("u8,u8")
    assert ids.tolist() == sorted((int(uid[:16], 16), int(uid[16:], 16)) for uid in uids)


def test_subset_files_have_the_bytes_that_datacomps_rule_gives(
    setting: Setting, tmp_path: Path
) -> None:
    exported(setting, tmp_path, "each", "subset")
    pairs = pairs_of(setting, "each")
    for source in ("raw", "blip2"):
        uids = [uid.hex() for uid in pairs.filter(pl.col("source") == source)["uid"]]
        rule = np.array([(int(uid[:16], 16), int(uid[16:32], 16)) for uid in uids], "u8,u8")
        rule.sort()
        buffer = io.BytesIO()
        np.save(buffer, rule)
        assert (tmp_path / f"sample_ids_{source}.npy").read_bytes() == buffer.getvalue()


def test_several_positives_can_be_one_sample(setting: Setting, tmp_path: Path) -> None:
    exported(setting, tmp_path, "each", "webdataset", positives="json", by_weight=False)
    found, n = Counter[tuple[str, str]](), 0
    for sample in samples_in(tmp_path):
        told = json.loads(sample["json"])
        n += 1
        found.update((told["uid"], pair["text"]) for pair in told["pairs"])
        heaviest = max(told["pairs"], key=lambda pair: pair["weight"])
        assert sample["txt"].decode() == heaviest["text"]
        assert told["weight"] == sum(pair["weight"] for pair in told["pairs"])
        assert sample["__key__"] == f"{told['uid']}-0"
    assert found == wanted_pairs(setting, "each")
    assert n == len({uid for uid, _ in found})


def test_gifs_are_left_out_and_counted_unless_they_are_asked_for(
    setting: Setting, tmp_path: Path
) -> None:
    rows = setting.workspace.tables.read(RAW_POOL)
    n_gif = rows.filter(pl.col("image_format") == "GIF").height
    done = exported(setting, tmp_path / "a", "each", "webdataset")
    with_gif = ["jpg", "png", "webp", "gif"]
    every = exported(setting, tmp_path / "b", "each", "webdataset", formats=with_gif)
    gap = every.written.n_samples - done.written.n_samples
    assert done.written.left_out["unread_format"] == gap > 0
    assert n_gif > 0
    assert every.written.n_samples == pairs_of(setting, "each").height


def test_equal_content_gives_equal_bytes_and_the_seed_decides_the_order(
    setting: Setting, tmp_path: Path
) -> None:
    def bytes_of(name: str, **options: Any) -> dict[str, bytes]:
        exported(setting, tmp_path / name, "paper", "webdataset", **options)
        return {p.name: p.read_bytes() for p in sorted((tmp_path / name).glob("*.tar"))}

    assert bytes_of("a") == bytes_of("b")
    seven, eight = bytes_of("c", shuffle=7), bytes_of("d", shuffle=8)
    assert seven == bytes_of("e", shuffle=7)
    assert seven != eight
    assert sorted(seven) == sorted(eight)


def test_datasets_reads_the_parquet_with_its_images(setting: Setting, tmp_path: Path) -> None:
    done = exported(setting, tmp_path / "out", "each", "huggingface", rows_per_group=10)
    cache = str(tmp_path / "cache")
    read = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=cache)
    assert Counter(zip(read["uid"], read["text"], strict=True)) == wanted_pairs(
        setting, "each", gif=True
    )
    assert isinstance(read.features["image"], datasets.Image)
    assert read[0]["image"].size == (read[0]["width"], read[0]["height"])
    sources = {caption["source"] for row in read["captions"] for caption in row}
    assert sources == {"raw", "blip2"}
    # Without the card the files tell the features themselves.
    bare = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "out/data/*.parquet"), split="train", cache_dir=cache
    )
    assert bare.features == read.features
    assert len(bare) == done.written.n_samples
    meta = pq.ParquetFile(tmp_path / "out/data/train-00000000.parquet").metadata
    assert max(meta.row_group(i).num_rows for i in range(meta.num_row_groups)) == 10


def test_the_card_and_croissant_are_valid_and_tell_how_it_was_curated(
    setting: Setting, tmp_path: Path
) -> None:
    exported(setting, tmp_path, "paper", "huggingface", license="cc-by-4.0")
    card = (tmp_path / "README.md").read_text()
    parsed = DatasetCard(card)
    assert parsed.data.license == "cc-by-4.0"
    assert parsed.data["size_categories"] == ["n<1K"]
    cutoffs = setting.workspace.tables.read(THRESHOLDS, mix="paper")
    assert all(f"{value:.7g}" in card for value in cutoffs["value"])
    assert "at_least" in card
    # The model's folder on this machine is nobody's business.
    assert "model: blip2" in card
    assert "/home/someone" not in card
    assert "temperature: 0.75" in card
    assert str(tmp_path) not in card
    rows = croissant_rows(tmp_path / "croissant.json")
    assert Counter(map(tuple, rows)) == wanted_pairs(setting, "paper", gif=True)


def croissant_rows(path: Path) -> list[list[str]]:
    """Uid and text of every record, read by MLCommons' own reader; any error it tells raises.

    In a process of its own: its logging takes hold of this one's standard error for good.
    """
    code = (
        "import json, sys, mlcroissant\n"
        "described = mlcroissant.Dataset(jsonld=sys.argv[1])\n"
        "assert not described.metadata.ctx.issues.errors\n"
        "rows = described.records('samples')\n"
        "columns = ('samples/uid', 'samples/text')\n"
        "print(json.dumps([[row[c].decode() for c in columns] for row in rows]))"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own words
    return json.loads(done.stdout.splitlines()[-1])


def test_parquet_without_images_holds_addresses(setting: Setting, tmp_path: Path) -> None:
    exported(setting, tmp_path, "each", "huggingface", images=False)
    frame = pl.read_parquet(tmp_path / "data" / "*.parquet")
    assert "image" not in frame.columns
    assert frame.height == pairs_of(setting, "each").height
    assert frame["url"].str.starts_with("https://").all()


def test_diffusers_way_of_reading_finds_each_image_with_its_text(
    setting: Setting, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = exported(setting, out, "paper", "text_to_image", min_side=225, max_aspect=3.0)
    images = setting.workspace.tables.read(RAW_POOL)
    good = images.filter(
        (pl.min_horizontal("width", "height") >= 225)
        & (pl.max_horizontal("width", "height") <= 3 * pl.min_horizontal("width", "height"))
        & (pl.col("image_format") != "GIF")
    )
    pairs = pairs_of(setting, "paper").join(good.select("uid"), on="uid", how="semi")
    wanted = Counter((uid.hex(), text) for uid, text in pairs.select("uid", "text").iter_rows())
    cache = str(tmp_path / "cache")
    # As diffusers' train_text_to_image.py does, and as its documentation does.
    read = datasets.load_dataset(
        "imagefolder", data_files={"train": str(out / "**")}, cache_dir=cache
    )["train"]
    assert Counter(zip(read["uid"], read["text"], strict=True)) == wanted
    assert min(min(image.size) for image in read["image"]) >= 225
    again = datasets.load_dataset("imagefolder", data_dir=str(out), split="train", cache_dir=cache)
    assert Counter(again["uid"]) == Counter(read["uid"])
    left_out = done.written.left_out
    assert done.written.n_samples + left_out.total() == pairs_of(setting, "paper").height
    assert left_out["too_small"] > 0


def test_what_is_in_the_way_is_not_written_over(setting: Setting, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(FolderError, match=r"not empty \(thesis\.tex"):
        exported(setting, tmp_path, "paper", "webdataset")
    assert (tmp_path / "thesis.tex").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_another_export_is_replaced_only_when_that_is_asked_for(
    setting: Setting, tmp_path: Path
) -> None:
    exported(setting, tmp_path, "paper", "webdataset")
    with pytest.raises(FolderError, match="another export"):
        exported(setting, tmp_path, "each", "webdataset")
    spec = {"mix": "each", "to": "subset", "folder": str(tmp_path)}
    export_once(setting, parse_export(spec), replace=True)
    assert not list(tmp_path.glob("*.tar"))
    assert check_folder(Folder(str(tmp_path))).problems == {}


def test_a_shard_that_is_there_is_not_written_again_and_a_changed_mix_writes_what_changed(
    pool: Path, tmp_path: Path
) -> None:
    setting = real_setting(tmp_path / "data", pool)
    out = tmp_path / "out"
    exported(setting, out, "raw_top", "webdataset", samples_per_shard=5)
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    exported(setting, out, "raw_top", "webdataset", samples_per_shard=5)
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("*.tar")} == before
    # Without the last partition's pairs the first shards stay and the surplus goes.
    last = list(setting.partitions)[-1]
    pairs = pairs_of(setting, "raw_top").filter(pl.col("partition") == last)
    at = {"mix": "raw_top", "partition": last}
    setting.workspace.tables.replace(CURATED_MIXES, at, pairs.drop("mix", "partition")[:0])
    exported(setting, out, "raw_top", "webdataset", samples_per_shard=5)
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    assert 0 < len(after) < len(before)
    same = [name for name in after if after[name] == before[name]]
    assert len(same) >= len(after) - 1
    assert check_folder(Folder(str(out))).problems == {}


def test_an_image_that_changed_under_the_index_is_left_out_with_its_reason(
    pool: Path, tmp_path: Path
) -> None:
    own = tmp_path / "pool"
    shutil.copytree(pool, own)
    setting = real_setting(tmp_path / "data", own)
    rows = setting.workspace.tables.read(RAW_POOL).filter(pl.col("shard") == 0)
    pairs = pairs_of(setting, "each").filter(pl.col("shard") == 0)
    row = rows.filter((pl.col("uid") == pairs["uid"][0]) & (pl.col("image_format") != "GIF")).row(
        0, named=True
    )
    with (own / "00000000.tar").open("r+b") as file:
        file.seek(row["offset"] + row["size"] // 2)
        file.write(b"damage")
    done = exported(setting, tmp_path / "out", "each", "webdataset")
    gone = pairs.filter(pl.col("uid") == row["uid"]).height
    assert done.written.left_out["image_changed"] == gone > 0
    uids = {json.loads(sample["json"])["uid"] for sample in samples_in(tmp_path / "out")}
    assert row["uid"].hex() not in uids
    ids = sum(len(np.load(p)) for p in (tmp_path / "out").rglob("sample_ids.npy"))
    assert ids == done.written.n_samples


def test_a_pool_shard_that_is_gone_is_an_error_and_not_a_smaller_export(
    pool: Path, tmp_path: Path
) -> None:
    own = tmp_path / "pool"
    shutil.copytree(pool, own)
    setting = real_setting(tmp_path / "data", own)
    (own / "00000001.tar").unlink()
    with pytest.raises(FileNotFoundError, match=r"00000001\.tar"):
        exported(setting, tmp_path / "out", "each", "webdataset")
    assert not (tmp_path / "out" / "checksums.json").exists()


def test_it_goes_to_a_bucket_as_to_a_folder(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(setting, tmp_path, "paper", "webdataset")
    with moto_server() as endpoint:
        for name, value in environment(endpoint).items():
            monkeypatch.setenv(name, value)
        bucket = url_to_fs("s3://exports", use_listings_cache=False)[0]
        bucket.mkdir("exports")
        exported(setting, "s3://exports/a/b", "paper", "webdataset")
        there = Folder("s3://exports/a/b")
        names = Folder(str(tmp_path)).names()
        assert there.names() == names
        assert all((tmp_path / name).read_bytes() == there.read(name) for name in names)
        # What was finished is known again there, and damage to it is found.
        tar = names[0]
        bucket.pipe_file(f"exports/a/b/{tar}", b"damage")
        assert set(check_folder(there).problems) == {tar}
        exported(setting, "s3://exports/a/b", "paper", "webdataset")
        assert check_folder(there).problems == {}
        assert read_shard_list(there).shards[0].url == "s3://exports/a/b/00000000.tar"
        bucket.clear_instance_cache()


EXPORTS = {
    "train": {"mix": "each", "to": "webdataset", "samples_per_shard": 25},
    "uids": {"mix": "each", "to": "subset"},
}


def test_as_assets_only_the_changed_partition_is_exported_again(pool: Path, tmp_path: Path) -> None:
    own = tmp_path / "pool"
    shutil.copytree(pool, own)
    bench = Bench(tmp_path / "data", real_experiment(own, exports=EXPORTS))
    setting = bench.setting
    setting.scan()
    for partition in setting.partitions:
        index(setting, partition)
        write_captions_and_scores(setting, partition)
    build_mixes(setting)
    shards, whole = bench.graph.nodes["export_shards/train"], bench.graph.nodes["exports/train"]
    versions = {p: shards.compute(Step(p)).data_version for p in setting.partitions}
    outcome = whole.compute(Step(""))
    assert bench.graph.nodes["exports/uids"].compute(Step("")).n_rows == outcome.n_rows + sum(
        outcome.rejected.values()
    )
    out = setting.workspace.exports / "train"
    # DataComp's train.py looks for meta.json in every folder below, and counts its shards from 0.
    for partition in setting.partitions:
        for group in ("weight_1", "weight_3"):
            meta = json.loads((out / group / partition / "meta.json").read_text())
            names = [
                meta["output_shard_format"].format(i) for i in range(meta["output_shard_count"])
            ]
            assert sorted(p.name for p in (out / group / partition).glob("*.tar")) == names
            sizes = json.loads((out / group / partition / "sizes.json").read_text())
            assert max(sizes.values()) - min(sizes.values()) <= 1
    assert check_folder(Folder(str(out))).problems == {}
    assert shard_list(setting, "train").n_samples == outcome.n_rows
    found = Counter(
        (json.loads(sample["json"])["uid"], sample["txt"].decode()) for sample in samples_in(out)
    )
    assert found == wanted_pairs(setting, "each")
    # What the records say is what lies there, and is told as gone where it does not.
    for partition, version in versions.items():
        assert shards.stored_version(partition, {}) == version
    assert whole.stored_version("", {}) == outcome.data_version
    (first, *others) = setting.partitions
    tar = out / "weight_1" / first / "00000000.tar"
    tar.write_bytes(tar.read_bytes().replace(b"ustar", b"astar", 1))
    assert shards.stored_version(first, {}) != versions[first]
    assert all(shards.stored_version(p, {}) == versions[p] for p in others)


def test_the_shards_depend_on_the_mix_the_pool_and_the_captions_that_go_along(
    pool: Path, tmp_path: Path
) -> None:
    def reads(**options: Any) -> set[str]:
        exports = {"train": {"mix": "raw_top", "to": "webdataset", **options}}
        bench = Bench(tmp_path, real_experiment(pool, exports=exports))
        node = bench.graph.nodes["export_shards/train"]
        assert all(bench.graph.reads_same(node, dependency) for dependency in node.dependencies)
        return {dependency.asset for dependency in node.dependencies}

    with_raw = {"curated_mixes/raw_top", "raw_pool", "clip_scores/b32/raw"}
    assert reads(captions=["raw"]) == with_raw
    assert reads() == with_raw | {"synthetic_captions/blip2", "clip_scores/b32/blip2"}


def test_an_experiment_names_what_an_export_does_not_find(pool: Path) -> None:
    wrong = {"train": {"mix": "nix", "to": "webdataset", "captions": ["git"]}}
    with pytest.raises(ExperimentError, match=r"exports\.train\.mix: there is no 'nix'") as error:
        real_experiment(pool, exports=wrong)
    assert "exports.train.captions: there is no 'git'; known are blip2, raw" in str(error.value)
    twice = {n: {"mix": "each", "to": "subset", "folder": "s3://b/x"} for n in ("a", "b")}
    with pytest.raises(ExperimentError, match=r"exports\.b\.folder: exports\.a goes to s3://b/x"):
        real_experiment(pool, exports=twice)


def test_a_partition_has_another_version_where_its_pairs_or_captions_changed(
    pool: Path, tmp_path: Path
) -> None:
    setting = real_setting(tmp_path / "data", pool, exports=EXPORTS)
    node = Bench(tmp_path / "data", setting.experiment).graph.nodes["export_shards/train"]
    (first, second, *_) = setting.partitions
    versions = [node.compute(Step(partition)).data_version for partition in (first, second)]
    assert node.compute(Step(first)).data_version == versions[0]
    at = {"mix": "each", "partition": first}
    pairs = setting.workspace.tables.read(CURATED_MIXES, **at).drop("mix", "partition")
    setting.workspace.tables.replace(CURATED_MIXES, at, pairs[1:])
    assert node.compute(Step(first)).data_version != versions[0]
    assert node.compute(Step(second)).data_version == versions[1]
    setting.workspace.tables.replace(CURATED_MIXES, at, pairs)
    # A caption that goes along is content too, though no pair uses it.
    table = setting.workspace.tables
    captions = table.read(SYNTHETIC_CAPTIONS, source="blip2", partition=first)
    other = captions.with_columns(text=pl.col("text") + "!").drop("source", "partition")
    table.replace(SYNTHETIC_CAPTIONS, {"source": "blip2", "partition": first}, other)
    assert node.compute(Step(first)).data_version != versions[0]
