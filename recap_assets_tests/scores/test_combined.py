"""Combined scores, uid for uid beside plain numpy, and as assets."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from safetensors.numpy import save_file
from scipy.stats import rankdata

from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.scores import CLIP_SCORES, IMAGE_SCORES, SCORE_SCALES
from recap_assets.scores.kinds.combined import CombinedScorer
from recap_assets.scores.kinds.combined.assets import combined
from recap_assets.scores.kinds.combined.scaling import facts_of, scaled
from recap_assets.specs.loading import ExperimentError
from recap_assets_tests.tiny import EXPERIMENT, Bench, tiny_experiment

N = 12_000
PARTS = 7
SCALES = ("raw", "z", "rank", "minmax")
CLIP = EXPERIMENT["scorers"]["clip"]


def drawn(seed: int) -> NDArray[np.float32]:
    """Scores of a pool, with ties, repeats and nulls (NaN)."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(0.2, 0.1, N).astype(np.float32)
    scores[::5] = np.round(scores[::5], 2)
    scores[generator.random(N) < 0.03] = np.nan
    return scores


def plainly(scale: str, scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """The scale by numpy and scipy over the whole pool at once."""
    there = ~np.isnan(scores)
    wide, found = scores[there].astype(np.float64), np.full(N, np.nan)
    if scale == "raw":
        found[there] = wide
    elif scale == "z":
        found[there] = (wide - wide.mean()) / wide.std()
    elif scale == "minmax":
        found[there] = (wide - wide.min()) / (wide.max() - wide.min())
    else:
        bins = np.floor((wide + 1) / 1e-4)
        found[there] = (rankdata(bins) - 0.5) / len(wide)
    return found


def pool_facts(scale: str, scores: NDArray[np.float32]) -> pl.DataFrame:
    parts = np.array_split(scores, PARTS)
    return facts_of(scale, [part[~np.isnan(part)] for part in parts])  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", SCALES)
def test_a_scale_of_parts_is_that_of_the_whole_pool(scale: str) -> None:
    scores = drawn(1)
    found = scaled(scale, scores, pool_facts(scale, scores))  # type: ignore[arg-type]
    np.testing.assert_allclose(found, plainly(scale, scores), rtol=0, atol=1e-12)


@pytest.mark.parametrize("how", ["sum", "product", "min", "max"])
def test_combined_scores_are_those_of_plain_numpy(how: str) -> None:
    columns = [drawn(seed) for seed in range(4)]
    weights = [1.0, 0.5, -2.0, 3.0] if how == "sum" else [1.0] * 4
    spec = CombinedScorer.model_validate(
        {
            "kind": "combined",
            "how": how,
            "of": [
                {"scorer": f"s{i}", "scale": scale, "weight": weights[i]}
                for i, scale in enumerate(SCALES)
            ],
        }
    )
    facts = [
        pool_facts(scale, column).with_columns(part=pl.lit(i, pl.Int16))
        for i, (scale, column) in enumerate(zip(SCALES, columns, strict=True))
    ]
    rows = pl.DataFrame({f"part{i}": pl.Series(c).fill_nan(None) for i, c in enumerate(columns)})
    found = combined(spec, rows, pl.concat(facts))
    plain = [w * plainly(s, c) for w, s, c in zip(weights, SCALES, columns, strict=True)]
    by = {"sum": np.sum, "product": np.prod, "min": np.min, "max": np.max}[how]
    expected = by(np.stack(plain), axis=0).astype(np.float32)  # NaN where one of them is
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    assert 0 < np.isnan(found).sum() < N / 4
    np.testing.assert_array_almost_equal_nulp(np.nan_to_num(found), np.nan_to_num(expected), nulp=1)
    best = np.argsort(-np.nan_to_num(expected, nan=-9e9), kind="stable")[: N // 10]
    assert set(best) == set(np.argsort(-np.nan_to_num(found, nan=-9e9), kind="stable")[: N // 10])


def test_a_rank_over_another_source_counts_what_is_below() -> None:
    facts = facts_of("rank", [np.array([0.1, 0.3, 0.3, 0.5], np.float32)])
    scores = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.9], np.float32)
    assert scaled("rank", scores, facts).tolist() == [0, 0.125, 0.25, 0.5, 0.75, 1]


@pytest.mark.parametrize("scale", ["z", "minmax"])
def test_scores_that_are_all_the_same_are_0(scale: Any) -> None:
    scores = np.full(5, 0.3, np.float32)
    assert scaled(scale, scores, facts_of(scale, [scores, scores])).tolist() == [0] * 5
    assert scaled(scale, scores, facts_of(scale, [])).tolist() == [0] * 5


def test_what_has_no_float32_is_no_score() -> None:
    parts = [{"scorer": "a"}, {"scorer": "b"}]
    spec = CombinedScorer.model_validate({"kind": "combined", "how": "product", "of": parts})
    rows = pl.DataFrame({"part0": [1e30, 2.0], "part1": [1e30, 3.0]})
    found = combined(spec, rows, pl.DataFrame(schema={"part": pl.Int16, "bin": pl.Int32}))
    assert np.isnan(found[0])
    assert found[1] == 6


SUM = {
    "kind": "combined",
    "of": [
        {"scorer": "clip", "scale": "z", "weight": 0.5},
        {"scorer": "other", "scale": "minmax"},
        {"image_scorer": "head", "scale": "rank", "weight": 2},
    ],
    "over": "raw",
}
NESTED = {"kind": "combined", "how": "max", "of": [{"scorer": "sum"}, {"scorer": "clip"}]}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    folder = tmp_path_factory.mktemp("combined")
    generator = np.random.default_rng(0)
    weight = generator.normal(size=(1, 32)).astype(np.float32)
    save_file({"only.weight": weight}, folder / "head.safetensors")
    head = {"scorer": "clip", "weights": str(folder / "head.safetensors")}
    changes = {
        "scorers": {
            "clip": CLIP,
            "other": {"kind": "embedded", "model": "backbone"},
            "sum": SUM,
            "nested": NESTED,
        },
        "image_scorers": {"head": {"kind": "embedding_head", **head}},
        "mixes": {
            "top": {"scorer": "sum", "rules": [{"use": "a", "where": {"top": 0.3}}]},
            "best_of": {"scorer": "sum", "rules": [{"use": {"best_of": ["raw", "a"]}}]},
        },
        "report": {},
    }
    made = Bench(folder, tiny_experiment(**changes))
    made.build("world", "pool", "models", "captions", "scores", "mixes")
    return made


def by_uid(bench: Bench, scorer: str, source: str) -> dict[bytes, float | None]:
    rows = bench.project.workspace.tables.read(CLIP_SCORES, scorer=scorer, source=source)
    return dict(rows.select("uid", "score").iter_rows())


@pytest.mark.parametrize("source", ["raw", "a"])
def test_the_assets_hold_the_formula(bench: Bench, source: str) -> None:
    def columns(scorer: str, uids: list[bytes]) -> NDArray[np.float64]:
        found = by_uid(bench, scorer, source)
        return np.array([found[uid] for uid in uids], np.float64)

    found = by_uid(bench, "sum", source)
    uids = [uid for uid, score in found.items() if score is not None]
    assert len(uids) >= 50
    images = bench.project.workspace.tables.read(IMAGE_SCORES, scorer="head")
    head = dict(images.select("uid", "score").iter_rows())
    raw = {
        scorer: np.array([v for v in by_uid(bench, scorer, "raw").values() if v is not None])
        for scorer in ("clip", "other")
    }
    everyone = np.floor((np.array(list(head.values()), np.float64) + 1) / 1e-4)
    own = np.floor((np.array([head[uid] for uid in uids], np.float64) + 1) / 1e-4)
    ranks = ((everyone < own[:, None]).sum(1) + (everyone == own[:, None]).sum(1) / 2) / len(head)
    z = (columns("clip", uids) - raw["clip"].mean()) / raw["clip"].std()
    low, high = raw["other"].min(), raw["other"].max()
    told = 0.5 * z + (columns("other", uids) - low) / (high - low) + 2 * ranks
    np.testing.assert_allclose([found[uid] for uid in uids], told, rtol=1e-6)
    nested = by_uid(bench, "nested", source)
    for uid, by_clip in zip(uids, columns("clip", uids), strict=True):
        assert nested[uid] == max(found[uid], by_clip)  # type: ignore[type-var]


def test_one_population_serves_all_sources(bench: Bench) -> None:
    scales = bench.project.workspace.tables.read(SCORE_SCALES, scorer="sum")
    assert set(scales["source"]) == {"raw"}
    nodes = bench.graph.nodes
    assert [key for key in nodes if key.startswith("score_scales")] == ["score_scales/sum/raw"]
    reads = {(one.asset, one.partitions) for one in nodes["clip_scores/sum/a"].dependencies}
    assert reads == {
        ("synthetic_captions/a", "same"),
        ("clip_scores/clip/a", "same"),
        ("clip_scores/other/a", "same"),
        ("image_scores/head", "same"),
        ("score_scales/sum/raw", "all"),
    }
    assert [one.name for one in nodes["clip_scores/sum/a"].checks] == ["scores_are_finite"]


def test_mixes_go_by_it(bench: Bench) -> None:
    tables = bench.project.workspace.tables
    scores = {uid: s for uid, s in by_uid(bench, "sum", "a").items() if s is not None}
    kept = set(tables.read(CURATED_MIXES, mix="top")["uid"])
    threshold = sorted(scores.values(), reverse=True)[int(len(scores) * 0.3)]
    assert kept == {uid for uid, score in scores.items() if score >= threshold}
    chosen = tables.read(CURATED_MIXES, mix="best_of").select("uid", "source")
    raw = by_uid(bench, "sum", "raw")
    for uid, source in chosen.iter_rows():
        other = scores.get(uid) if source == "raw" else raw[uid]
        own = scores.get(uid) if source == "a" else raw[uid]
        assert own is not None
        assert other is None or own >= other


def test_a_weight_rebuilds_the_scores_and_not_the_scales(bench: Bench, tmp_path: Path) -> None:
    changed = {**SUM, "of": [{**SUM["of"][0], "weight": 0.25}, *SUM["of"][1:]]}  # type: ignore[index]
    scorers = {"clip": CLIP, "other": {"kind": "embedded", "model": "backbone"}, "sum": changed}
    other = bench.project.experiment.model_copy(
        update={"scorers": tiny_experiment(
            scorers=scorers, report={}, mixes={"m": {"scorer": "clip", "rules": [{"use": "raw"}]}},
            image_scorers={"head": {"kind": "embedding_head", "scorer": "clip", "weights": "x"}},
        ).scorers}
    )  # fmt: skip
    nodes = Bench(tmp_path, other).graph.nodes
    before = bench.graph.nodes
    assert nodes["score_scales/sum/raw"].code_version == before["score_scales/sum/raw"].code_version
    assert nodes["clip_scores/sum/a"].code_version != before["clip_scores/sum/a"].code_version


@pytest.mark.parametrize(
    ("scorer", "words"),
    [
        ({"of": []}, "at least 1"),
        ({"of": [{"scorer": "clip", "image_scorer": "x"}]}, "not both"),
        ({"of": [{"scale": "z"}]}, "name a `scorer` or an `image_scorer`"),
        ({"of": [{"scorer": "nobody"}]}, r"scorers\.sum\.of\.0\.scorer: there is no 'nobody'"),
        ({"of": [{"scorer": "clip"}], "over": "b"}, r"scorers\.sum\.over: there is no 'b'"),
        (
            {"of": [{"scorer": "sum"}]},
            r"scorers\.sum: it is made of itself: scorers\.sum → scorers\.sum",
        ),
        ({"how": "max", "of": [{"scorer": "clip", "weight": 2}]}, "only a sum has weights"),
    ],
)
def test_what_cannot_be_combined_is_refused(scorer: dict[str, Any], words: str) -> None:
    with pytest.raises(ExperimentError, match=words):
        tiny_experiment(
            scorers={"clip": CLIP, "sum": {"kind": "combined", **scorer}},
            mixes={"raw": {"scorer": "clip", "rules": [{"use": "raw"}]}},
            report={},
        )
