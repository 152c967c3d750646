from pathlib import Path

import dagster as dg

from recap_assets.assembly.accounts import accounts
from recap_assets.cli.left_aside import left_aside, nothing_usable
from recap_assets.defs.run_failures import blocks, unfit_in_words
from recap_assets.shards.manifest import SkippedFile
from recap_assets_tests.pool.test_bad_input import bench_of, jpeg, real_pool, uid, write_shard


def test_files_are_counted_by_reason_with_names() -> None:
    files = [SkippedFile(f"{n}.tar.gz", "compressed: unpack it") for n in range(5)]
    files.append(SkippedFile("9\x1b[2J.tar", "not a tar: it is a web page", is_listed=True))
    assert list(left_aside(files)) == [
        "5 left aside: 0.tar.gz, 1.tar.gz, 2.tar.gz and 2 more (compressed: unpack it)",
        "1 set aside: 9\\x1b[2J.tar (not a tar: it is a web page)",
    ]


def test_a_pool_of_which_nothing_can_be_used_says_why(tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    write_shard(pool, 0, [("no uid", jpeg(1), "a boat"), ("none", jpeg(2), "a tree")])
    (pool / "1.tar.gz").touch()
    bench = bench_of(tmp_path, **real_pool(pool))
    bench.build("pool")
    told = nothing_usable(bench.project, next(accounts(bench.project)))
    assert told is not None
    assert "none of the pool's 2 samples can be used: 2 are bad_uid, such as 00000" in told
    assert "of shard 00000000; a uid is 32 hex digits" in told
    assert [file.name for file in bench.project.left_aside] == ["1.tar.gz"]
    (facts,) = bench.memory.facts_by_version.values()
    assert facts["files_left_aside_compressed"] == 1

    write_shard(pool, 1, [(uid(1), jpeg(3), "a dog")])
    bench.project.scan()
    bench.build("pool")
    assert nothing_usable(bench.project, next(accounts(bench.project))) is None


def test_a_check_that_fails_is_told_with_its_figures() -> None:
    found = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("raw_pool"),
        check_name="uids_are_unique",
        passed=False,
        metadata={"repeated_uids": dg.MetadataValue.int(3), "such_as": dg.MetadataValue.text("ab")},
        severity=dg.AssetCheckSeverity.ERROR,
        blocking=True,
    )
    assert blocks(found)
    assert unfit_in_words(found) == (
        "what was written to raw_pool fails its check uids_are_unique: repeated_uids 3, such_as ab"
    )
