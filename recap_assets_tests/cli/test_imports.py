"""`recap imports`, doctor, lineage and receipts of third-party captions, through Dagster."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recap_assets_tests.cli.running import Recap, set_environment, write_experiment
from recap_assets_tests.cli.shards_built import build, trimmed
from recap_assets_tests.defs.shards import write_shard

POOL = "raw_pool"
ASSETS = ("imported_captions/third", "synthetic_captions/third", "import_reports/third")
HOSTILE = "a [bold]cat[/bold] \x1b[2J <script>alert(1)</script>"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool of two shards and a drop that has one caption, one conflict and one orphan."""
    folder = tmp_path_factory.mktemp("imported")
    write_shard(folder / "pool", 0, ["a boat", "a house"])
    write_shard(folder / "pool", 1, ["a tree", "two dogs"])
    keys = [f"{number:032x}" for number in (0, 1, 1)] + ["ff" * 16]
    drop = {"uid": keys, "blip2-cap": ["first", HOSTILE, "another", "nobody's"]}
    pl.DataFrame(drop).write_csv(folder / "drop.csv")
    path = write_experiment(folder, **changes(folder, sources={"third": third(folder)}))
    with pytest.MonkeyPatch.context() as patch:
        set_environment(patch, folder)
        build(path, POOL, *ASSETS)
    return path


@pytest.fixture
def imported(built: Path, recap: Recap, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: ARG001 - sets the data folder, too
    monkeypatch.setenv("RECAP_DATA", str(built.parent / "data"))
    return built


def third(folder: Path) -> dict[str, Any]:
    return {"kind": "import", "preset": "datacomp_blip2", "files": str(folder / "drop.csv")}


def changes(folder: Path, **more: Any) -> dict[str, Any]:
    return {**trimmed(folder / "pool"), **more}


def test_the_report_is_printed_and_markup_in_it_is_text(imported: Path, recap: Recap) -> None:
    result = recap("-e", imported, "imports")
    assert result.exit_code == 0, result.output
    printed = " ".join(result.output.split())
    assert "images that the files have" in printed
    assert "[bold]cat[/bold]" in printed
    assert "\x1b[2J" not in result.output
    told = json.loads(recap("-e", imported, "imports", "third", "--json").output)
    pool = {what: count["n"] for what, count in told["pool"].items()}
    assert pool == {
        "images": 4, "matched": 2, "missing": 2, "empty": 0, "conflicting": 1, "repeated_rows": 0,
        "texts_compared": 0, "text_mismatches": 0, "orphaned_keys": 1,
        "keys_of_rejected_samples": 0,
    }  # fmt: skip
    (orphan,) = told["pool"]["orphaned_keys"]["examples"]
    assert (orphan["key"], orphan["caption"]) == ("ff" * 16, "nobody's")
    assert told["files"]["conflicting_keys"]["n"] == 1
    unknown = recap("-e", imported, "imports", "fourth")
    assert unknown.exit_code == 1
    assert "there is no import 'fourth'; known are third" in unknown.output


def test_without_an_import_there_is_nothing_to_show(
    recap: Recap, written: Callable[..., Path]
) -> None:
    result = recap("-e", written(), "imports")
    assert result.exit_code == 1
    assert "declare a source of kind import" in result.output


def test_lineage_leads_to_the_files_and_a_receipt_holds(imported: Path, recap: Recap) -> None:
    asset = "synthetic_captions/third"
    tree = recap("-e", imported, "lineage", asset)
    assert tree.exit_code == 0, tree.output
    assert "imported_captions/third" in tree.output
    assert recap("-e", imported, "pin", asset, "paper").exit_code == 0
    verified = recap("-e", imported, "verify", f"{asset}@paper")
    assert verified.exit_code == 0, verified.output
    status = json.loads(recap("-e", imported, "status", "--json").output)
    (row,) = [row for row in status if row["asset"] == asset]
    assert (row["rows"], row["rejected"]) == (4, {"not_in_import": 2})


def test_the_doctor_looks_into_the_files(
    tmp_path: Path, recap: Recap, written: Callable[..., Path]
) -> None:
    def told(**fields: str) -> str:
        sources = {"third": {**third(tmp_path), **fields}}
        return recap("-e", written(sources=sources, mixes={"raw": [{"use": "raw"}]}, report={}),
                     "doctor").output  # fmt: skip

    (tmp_path / "drop.csv").write_text("uid,blip2-cap\n")
    assert "sources.third: 1 files of captions, 0.0 MiB" in told()
    missing = told(caption="caption")
    assert "drop.csv has no column 'caption'; its columns are uid, blip2-cap" in missing
    assert "there is no file of captions at" in told(files=str(tmp_path / "gone.csv"))
