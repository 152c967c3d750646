"""A sample that was forgotten is nowhere; what remains can be verified, and is built on."""

import fcntl
import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from recap_assets.artefacts.catalogue import all_tables
from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import Table
from recap_assets.defs.session import Session
from recap_assets.storage.files import write_atomically
from recap_assets.storage.locks import JOURNAL
from recap_assets_tests.assembly.forgetting.scene import Scene
from recap_assets_tests.assembly.forgetting.searched import Wanted, found_in
from recap_assets_tests.cli.running import Recap
from recap_assets_tests.cli.shards_built import build
from recap_assets_tests.cli.test_json import form_of


def a_sample(scene: Scene) -> tuple[Mapping[str, Any], Wanted]:
    """One whose text is the greatest, so that Delta's log has it."""
    row = scene.samples().sort("text").row(-1, named=True)
    return row, scene.wanted(row, Session(scene.file).project)


def forget(recap: Recap, *words: object) -> dict[str, Any]:
    done = recap("forget", *words, "--yes", "--json")
    assert done.exit_code == 0, done.output
    return form_of("forget", done.stdout)


def n_of(scene: Scene, table: Table, uid: bytes) -> int:
    return scene.workspace.tables.read(table).filter(pl.col("uid") == uid).height


def test_no_file_holds_it_any_more(recap: Recap, scene: Scene) -> None:
    row, wanted = a_sample(scene)
    before = found_in(scene.data, wanted)
    for place in ("raw_pool", "curated_mixes", "synthetic_captions", "_delta_log", "event_log.db",
                  "world/pool", "exports/tars", "exports/uids", "exports/hub"):  # fmt: skip
        assert any(place in path for path, _ in before), place
    certificate = forget(recap, "--uid", row["uid"].hex())
    assert found_in(scene.data, wanted) == set()
    assert certificate["remaining"] == []
    (of_experiment,) = certificate["experiments"]
    assert of_experiment["rows"]["raw_pool"] == 1
    assert of_experiment["mixes"] == ["raw", "top"]
    assert {"small/exports/tars", "small/exports/uids"} <= {*of_experiment["files"]}
    (written,) = scene.folder.glob("forgotten-*.json")
    assert json.loads(written.read_text()) == certificate
    assert row["uid"].hex() not in written.read_text()
    assert not (scene.data / JOURNAL).exists()


def test_what_remains_is_whole_and_verified(recap: Recap, scene: Scene) -> None:
    row, _ = a_sample(scene)
    kept = {
        name: scene.workspace.tables.read(table)
        for name, table in all_tables().items()
        if "uid" in table.columns
    }
    forget(recap, "--uid", row["uid"].hex())
    for name, rows in kept.items():
        now = scene.workspace.tables.read(all_tables()[name])
        left = rows.filter(pl.col("uid") != row["uid"])
        of_others = now.filter(pl.col("uid").is_in(left["uid"].implode()))
        assert_frame_equal(of_others, left, check_row_order=False)
    for asset in ("raw_pool", "curated_mixes/top", "diversity_summary"):
        done = recap("-e", scene.file, "verify", asset)
        assert done.exit_code == 0, done.output
        assert "all equal" in done.output


def test_it_is_counted_where_people_look(recap: Recap, scene: Scene) -> None:
    row, _ = a_sample(scene)
    forget(recap, "--uid", row["uid"].hex())
    assert "1 forgotten" in recap("-e", scene.file, "status").output
    pool = scene.workspace.tables.read(RAW_POOL)
    (found,) = pool.filter(pl.col("reject_reason") == "forgotten").to_dicts()
    said = {"partition", "shard", "uid", "key", "status", "reject_reason"}
    assert all(value is None for name, value in found.items() if name not in said)
    assert found["shard"] == row["shard"]
    assert pool.height == 45


def test_only_what_depends_on_it_is_out_of_date(recap: Recap, scene: Scene) -> None:
    row, _ = a_sample(scene)
    forget(recap, "--uid", row["uid"].hex())
    planned = json.loads(recap("-e", scene.file, "plan", "--json").stdout)
    stale = {(one["asset"], one["partition"]) for one in planned}
    here = f"{row['shard']:05d}"
    assert not {asset for asset, _ in stale} & {
        "embedded_world/pool", "raw_pool", "synthetic_captions/t",
    }  # fmt: skip
    assert {place for asset, place in stale if asset == "clip_scores/w/raw"} == {here}
    (scores,) = (one for one in planned if one["asset"] == "clip_scores/w/raw")
    assert (scores["rows_to_compute"], scores["rows_to_reuse"]) == (0, 14)


