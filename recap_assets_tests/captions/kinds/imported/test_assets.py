"""Third-party captions on a real pool: what fits, what does not, and what a changed file costs."""

import csv
import gzip
import hashlib
import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recap_assets.artefacts.captions import IMPORT_REPORTS, IMPORTED_CAPTIONS, SYNTHETIC_CAPTIONS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import is_usable
from recap_assets.assembly.accounts import accounts
from recap_assets.captions.kinds.imported import waves as import_waves
from recap_assets.captions.kinds.imported.files import CaptionFileError
from recap_assets.graph.planner import plan
from recap_assets_tests.shards.building import jpeg, tar_of
from recap_assets_tests.tiny import Bench, Memory, tiny_experiment

STAGES = ("pool", "captions")
Drop = list[dict[str, str]]


@pytest.fixture(scope="module")
def indexed(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """Half of the real pool, indexed: two partitions of five hundred photographs."""
    shards = shared_data / "pools" / "flickr8k_web" / "shards" / "0000000[01].tar"
    bench = Bench(tmp_path_factory.mktemp("data"), experiment(str(shards), {}))
    bench.build("pool")
    return bench


def experiment(shards: str, sources: Mapping[str, Any]):
    return tiny_experiment(
        pool={"kind": "webdataset", "shards": shards},
        corpora={}, models={}, sources=sources, mixes={"raw": [{"use": "raw"}]}, report={},
        scorers={"b32": {"kind": "open_clip", "model": "ViT-B-32", "pretrained": "openai"}},
    )  # fmt: skip


@pytest.fixture
def bench_of(indexed: Bench) -> Callable[..., Bench]:
    """The indexed pool with these imports; what the tests before built is not known."""

    def make(memory: Memory | None = None, **sources: Any) -> Bench:
        memory = memory or Memory()
        memory.records.setdefault("raw_pool", dict(indexed.memory.records["raw_pool"]))
        shards = indexed.project.experiment.pool.shards  # type: ignore[union-attr]
        return Bench(indexed.project.workspace.data, experiment(shards, sources), memory)

    return make


def pool_rows(bench: Bench) -> list[dict[str, Any]]:
    rows = bench.project.workspace.tables.read(RAW_POOL).filter(is_usable())
    return rows.sort("uid").to_dicts()


def spoilt(text: str, i: int) -> str:
    """A copy of a raw text as it comes out of other people's decoders."""
    return [
        text,
        text.encode().decode("latin-1"),
        "".join(c if ord(c) < 128 else "".join(f"\\x{b:02x}" for b in c.encode()) for c in text),
        text.replace("&", "&amp;"),
        f" {text}  ",
    ][i % 5]


def drop_of(rows: list[dict[str, Any]]) -> Drop:
    """A drop with every fault that users of the released ones met, in random order."""
    drop: Drop = []
    for i, row in enumerate(rows):
        if i % 10 == 9:
            continue
        raw = rows[(i + 1) % len(rows)]["text"] if i % 13 == 1 else row["text"]
        one = {
            "uid": row["uid"].hex(),
            "sha256": row["original_sha256"].hex(),
            "url": row["url"],
            "caption": "" if i % 17 == 2 else f"a photo, number {i}",
            "raw": spoilt(raw or "", i),
        }
        drop.append(one)
        if i % 11 == 3:
            drop.append(dict(one))
    for i in range(40):
        digest = hashlib.sha256(f"orphan {i}".encode()).hexdigest()
        orphan = {"uid": digest[:32], "sha256": digest, "url": f"https://gone.example/{i}"}
        drop.append({**orphan, "caption": f"orphan {i}", "raw": "gone"})
    drop += [{**drop[0], "uid": f"{i}", "sha256": "zz", "caption": "lost"} for i in range(7)]
    random.Random(1).shuffle(drop)  # noqa: S311 - no secret
    # Conflicts come last, so that it is known which caption is the first.
    with_caption = [one for one in drop if one["caption"].startswith("a photo")]
    drop += [{**one, "caption": f"{one['caption']} again"} for one in with_caption[:25]]
    return drop


def write_csv(path: Path, drop: Drop, opener: Callable[..., Any] = open) -> Path:
    with opener(path, "wt", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(drop[0]))
        writer.writeheader()
        writer.writerows(drop)
    return path


def write_jsonl(path: Path, drop: Drop) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(one) + "\n" for one in drop)
    return path


