"""Subset files, parquet and folders of images, read by the field's own loaders."""

import io
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import polars as pl
import pyarrow.parquet as pq
from huggingface_hub import DatasetCard

from recap_assets.artefacts.mixes import THRESHOLDS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.graph.project import Project
from recap_assets_tests.exports.exported_pools import (
    exported,
    pairs_of,
    wanted_pairs,
)


def test_subset_files_have_the_bytes_that_datacomps_rule_gives(
    project: Project, tmp_path: Path
) -> None:
    exported(project, tmp_path, "each", "subset")
    pairs = pairs_of(project, "each")
    for source in ("raw", "blip2"):
        uids = [uid.hex() for uid in pairs.filter(pl.col("source") == source)["uid"]]
        rule = np.array([(int(uid[:16], 16), int(uid[16:32], 16)) for uid in uids], "u8,u8")
        rule.sort()
        buffer = io.BytesIO()
        np.save(buffer, rule)
        assert (tmp_path / f"sample_ids_{source}.npy").read_bytes() == buffer.getvalue()


def test_datasets_reads_the_parquet_with_its_images(project: Project, tmp_path: Path) -> None:
    done = exported(project, tmp_path / "out", "each", "huggingface", rows_per_group=10)
    cache = str(tmp_path / "cache")
    read = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=cache)
    assert Counter(zip(read["uid"], read["text"], strict=True)) == wanted_pairs(
        project, "each", gif=True
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
    project: Project, tmp_path: Path
) -> None:
    exported(project, tmp_path, "paper", "huggingface", license="cc-by-4.0")
    card = (tmp_path / "README.md").read_text()
    parsed = DatasetCard(card)
    assert parsed.data.license == "cc-by-4.0"
    assert parsed.data["size_categories"] == ["n<1K"]
    cutoffs = project.workspace.tables.read(THRESHOLDS, mix="paper")
    assert all(f"{value:.7g}" in card for value in cutoffs["value"])
    assert "at_least" in card
    # The model's folder on this machine is nobody's business.
    assert "model: blip2" in card
    assert "/home/someone" not in card
    assert "temperature: 0.75" in card
    assert str(tmp_path) not in card
    rows = croissant_rows(tmp_path / "croissant.json")
    assert Counter(map(tuple, rows)) == wanted_pairs(project, "paper", gif=True)


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


def test_parquet_without_images_holds_addresses(project: Project, tmp_path: Path) -> None:
    exported(project, tmp_path, "each", "huggingface", images=False)
    frame = pl.read_parquet(tmp_path / "data" / "*.parquet")
    assert "image" not in frame.columns
    assert frame.height == pairs_of(project, "each").height
    assert frame["url"].str.starts_with("https://").all()


def test_diffusers_way_of_reading_finds_each_image_with_its_text(
    project: Project, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = exported(project, out, "paper", "text_to_image", min_side=225, max_aspect=3.0)
    images = project.workspace.tables.read(RAW_POOL)
    good = images.filter(
        (pl.min_horizontal("width", "height") >= 225)
        & (pl.max_horizontal("width", "height") <= 3 * pl.min_horizontal("width", "height"))
        & (pl.col("image_format") != "GIF")
    )
    pairs = pairs_of(project, "paper").join(good.select("uid"), on="uid", how="semi")
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
    assert done.written.n_samples + left_out.total() == pairs_of(project, "paper").height
    assert left_out["too_small"] > 0
