"""A mix with copies, in every form that it is written in."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from recap_assets.artefacts.uids import read_subset
from recap_assets.graph.project import Project
from recap_assets_tests.exports.exported_pools import exported, pairs_of, samples_in, wanted_pairs


def copies_of(project: Project, *, gif: bool = True) -> Counter[str]:
    kept = {uid for uid, _ in wanted_pairs(project, "copied", gif=gif)}
    rows = pairs_of(project, "copied").select("uid", "copies").iter_rows()
    return Counter({uid.hex(): n for uid, n in rows if uid.hex() in kept})


def test_some_are_there_several_times_and_none_above_the_cap(project: Project) -> None:
    copies = copies_of(project)
    assert set(copies.values()) == {1, 2, 3, 4}


def test_a_subset_file_lists_a_uid_as_often_which_the_resharder_takes_as_upsampling(
    project: Project, tmp_path: Path
) -> None:
    held = exported(project, tmp_path, "copied", "subset").written.holdings()
    uids = read_subset(tmp_path / "sample_ids_raw.npy")
    assert Counter(uid.hex() for uid in uids) == copies_of(project)
    assert held.n_samples == copies_of(project).total()
    array = np.load(tmp_path / "sample_ids_raw.npy")
    assert np.array_equal(array, np.sort(array))


def test_tars_hold_a_pair_as_often_under_the_names_that_the_resharder_gives(
    project: Project, tmp_path: Path
) -> None:
    done = exported(project, tmp_path, "copied", "webdataset")
    keys = [sample["__key__"] for sample in samples_in(tmp_path)]
    wanted = copies_of(project, gif=False)
    assert sorted(keys) == sorted(f"{uid}-{i}" for uid, n in wanted.items() for i in range(n))
    assert done.written.n_samples == wanted.total()
    assert done.written.n_pairs == len(wanted)
    ids = Counter(uid.hex() for uid in read_subset(tmp_path / "sample_ids.npy"))
    assert ids == wanted


def test_parquet_has_a_column_and_says_so(project: Project, tmp_path: Path) -> None:
    exported(project, tmp_path, "copied", "huggingface")
    rows = [
        row
        for path in sorted(tmp_path.rglob("*.parquet"))
        for row in pq.read_table(path, columns=["uid", "copies"]).to_pylist()
    ]
    assert {row["uid"]: row["copies"] for row in rows} == copies_of(project)
    assert len(rows) == len(copies_of(project))
    assert "name: copies" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert '"copies"' in (tmp_path / "croissant.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("mix", ["paper", "each"])
def test_parquet_of_a_mix_without_copies_has_no_such_column(
    project: Project, tmp_path: Path, mix: str
) -> None:
    exported(project, tmp_path, mix, "huggingface", images=False)
    first = min(tmp_path.rglob("*.parquet"))
    assert "copies" not in pq.read_schema(first).names


def test_candidates_that_share_a_weight_go_to_the_folder_of_their_weight(
    project: Project, tmp_path: Path
) -> None:
    exported(project, tmp_path, "shared", "webdataset")
    assert {path.name for path in tmp_path.glob("weight_*")} == {"weight_0.5", "weight_1"}
    wanted = Counter(f"weight_{w:g}" for w in pairs_of(project, "shared")["weight"])
    gifs = (
        wanted_pairs(project, "shared", gif=True).total() - wanted_pairs(project, "shared").total()
    )
    held = {path.name: len(list(samples_in(path))) for path in tmp_path.glob("weight_*")}
    assert sum(held.values()) + gifs == wanted.total()
    assert held["weight_0.5"] > held["weight_1"] > 0