def write_parquet(path: Path, drop: Drop) -> Path:
    pl.DataFrame(drop).write_parquet(path, row_group_size=100)
    return path


def source(path: Path, **fields: Any) -> dict[str, Any]:
    return {"kind": "import", "files": str(path), "caption": "caption", **fields}


def captions_of(bench: Bench, name: str) -> pl.DataFrame:
    rows = bench.project.workspace.tables.read(SYNTHETIC_CAPTIONS, source=name)
    return rows.drop("source").sort("uid", "candidate")


def report_of(bench: Bench, name: str, partition: str) -> dict[str, int]:
    rows = bench.project.workspace.tables.read(IMPORT_REPORTS, source=name, partition=partition)
    return dict(rows.select("what", "n").iter_rows())


def test_each_image_gets_its_caption_and_every_fault_is_counted(
    bench_of: Callable[..., Bench], indexed: Bench, tmp_path: Path
) -> None:
    rows = pool_rows(indexed)
    drop = drop_of(rows)
    path = write_csv(tmp_path / "drop.csv", drop)
    bench = bench_of(third=source(path, expected_text="raw"))
    bench.build(*STAGES)
    found = captions_of(bench, "third")
    numbers = {row["uid"]: i for i, row in enumerate(rows)}
    lost = {i for i in numbers.values() if i % 10 == 9}
    empty = {i for i in numbers.values() if i % 17 == 2} - lost
    assert found.height == len(rows)
    for row in found.to_dicts():
        i = numbers[row["uid"]]
        told = row["text"], row["status"], row["reject_reason"]
        if i in lost:
            assert told == (None, "error", "not_in_import")
        elif i in empty:
            assert told == (None, "empty", "empty")
        else:
            assert told == (f"a photo, number {i}", "ok", None)
    good = len(rows) - len(lost) - len(empty)
    assert report_of(bench, "third", "files") == {
        "files": 1, "rows": len(drop), "malformed_keys": 7, "damaged_rows": 0,
        "undecodable_texts": 0, "mended_texts": 0,
        "empty_rows": sum(one["caption"] == "" for one in drop),
        "keys": len(rows) - len(lost) + 40,
        "repeated_rows": sum(i % 11 == 3 and i not in lost for i in range(len(rows))),
        "conflicting_keys": 25,
    }  # fmt: skip
    texts = [row["text"] for row in rows]
    wrong = [
        i
        for i in range(len(rows))
        if i % 13 == 1 and i not in lost | empty
        and None not in (texts[i], texts[(i + 1) % len(rows)])
        and texts[i] != texts[(i + 1) % len(rows)]
    ]  # fmt: skip
    again = [one["caption"].split()[3] for one in drop if one["caption"].endswith("again")]
    of_pool = report_of(bench, "third", "pool")
    compared = of_pool.pop("texts_compared")
    assert len(wrong) < compared <= good + 25
    assert of_pool == {
        "images": len(rows), "matched": len(rows) - len(lost), "missing": len(lost),
        "empty": len(empty), "conflicting": 25, "orphaned_keys": 40, "keys_of_rejected_samples": 0,
        "repeated_rows": sum(i % 11 == 3 and i not in lost for i in range(len(rows))),
        "text_mismatches": len(wrong) + sum(int(number) in wrong for number in again),
    }  # fmt: skip
    (account,) = [one for one in accounts(bench.project) if one.what == "synthetic_captions/third"]
    assert account.n_usable == good
    assert account.rejected == {"empty": len(empty), "not_in_import": len(lost)}


