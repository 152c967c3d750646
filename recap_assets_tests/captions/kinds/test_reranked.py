"""The best candidates of a source as a source of its own, alone and in the whole pipeline."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.diversity import DIVERSITY_SUMMARY
from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.artefacts.table import USABLE, is_usable
from recap_assets.assembly.accounts import accounts
from recap_assets.captions.kinds.reranked.assets import best_candidates
from recap_assets.graph.planner import plan
from recap_assets.mixes.of_image import explain_image
from recap_assets.mixes.stored_trial import trial
from recap_assets.specs.loading import ExperimentError
from recap_assets_tests.tiny import EXPERIMENT, Bench, Memory, tiny_experiment

CAPTIONS = pl.Schema(
    {"uid": pl.Binary, "candidate": pl.Int16, "text": pl.String, "status": pl.String}
)
SCORED = pl.Schema({"uid": pl.Binary, "candidate": pl.Int16, "score": pl.Float32})


@st.composite
def captioned(draw):
    rows, scores = [], []
    for i in range(draw(st.integers(0, 5))):
        for candidate in range(draw(st.integers(1, 5))):
            status = draw(st.sampled_from(["ok", "ok", "truncated", "empty", "error"]))
            rows.append((bytes([i]) * 16, candidate, f"{i} {candidate}", status))
            score = draw(st.sampled_from([None, 0.1, 0.2, 0.3]))
            if status in USABLE:
                scores.append((bytes([i]) * 16, candidate, score))
    return draw(st.permutations(rows)), scores


@given(captioned=captioned(), keep=st.integers(1, 4))
@settings(max_examples=80)
def test_the_best_are_kept_by_score_and_ties_by_number(captioned, keep):
    rows, scores = captioned
    by_place = {(uid, candidate): score for uid, candidate, score in scores}
    expected = []
    for uid in sorted({row[0] for row in rows}):
        of_image = sorted(row for row in rows if row[0] == uid)
        good = [row for row in of_image if row[3] in USABLE]
        good.sort(key=lambda r: np.inf if by_place[r[:2]] is None else -by_place[r[:2]])
        kept = good[:keep] if good else of_image[:1]
        expected += [
            (uid, i, text, status, by_place.get((uid, candidate)))
            for i, (_, candidate, text, status) in enumerate(kept)
        ]
    found = best_candidates(
        pl.DataFrame(rows, schema=CAPTIONS, orient="row"),
        pl.DataFrame(scores, schema=SCORED, orient="row"),
        keep,
    )
    plain = pl.DataFrame(expected, schema={**CAPTIONS, "score": pl.Float32}, orient="row")
    assert found.select(plain.columns).equals(plain)


def reranked(source: str, scorer: str, **more: Any) -> dict[str, Any]:
    return {"kind": "reranked", "source": source, "scorer": scorer, **more}


@pytest.mark.parametrize(
    ("sources", "told"),
    [
        ({"best": reranked("raww", "clip")}, "sources.best.source: there is no 'raww'"),
        ({"best": reranked("a", "l14")}, "sources.best.scorer: there is no 'l14'; known are clip"),
        ({"x": reranked("y", "clip"), "y": reranked("x", "clip")}, "each other in a circle"),
        ({"x": reranked("x", "clip")}, "sources.x.source: the sources are made of each other"),
        ({"x": reranked("a", "clip", keep=0)}, "sources.x.reranked.keep"),
    ],
)
def test_what_cannot_be_ranked_is_refused_in_words(sources: dict[str, Any], told: str) -> None:
    with pytest.raises(ExperimentError) as caught:
        tiny_experiment(sources={**EXPERIMENT["sources"], **sources})
    assert told.replace(".reranked", "") in str(caught.value).replace(".reranked", "")


SCORERS = {
    "clip": {"kind": "embedded", "model": "scorer"},
    "other": {"kind": "embedded", "model": "second"},
}


def cascade(drop: Path) -> dict[str, Any]:
    """A captioner's four candidates, of which one scorer keeps two and the other picks one."""
    mixed = [
        {"use": "raw", "where": {"top": 0.3}},
        {"use": "best_two", "candidates": "all", "where": {"top": 0.5}},
        {"use": {"each": {"third": 1, "raw": 2}}, "candidates": 2, "weight": 2},
    ]
    mixes = {
        "mixed": {"rules": mixed, "scorer": "clip", "leave_one_source_out": True},
    }
    return {
        "models": {**EXPERIMENT["models"], "second": {**EXPERIMENT["models"]["scorer"], "seed": 5}},
        "sources": {
            "a": {**EXPERIMENT["sources"]["a"], "candidates": 4},
            "best_two": reranked("a", "clip", keep=2),
            "best": reranked("best_two", "other"),
            "third": {
                "kind": "import", "files": str(drop), "caption": "c", "conflicts": "candidates",
            },
        },
        "scorers": SCORERS,
        "mixes": mixes,
        "report": {"mixed": ["mixed"], "examples": 2},
    }  # fmt: skip


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("data")
    drop = folder / "drop.csv"
    drop.write_text("uid,c\n")
    memory = Memory()
    bench = Bench(folder, tiny_experiment(**cascade(drop)), memory)
    bench.build("world", "pool")
    uids = bench.project.workspace.tables.read(RAW_POOL)["uid"].sort()[:40]
    with drop.open("w", newline="") as file:
        rows = [
            (uid.hex(), f"words {i} {n}") for i, uid in enumerate(uids) for n in range(1 + i % 3)
        ]
        csv.writer(file).writerows([("uid", "c"), *rows])
    bench.build()
    return bench