def test_the_next_command_says_that_the_records_were_taken_and_not_that_they_were_lost(
    recap: Recap, scene: Scene
) -> None:
    row, _ = a_sample(scene)
    forget(recap, "--uid", row["uid"].hex())
    told = recap("-e", scene.file, "plan").stderr
    assert "`recap forget` took the events of small away, with the texts in them: " in told
    assert "records were recreated from the table lineage" in told
    assert "were gone" not in told
    assert recap("-e", scene.file, "plan").stderr == ""


def test_what_is_built_then_has_all_others_and_not_it(recap: Recap, scene: Scene) -> None:
    row, wanted = a_sample(scene)
    forget(recap, "--uid", row["uid"].hex())
    session = Session(scene.file)
    build(scene.file, *session.graph.nodes)
    assert recap("-e", scene.file, "plan", "--check").exit_code == 0
    assert found_in(scene.data, wanted) == set()
    mixed = scene.workspace.tables.read(CURATED_MIXES, mix="raw")
    assert mixed.height == 44
    assert (scene.data / "small/exports/tars/shards.json").exists()


def test_every_later_index_refuses_it(recap: Recap, scene: Scene) -> None:
    row, wanted = a_sample(scene)
    forget(recap, "--uid", row["uid"].hex())
    before = scene.workspace.tables.read(RAW_POOL)
    build(scene.file, "raw_pool", tags={"recap/force": "true"})
    assert scene.workspace.tables.read(RAW_POOL).equals(before)
    # Drawn again, from the seed, the tar has it for a moment only.
    build(scene.file, "embedded_world/pool", "raw_pool", tags={"recap/force": "true"})
    assert scene.workspace.tables.read(RAW_POOL).equals(before)
    assert found_in(scene.data, wanted) == set()


def test_a_text_that_another_sample_has_stays_with_that(recap: Recap, scene: Scene) -> None:
    first, second = scene.samples().head(2).to_dicts()
    tables = scene.workspace.tables
    at = {"partition": first["partition"]}
    same = pl.when(pl.col("uid") == first["uid"]).then(pl.lit(second["text"])).otherwise("text")
    tables.replace(RAW_POOL, at, tables.read(RAW_POOL, None, **at).with_columns(text=same))
    certificate = forget(recap, "--uid", first["uid"].hex())
    assert certificate["shared_texts"] == 1
    left = tables.read(RAW_POOL).filter(pl.col("uid") == second["uid"])
    assert left["text"].to_list() == [second["text"]]
    assert n_of(scene, RAW_POOL, first["uid"]) == 0
    # Something that no build wrote counts as nothing, and is built again.
    planned = json.loads(recap("-e", scene.file, "plan", "--json").stdout)
    assert ("raw_pool", first["partition"]) in {(one["asset"], one["partition"]) for one in planned}


def test_images_are_forgotten_by_their_hash_and_by_their_url(recap: Recap, scene: Scene) -> None:
    first, second, unknown = scene.samples().head(3).to_dicts()
    hashes, urls = scene.folder / "hashes", scene.folder / "urls"
    hashes.write_text(f"{first['sha256'].hex()}  image.jpg\n\n{'01' * 32}\n")
    urls.write_text(f"{second['url']}\nhttps://example.org/not-there.jpg\n")
    certificate = forget(recap, "--sha256", hashes, "--url-list", urls)
    assert len(certificate["samples"]) == 2
    assert [n_of(scene, CURATED_MIXES, one["uid"]) for one in (first, second, unknown)] == [0, 0, 2]
    refused = scene.workspace.refused
    assert refused.refuses("sha256", bytes.fromhex("01" * 32))
    assert refused.refuses("url", "https://example.org/not-there.jpg")
    assert not refused.refuses("uid", unknown["uid"])


def test_a_dry_run_and_a_no_change_nothing(recap: Recap, scene: Scene) -> None:
    row, wanted = a_sample(scene)
    before = found_in(scene.data, wanted)
    shown = recap("forget", "--uid", row["uid"].hex(), "--dry-run")
    assert (shown.exit_code, "curated_mixes" in shown.output) == (0, True)
    assert "Nothing was removed" in recap(
        "forget", "--uid", row["uid"].hex(), answer="n\n"
    ).output  # fmt: skip
    assert recap("forget", "--uid", row["uid"].hex()).exit_code == 1
    assert found_in(scene.data, wanted) == before
    assert not list(scene.folder.glob("forgotten-*.json"))