def test_captions_on_the_wrong_image_are_set_aside_where_asked(
    bench_of: Callable[..., Bench], indexed: Bench, tmp_path: Path
) -> None:
    rows = pool_rows(indexed)
    path = write_parquet(tmp_path / "drop.parquet", drop_of(rows))
    spec = source(path, expected_text="raw", on_text_mismatch="set_aside", conflicts="candidates")
    bench = bench_of(third=spec)
    bench.build(*STAGES)
    found = captions_of(bench, "third")
    aside = found.filter(pl.col("reject_reason") == "text_mismatch")
    assert aside.height == report_of(bench, "third", "pool")["text_mismatches"] > 20
    numbers = {row["uid"]: i for i, row in enumerate(rows)}
    assert {numbers[uid] % 13 for uid in aside["uid"]} == {1}
    assert aside["text"].null_count() == 0
    assert found.filter(is_usable())["candidate"].max() == 1


def test_formats_and_keys_make_no_difference(
    bench_of: Callable[..., Bench], indexed: Bench, tmp_path: Path
) -> None:
    drop = [one for one in drop_of(pool_rows(indexed)) if one["caption"] != "lost"]
    files = [
        write_csv(tmp_path / "drop.csv", drop),
        write_csv(tmp_path / "drop.csv.gz", drop, gzip.open),
        write_parquet(tmp_path / "drop.parquet", drop),
        write_jsonl(tmp_path / "drop.jsonl.gz", drop),
    ]
    sources = {f"by_uid_{i}": source(path) for i, path in enumerate(files)}
    sources |= {
        "by_sha256": source(files[0], by="sha256"),
        "by_url": source(files[0], by="url"),
    }
    bench = bench_of(**sources)
    bench.build(*STAGES)
    first = captions_of(bench, "by_uid_0")
    assert first.filter(is_usable()).height > 800
    for name in sources:
        assert captions_of(bench, name).equals(first), name
        assert report_of(bench, name, "pool")["orphaned_keys"] == 40


def test_the_papers_release_needs_two_lines(
    bench_of: Callable[..., Bench], indexed: Bench, tmp_path: Path
) -> None:
    rows = pool_rows(indexed)
    half = len(rows) // 2
    for i, part in enumerate((rows[:half], rows[half:])):
        drop = [{"uid": r["uid"].hex(), "blip2-cap": f"photo of {r['key']}"} for r in part]
        write_csv(tmp_path / f"large_blip2_metadata_{i}.csv", drop)
    blip2 = {"kind": "import", "preset": "datacomp_blip2", "files": str(tmp_path / "large_*.csv")}
    bench = bench_of(blip2=blip2)
    bench.build(*STAGES)
    keys = {row["uid"]: row["key"] for row in rows}
    assert {uid: text.removeprefix("photo of ") for uid, text in captions_of(bench, "blip2").select(
        "uid", "text").iter_rows()} == keys  # fmt: skip
    assert report_of(bench, "blip2", "files")["files"] == 2


def test_recap_datacomp_joins_by_the_hash_of_the_downloaded_image(
    bench_of: Callable[..., Bench], indexed: Bench, tmp_path: Path
) -> None:
    rows = pool_rows(indexed)[:300]
    drop = [
        {
            "url": r["url"], "re_caption": f"long caption {i}", "org_caption": r["text"] or "",
            "sha256": r["original_sha256"].hex(), "key": "000", "re_clip_score": 0.3,
        }
        for i, r in enumerate(rows)
    ]  # fmt: skip
    pl.DataFrame(drop).write_parquet(tmp_path / "train-00000.parquet")
    spec = {"kind": "import", "preset": "recap_datacomp_1b", "files": str(tmp_path)}
    bench = bench_of(recap=spec)
    bench.build(*STAGES)
    good = captions_of(bench, "recap").filter(is_usable())
    assert dict(good.select("uid", "text").iter_rows()) == {
        row["uid"]: f"long caption {i}" for i, row in enumerate(rows)
    }
    assert report_of(bench, "recap", "pool")["text_mismatches"] == 0


def test_a_hash_that_is_called_a_uid_is_refused_with_a_hint(
    bench_of: Callable[..., Bench], indexed: Bench, tmp_path: Path
) -> None:
    drop = [{"uid": r["sha256"].hex(), "blip2-cap": "x"} for r in pool_rows(indexed)]
    path = write_csv(tmp_path / "drop.csv", drop)
    bench = bench_of(hashed={"kind": "import", "preset": "datacomp_blip2", "files": str(path)})
    with pytest.raises(CaptionFileError, match=r"looks like a sha256.*set `by: sha256`"):
        bench.build(*STAGES)
    assert not bench.project.workspace.tables.has(IMPORTED_CAPTIONS, {"source": "hashed"})


