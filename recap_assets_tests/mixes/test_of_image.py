"""What became of one image, as the tables say it."""

import json
from pathlib import Path

import polars as pl
import pytest

from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.graph.project import Project
from recap_assets.mixes.of_image import UidError, answer_as_json, explain_image, uid_range
from recap_assets_tests.mixes.written_mixes import (
    HOSTILE,
    MIXES,
    build_mixes,
    built_pool,
    mixes_experiment,
    uid_of,
    write_captions,
    write_scores,
    written_pool,
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return built_pool(tmp_path_factory.mktemp("data"))


def test_for_every_image_and_mix_the_explanation_is_what_is_stored(project: Project) -> None:
    stored = project.workspace.tables.read(CURATED_MIXES)
    for number in (3, 5, 7, 19, *range(0, 60, 9)):
        answer = explain_image(project, uid_of(number).hex())
        if not answer.is_usable:
            assert answer.mixes == ()
            continue
        assert [one.mix for one in answer.mixes] == list(MIXES)
        for one in answer.mixes:
            rows = stored.filter(
                (pl.col("mix") == one.mix) & (pl.col("uid") == pl.lit(uid_of(number)))
            )
            assert one.problem is None
            assert one.stored.height == rows.height
            assert one.explanation is not None
            takes = {rule.rule for rule in one.explanation.rules if rule.outcome == "takes"}
            assert takes == set(rows["rule"])


def test_it_tells_where_the_image_is_and_all_its_captions(project: Project) -> None:
    answer = explain_image(project, uid_of(3).hex().upper(), "mixed")
    [sample] = answer.samples.to_dicts()
    assert sample["key"] == "00003"
    assert (sample["partition"], sample["shard"], sample["shard_name"]) == ("00000", 0, "00000000")
    assert answer.captions["text"].to_list() == [HOSTILE, "caption of image 3"]
    assert answer.captions["score.clip"].null_count() == 0
    assert answer.captions["score.clip"].to_list() != answer.captions["score.other"].to_list()
    assert [one.mix for one in answer.mixes] == ["mixed"]


def test_a_sample_that_was_set_aside_says_why(project: Project) -> None:
    answer = explain_image(project, uid_of(19).hex())
    assert not answer.is_usable
    assert answer.samples["reject_reason"].to_list() == ["too_small"]
    assert answer.captions["text"].to_list() == ["raw words of image 19"]
    assert answer.captions["score.clip"].to_list() == [None]


def test_the_json_is_plain(project: Project) -> None:
    told = json.loads(json.dumps(answer_as_json(explain_image(project, uid_of(5).hex()))))
    assert told["uid"] == uid_of(5).hex()
    mixed = {one["mix"]: one for one in told["mixes"]}["mixed"]
    assert mixed["agrees"] is mixed["in_mix"] is True
    assert mixed["pairs"] == mixed["stored"]
    assert [rule["outcome"] for rule in mixed["rules"]] == ["passes_on", "takes"]
    assert mixed["rules"][0]["where"]["holds"] is None


def test_a_unique_beginning_of_a_uid_is_enough(project: Project) -> None:
    for length in (6, 7, 31):
        assert explain_image(project, uid_of(4).hex()[:length], "raw").uid == uid_of(4)


@pytest.mark.parametrize("text", ["", "abcde", "0x1234", "g" * 32, "0" * 33, "\u0661" * 6])
def test_what_is_no_uid_is_refused(project: Project, text: str) -> None:
    with pytest.raises(UidError, match="a uid is 32 hex digits, or at least its first 6"):
        explain_image(project, text)


def test_an_unknown_uid_is_told(project: Project) -> None:
    with pytest.raises(UidError, match=f"no sample of the pool has the uid {'0' * 32}"):
        explain_image(project, "0" * 32)


def test_a_beginning_of_several_uids_lists_them(tmp_path: Path) -> None:
    project = written_pool(tmp_path)
    raw = project.workspace.tables.read(RAW_POOL, partition="00000")
    uids = [b"\xab\xcd\xef" + bytes([i]) * 13 for i in range(raw.height)]
    alike = raw.with_columns(uid=pl.Series(uids, dtype=pl.Binary)).drop("partition")
    project.workspace.tables.replace(RAW_POOL, {"partition": "00000"}, alike)
    with pytest.raises(UidError, match=r"20 uids begin with abcdef: abcdef0.* and 15 more; give"):
        explain_image(project, "abcdef")
    assert explain_image(project, "abcdef03", "raw").uid == uids[3]
    with pytest.raises(UidError, match="16 uids begin with abcdef0: "):
        explain_image(project, "abcdef0")


def test_the_range_of_an_odd_number_of_digits() -> None:
    assert uid_range("abcdef0") == (
        b"\xab\xcd\xef" + b"\x00" * 13,
        b"\xab\xcd\xef\x0f" + b"\xff" * 12,
    )


def test_what_is_not_built_or_out_of_date_is_said(tmp_path: Path) -> None:
    project = written_pool(tmp_path)
    uid = uid_of(21).hex()
    [unbuilt] = explain_image(project, uid, "mixed").mixes
    assert unbuilt.explanation is None
    assert unbuilt.problem is not None
    assert "rules.0.where.top is not built" in unbuilt.problem
    build_mixes(project)
    write_captions(project.workspace.tables, "00001", {21: "another caption"})
    write_scores(project.workspace.tables, "clip", "a", "00001", {21: 0.9})
    write_scores(project.workspace.tables, "clip", "raw", "00001", {21: 0.0})
    [stale] = explain_image(project, uid, "mixed").mixes
    assert stale.problem is not None
    assert "curated_mixes/mixed[00001] is not built yet or out of date" in stale.problem
    assert stale.explanation is not None
    assert stale.explanation.pairs["text"].to_list() == ["another caption"]
    rules = [{"use": "raw", "where": {"top": 0.31}}]
    edited = mixes_experiment(mixes={**MIXES, "mixed": {"scorer": "clip", "rules": rules}})
    [unrealised] = explain_image(Project(edited, project.workspace), uid, "mixed").mixes
    assert unrealised.explanation is None
    assert unrealised.problem is not None
    assert "as the file asks for it" in unrealised.problem
    assert unrealised.stored.height == 1