def test_an_unknown_uid_is_an_error_with_those_that_are_near(recap: Recap, scene: Scene) -> None:
    uid = scene.samples()["uid"][0].hex()
    slip = uid[:-1] + ("0" if uid[-1] != "0" else "1")
    done = recap("forget", "--uid", slip, "--yes")
    assert f"no experiment in the data folder has the uid {slip}; did you mean {uid}?" in str(
        done.exception
    )
    assert not (scene.data / JOURNAL).exists()
    assert not scene.workspace.refused


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name what is to be forgotten"),
        (("--uid", "abc"), "'abc' is no uid"),
        (("--sha256", "bad"), "line 1 of bad is 'x', not 64 hex digits"),
        (("--url-list", "bad"), "line 1 of bad is 'x', not a URL"),
        (("--url-list", "gone"), "gone cannot be read"),
    ],
)
def test_what_is_no_name_is_said_so(
    recap: Recap, scene: Scene, words: tuple[str, ...], said: str
) -> None:
    (scene.folder / "bad").write_text("x\n")
    assert said in str(recap("forget", *words, "--yes").exception)


def test_nothing_is_forgotten_while_something_is_built(recap: Recap, scene: Scene) -> None:
    row, wanted = a_sample(scene)
    before = found_in(scene.data, wanted)
    with scene.workspace.claims.hold("raw_pool [00000]"):
        done = recap("forget", "--uid", row["uid"].hex(), "--yes")
    assert "small is being built (raw_pool [00000])" in str(done.exception)
    assert found_in(scene.data, wanted) == before
    assert not (scene.data / JOURNAL).exists()


def test_nothing_is_built_while_a_removal_is_unfinished(recap: Recap, scene: Scene) -> None:
    write_atomically(scene.data / JOURNAL, b"{}")
    with (
        pytest.raises(Exception, match="call it again to complete it"),
        scene.workspace.claims.hold("raw_pool [00000]"),
    ):
        pass
    done = recap("forget", "--yes")
    assert "the journal of a removal that was interrupted, cannot be read" in str(done.exception)


def test_receipts_pin_nothing_that_is_gone(recap: Recap, scene: Scene) -> None:
    row, _ = a_sample(scene)
    assert recap("-e", scene.file, "pin", "curated_mixes/top", "paper").exit_code == 0
    certificate = forget(recap, "--uid", row["uid"].hex())
    assert certificate["experiments"][0]["receipts"] == ["paper"]
    done = recap("-e", scene.file, "gc", "--dry-run")
    assert (done.exit_code, "left alone" in done.output) == (0, False)


def test_the_lineage_has_one_row_for_each_that_it_had(recap: Recap, scene: Scene) -> None:
    row, _ = a_sample(scene)
    keys = ["asset", "partition", "event_id"]
    before = scene.workspace.tables.read(LINEAGE).select(keys).sort(keys)
    forget(recap, "--uid", row["uid"].hex())
    after = scene.workspace.tables.read(LINEAGE).select(keys).sort(keys)
    gone = before.join(after, on=keys, how="anti")["asset"].unique()
    assert all(asset.startswith(("exports/", "export_shards/", "report")) for asset in gone)
    assert after.height + before.join(after, on=keys, how="anti").height == before.height


def test_nothing_is_forgotten_while_the_daemon_runs(recap: Recap, scene: Scene) -> None:
    row, wanted = a_sample(scene)
    before = found_in(scene.data, wanted)

    def beat(age: timedelta) -> None:
        with closing(sqlite3.connect(scene.workspace.instance / "runs.db")) as runs, runs:
            at = str((datetime.now(UTC) - age).replace(tzinfo=None))
            runs.execute(
                "INSERT OR REPLACE INTO daemon_heartbeats (daemon_type, daemon_id, timestamp, body)"
                " VALUES ('SENSOR', 'a', ?, '')", (at,),
            )  # fmt: skip

    beat(timedelta(seconds=10))
    done = recap("forget", "--uid", row["uid"].hex(), "--yes")
    assert "Dagster's daemon is at work" in str(done.exception)
    assert found_in(scene.data, wanted) == before
    assert not (scene.data / JOURNAL).exists()
    beat(timedelta(minutes=10))
    forget(recap, "--uid", row["uid"].hex())


def test_a_damaged_receipt_stops_everything(recap: Recap, scene: Scene) -> None:
    row, _ = a_sample(scene)
    scene.workspace.receipts.mkdir()
    (scene.workspace.receipts / "paper.json").write_text("{")
    done = recap("forget", "--uid", row["uid"].hex(), "--yes")
    assert "paper.json cannot be read" in str(done.exception)
    assert not (scene.data / JOURNAL).exists()


def test_two_at_once_are_refused(recap: Recap, scene: Scene) -> None:
    row, _ = a_sample(scene)
    with (scene.data / ".forgetting.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = recap("forget", "--uid", row["uid"].hex(), "--yes")
    assert "another `recap forget` is at work" in str(done.exception)


def test_a_folder_that_is_none_is_said_so(recap: Recap, tmp_path: Path) -> None:
    done = recap("--data", tmp_path / "none", "forget", "--uid", "0" * 32, "--yes")
    assert "there is no data folder" in str(done.exception)