def test_the_cascade_keeps_the_best_of_the_best(bench: Bench) -> None:
    tables = bench.project.workspace.tables
    at = ["uid", "candidate"]
    written = tables.read(SYNTHETIC_CAPTIONS, source="a").filter(is_usable())
    scored = written.join(tables.read(CLIP_SCORES, source="a", scorer="clip"), on=at)
    ranks = scored.sort("uid", "score", "candidate", descending=[False, True, False])
    two = ranks.group_by("uid", maintain_order=True).head(2)
    kept = tables.read(SYNTHETIC_CAPTIONS, source="best_two").sort(*at)
    assert kept["text"].to_list() == two["text"].to_list()
    assert kept.group_by("uid").len()["len"].unique().to_list() == [2]
    assert kept["candidate"].to_list() == [0, 1] * 60
    other = tables.read(CLIP_SCORES, source="best_two", scorer="other")
    picked = kept.join(other, on=at).sort(
        "uid", "score", "candidate", descending=[False, True, False]
    )
    expected = picked.group_by("uid", maintain_order=True).head(1)
    best = tables.read(SYNTHETIC_CAPTIONS, source="best").sort("uid")
    assert best["text"].to_list() == expected["text"].to_list()
    assert best["log_probability"].equals(expected["log_probability"])


def test_a_mix_trains_on_every_candidate_asked_for(bench: Bench) -> None:
    pairs = bench.project.workspace.tables.read(CURATED_MIXES, mix="mixed")
    of_rule = pairs.filter(pl.col("rule") == 1).group_by("uid").agg("candidate", "weight", "source")
    assert of_rule.height > 0
    assert {tuple(sorted(row)) for row in of_rule["candidate"].to_list()} == {(0, 1)}
    assert {tuple(row) for row in of_rule["weight"].to_list()} == {(0.5, 0.5)}
    last = pairs.filter(pl.col("rule") == 2)
    weights = last.group_by("uid", "source").agg(pl.col("weight").sum())
    assert set(weights.select("source", "weight").iter_rows()) == {("raw", 4.0), ("third", 2.0)}
    assert last.filter(pl.col("source") == "third").group_by("uid").len()["len"].max() == 2


def test_every_image_is_explained_as_it_was_selected(bench: Bench) -> None:
    uids = bench.project.workspace.tables.read(RAW_POOL)["uid"][:6]
    for uid in uids:
        for answer in explain_image(bench.project, uid.hex()).mixes:
            assert answer.problem is None


def test_trying_the_mixes_counts_what_building_them_gave(bench: Bench) -> None:
    counted = trial(bench.project).select("mix", "n_pairs").sort("mix")
    built = bench.project.workspace.tables.read(CURATED_MIXES)
    assert counted.rows() == built.group_by("mix").len().sort("mix").rows()


def test_report_accounts_and_checks_know_the_new_sources(bench: Bench) -> None:
    names = {account.what for account in accounts(bench.project)}
    assert {"synthetic_captions/third", "synthetic_captions/best"} <= names
    page = bench.project.workspace.report.read_text()
    assert "not_in_import" in page
    assert "<span>without best_two</span>" in page
    summary = bench.project.workspace.tables.read(DIVERSITY_SUMMARY)
    assert set(summary["source"]) == {"raw", "a", "best_two", "best", "third"}
    for node in bench.graph.nodes.values():
        for check in node.checks:
            verdict = check.evaluate(bench.graph.partitions(node))
            assert verdict.passed or not check.blocking, (node.key, check.name)


def test_what_is_kept_rebuilds_what_reads_it_and_no_caption(bench: Bench) -> None:
    content = cascade(bench.project.workspace.data / "drop.csv")
    content["sources"]["best"] = reranked("best_two", "clip")
    again = Bench(bench.project.workspace.data, tiny_experiment(**content), bench.memory)
    ready = [entry for entry in plan(again.graph, again.memory).ready if entry.state != "leaving"]
    assert {entry.asset for entry in ready} == {"synthetic_captions/best"}
    assert ready[0].reason.startswith("reranked.scorer other → clip; reads ")
