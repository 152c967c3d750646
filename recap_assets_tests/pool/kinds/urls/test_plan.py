"""A row keeps its shard for life."""

from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from recap_assets.pool.kinds.urls import UrlPool
from recap_assets.pool.kinds.urls.plan import Plan, make_plan, read_plan, read_rows
from recap_assets_tests.shards.building import uid_of


def write_list(folder: Path, seeds: list[int], name: str = "list", text: str = "t") -> None:
    (folder / "lists").mkdir(exist_ok=True)
    frame = pl.DataFrame(
        {
            "uid": [uid_of(seed) for seed in seeds],
            "url": [f"https://example.org/{seed}" for seed in seeds],
            "text": [text] * len(seeds),
        },
        schema=dict.fromkeys(("uid", "url", "text"), pl.String),
    )
    frame.write_parquet(folder / "lists" / f"{name}.parquet")


def planned(folder: Path, **changes: object) -> Plan:
    given = {"kind": "urls", "urls": str(folder / "lists"), "samples_per_shard": 4, **changes}
    return make_plan(UrlPool.model_validate(given), folder / "plan")


def shards_of(folder: Path, plan: Plan) -> dict[str, int]:
    return {
        uid.hex(): number
        for number in plan.shards
        for uid in read_rows(folder / "plan", number)["uid"]
    }


def test_a_file_is_cut_into_shards_of_the_size_asked_for(tmp_path: Path) -> None:
    write_list(tmp_path, list(range(10)))
    write_list(tmp_path, list(range(20, 23)), "more")
    plan = planned(tmp_path)
    assert [shard.n_rows for shard in plan.shards.values()] == [4, 4, 2, 3]
    assert plan == read_plan(tmp_path / "plan") == planned(tmp_path)


def test_appended_rows_get_new_shards_and_leave_the_others_alone(tmp_path: Path) -> None:
    write_list(tmp_path, list(range(6)))
    before = planned(tmp_path)
    write_list(tmp_path, [99, *range(6), 100])
    after = planned(tmp_path)
    assert {n: after.shards[n] for n in before.shards} == before.shards
    assert [after.shards[n].n_rows for n in after.shards.keys() - before.shards.keys()] == [2]


def test_a_changed_caption_changes_its_shard_only(tmp_path: Path) -> None:
    write_list(tmp_path, list(range(4)), "a")
    write_list(tmp_path, list(range(4, 8)), "b")
    before = planned(tmp_path)
    write_list(tmp_path, list(range(4, 8)), "b", text="another")
    after = planned(tmp_path)
    changed = [n for n in before.shards if before.shards[n] != after.shards[n]]
    assert changed == [before.files["b.parquet"][1][0]]


def test_numbers_are_never_given_twice(tmp_path: Path) -> None:
    write_list(tmp_path, list(range(4)), "a")
    write_list(tmp_path, list(range(4, 8)), "b")
    planned(tmp_path)
    (tmp_path / "lists" / "b.parquet").unlink()
    assert list(planned(tmp_path).shards) == [0]
    write_list(tmp_path, list(range(4, 8)), "c")
    assert list(planned(tmp_path).shards) == [0, 2]


def test_another_column_reads_the_whole_list_again(tmp_path: Path) -> None:
    write_list(tmp_path, list(range(4)))
    before = planned(tmp_path)
    after = planned(tmp_path, caption_column="url")
    assert list(after.shards) == list(before.shards)
    assert after.shards[0].version != before.shards[0].version


@settings(max_examples=25)
@given(
    lists=st.lists(st.lists(st.integers(0, 30), unique=True, min_size=1), min_size=2, max_size=5)
)
def test_a_row_stays_where_it_was_whatever_the_edits(
    lists: list[list[int]], tmp_path_factory: object
) -> None:
    folder = tmp_path_factory.mktemp("plan")  # type: ignore[attr-defined]
    places: dict[str, int] = {}
    for seeds in lists:
        write_list(folder, seeds)
        now = shards_of(folder, planned(folder))
        assert now.keys() == {uid_of(seed) for seed in seeds}
        assert {uid: now[uid] for uid in places if uid in now} == {
            uid: place for uid, place in places.items() if uid in now
        }
        places = now


def test_the_order_of_the_list_changes_no_version(tmp_path: Path) -> None:
    write_list(tmp_path, list(range(8)))
    before = planned(tmp_path)
    write_list(tmp_path, list(range(8))[::-1])
    assert planned(tmp_path).shards == before.shards