def test_a_touched_file_is_read_again_and_rebuilds_nothing_else(
    bench_of: Callable[..., Bench], indexed: Bench, tmp_path: Path
) -> None:
    drop = [one for one in drop_of(pool_rows(indexed)) if one["caption"] != "lost"]
    path = write_csv(tmp_path / "drop.csv", drop)
    bench = bench_of(touched=source(path))
    bench.build(*STAGES)
    assert bench.build(*STAGES) == []
    tables = bench.project.workspace.tables
    before = tables.version(IMPORTED_CAPTIONS)
    other_order = sorted(drop, key=lambda one: (one["caption"].endswith("again"), one["uid"]))
    write_csv(path, other_order)
    assert bench.build(*STAGES) == [("imported_captions/touched", "")]
    assert tables.version(IMPORTED_CAPTIONS) == before
    write_csv(path, drop[1:])
    assert {asset for asset, _ in bench.build(*STAGES)} == {
        "imported_captions/touched", "synthetic_captions/touched", "import_reports/touched",
    }  # fmt: skip


def test_a_rule_rebuilds_the_join_and_reads_no_file(
    bench_of: Callable[..., Bench], indexed: Bench, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "drop.csv", drop_of(pool_rows(indexed)))
    bench = bench_of(ruled=source(path))
    bench.build(*STAGES)
    again = bench_of(bench.memory, ruled=source(path, conflicts="reject"))
    entries = [e for e in plan(again.graph, again.memory).ready if "ruled" in e.asset]
    assert {e.asset for e in entries} == {"synthetic_captions/ruled"}
    assert entries[0].reason == "join.conflicts first → reject"
    computed = again.build(*STAGES)
    assert {asset for asset, _ in computed} == {
        "synthetic_captions/ruled", "import_reports/ruled"
    }  # fmt: skip
    reasons = captions_of(again, "ruled")["reject_reason"].drop_nulls()
    assert (reasons == "conflicting_captions").sum() == 25


def test_buckets_and_waves_change_nothing(
    bench_of: Callable[..., Bench], indexed: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_csv(tmp_path / "drop.csv", drop_of(pool_rows(indexed)))
    spec = source(path, by="sha256", expected_text="raw")
    one = bench_of(one=spec)
    one.build(*STAGES)
    with monkeypatch.context() as patch:
        patch.setattr("recap_assets.captions.kinds.imported.assets.digits_needed", lambda _files: 1)
        patch.setattr(import_waves, "WAVE_KEYS", 1)
        many = bench_of(many=spec)
        many.build(*STAGES)
    assert captions_of(many, "many").equals(captions_of(one, "one"))
    reports = [report_of(bench, name, "pool") for bench, name in ((one, "one"), (many, "many"))]
    assert reports[0] == reports[1]
    tables = one.project.workspace.tables
    buckets = [row["bucket"] for row in tables.slices(IMPORTED_CAPTIONS) if row["source"] == "many"]
    assert sorted(buckets) == list("0123456789abcdef")
    assert not list(one.project.workspace.scratch.rglob("*.parquet"))
    # Few rows again: the buckets of before hold nothing that would count twice.
    write_csv(path, drop_of(pool_rows(indexed))[:500])
    many.build(*STAGES)
    buckets = [row["bucket"] for row in tables.slices(IMPORTED_CAPTIONS) if row["source"] == "many"]
    assert buckets == ["all"]


def test_the_import_is_read_once_for_all_partitions(
    bench_of: Callable[..., Bench], indexed: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_csv(tmp_path / "drop.csv", drop_of(pool_rows(indexed)))
    bench = bench_of(waved=source(path))
    made: list[str] = []
    real = import_waves._make_wave

    def counted(project, name, by, folder, first):
        made.append(first)
        return real(project, name, by, folder, first)

    monkeypatch.setattr(import_waves, "_make_wave", counted)
    bench.build(*STAGES)
    assert made == ["00000"]


def test_rows_that_were_found_before_the_pool_changed_are_not_taken(
    bench_of: Callable[..., Bench], indexed: Bench, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "drop.csv", drop_of(pool_rows(indexed)))
    bench = bench_of(waved=source(path)).copied(tmp_path / "data")
    bench.build(*STAGES)
    tables = bench.project.workspace.tables
    first, second = bench.project.partitions
    import_waves.found_rows(bench.project, "waved", "uid", first)
    assert list(bench.project.workspace.scratch.rglob("*.parquet"))
    rows = tables.read(RAW_POOL, partition=second)
    tables.replace(RAW_POOL, {"partition": second}, rows.filter(is_usable()).head(20))
    found = import_waves.found_rows(bench.project, "waved", "uid", second)
    assert 0 < found["uid"].n_unique() <= 20


def test_a_resized_image_is_known_by_its_hash_before_and_after(tmp_path: Path) -> None:
    original = [hashlib.sha256(f"before {i}".encode()).hexdigest() for i in range(4)]
    samples = [(i, jpeg(i), original[i]) for i in range(3)] + [(3, jpeg(3)[:100], original[3])]
    members = {}
    for i, image, digest in samples:
        members[f"{i}.jpg"] = image
        members[f"{i}.json"] = json.dumps({"uid": f"{i:032x}", "sha256": digest}).encode()
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "00000000.tar").write_bytes(tar_of(members.items()))
    stored = [hashlib.sha256(image).hexdigest() for _, image, _ in samples]
    drop = [
        (original[0], "by the hash before"), (stored[0], "by the hash after, which comes second"),
        (stored[1], "by the hash after"), (original[3], "of a broken image"),
    ]  # fmt: skip
    pl.DataFrame(drop, schema=["sha256", "caption"], orient="row").write_csv(tmp_path / "drop.csv")
    spec = source(tmp_path / "drop.csv", by="sha256", conflicts="candidates")
    bench = Bench(tmp_path / "data", experiment(str(tmp_path / "pool"), {"third": spec}))
    bench.build(*STAGES)
    assert captions_of(bench, "third")["text"].to_list() == [
        "by the hash before", "by the hash after", None
    ]  # fmt: skip
    told = report_of(bench, "third", "pool")
    assert told["matched"] == 2
    assert (told["orphaned_keys"], told["keys_of_rejected_samples"]) == (0, 1)


def test_an_import_that_has_nothing_of_the_pool_says_so(
    bench_of: Callable[..., Bench], tmp_path: Path
) -> None:
    path = tmp_path / "drop.csv"
    path.write_text("uid,caption\n")
    bench = bench_of(nothing=source(path))
    bench.build(*STAGES)
    found = captions_of(bench, "nothing")
    assert found["reject_reason"].unique().to_list() == ["not_in_import"]
    told = report_of(bench, "nothing", "pool")
    assert (told["missing"], told["orphaned_keys"]) == (found.height, 0)
    assert bench.build(*STAGES) == []


def test_what_is_stored_is_what_was_recorded_and_leaves_with_its_source(
    bench_of: Callable[..., Bench], indexed: Bench, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "drop.csv", drop_of(pool_rows(indexed)))
    bench = bench_of(leaver=source(path))
    bench.build(*STAGES)
    for asset in ("imported_captions", "synthetic_captions", "import_reports"):
        node = bench.graph.nodes[f"{asset}/leaver"]
        for partition, record in bench.memory.records[node.key].items():
            assert node.stored_version(partition, {}) == record.data_version
    for check in bench.graph.nodes["synthetic_captions/leaver"].checks:
        assert check.evaluate(list(bench.project.partitions)).passed
    without = bench_of(bench.memory)
    leaving = {one.asset: one for one in without.graph.leaving() if "leaver" in one.asset}
    assert set(leaving) == {
        "imported_captions/leaver", "synthetic_captions/leaver", "import_reports/leaver"
    }  # fmt: skip
    for one in leaving.values():
        one.remove()
    tables = bench.project.workspace.tables
    for table in (IMPORTED_CAPTIONS, SYNTHETIC_CAPTIONS, IMPORT_REPORTS):
        assert not tables.has(table, {"source": "leaver"})
