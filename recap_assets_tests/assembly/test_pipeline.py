"""The pipeline end to end on the tiny world: built once, then changed one thing at a time."""

import io
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.catalogue import TABLES
from recap_assets.artefacts.mixes import CURATED_MIXES, THRESHOLDS
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import CLIP_SCORES, IMAGE_EMBEDDINGS
from recap_assets.artefacts.table import STATUS_OK
from recap_assets.graph.project import Project
from recap_assets.mixes.stored_trial import trial
from recap_assets.report.ancestry import ancestries
from recap_assets.report.chance import chances
from recap_assets.report.compared_scores import against_raw
from recap_assets.report.examples import discarded, examples
from recap_assets.report.near_cutoffs import strips
from recap_assets.report.results import current_results
from recap_assets.scores.node import best_and_worst
from recap_assets.specs.report import Report
from recap_assets_tests.tiny import EXPERIMENT, Bench, tiny_experiment


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(tmp_path_factory.mktemp("data"), tiny_experiment())
    bench.build(draws=True)
    return bench


def test_every_table_is_filled(bench: Bench) -> None:
    tables = bench.project.workspace.tables
    empty = {name for name, table in TABLES.items() if tables.read(table).is_empty()}
    # There are no runs here, and nobody has compared captions.
    of_runs = {"costs", "lineage", "experiments", "judgements"}
    where_asked_for = {
        "caption_metrics", "captions_left_out", "cluster_centroids", "cluster_cuts",
        "download_failures", "duplicates", "entry_counts", "entry_probabilities",
        "image_clusters", "image_scores", "import_reports", "imported_captions",
        "only_cutoffs", "pool_columns", "score_scales", "search_trials", "target_clusters",
        "target_embeddings", "text_counts", "text_frequencies", "text_languages",
        "text_signatures", "uid_sets",
    }  # fmt: skip
    assert empty == of_runs | where_asked_for


def test_each_sample_is_there_once_and_has_a_caption_and_two_scores(bench: Bench) -> None:
    tables = bench.project.workspace.tables
    raw = tables.read(RAW_POOL)
    assert raw["uid"].n_unique() == raw.height == 60
    captions = tables.read(SYNTHETIC_CAPTIONS, source="a")
    assert set(captions["uid"]) == set(raw.filter(pl.col("status") == STATUS_OK)["uid"])
    scores = tables.read(CLIP_SCORES)
    assert scores.group_by("source").len().sort("source")["len"].to_list() == [60, 60]


def test_a_score_is_null_exactly_where_there_is_no_text(bench: Bench) -> None:
    tables = bench.project.workspace.tables
    texts = tables.read(RAW_POOL).select("uid", "text")
    scores = tables.read(CLIP_SCORES, source="raw").join(texts, on="uid")
    assert (scores["score"].is_null() == scores["text"].is_null()).all()


def test_the_preview_shows_the_best_and_the_worst_and_no_unscored_text() -> None:
    uids = [bytes([i]) * 16 for i in range(5)]
    rows = pl.DataFrame({"uid": uids, "candidate": [0] * 5, "score": [None, 0.1, 0.4, 0.2, 0.3]})
    texts = pl.DataFrame({"uid": uids, "candidate": [0] * 5, "text": list("abcde")})
    assert best_and_worst(rows, texts, n=1)["text"].to_list() == ["c", "b"]
    assert best_and_worst(rows, texts, n=2)["text"].to_list() == ["c", "e", "d", "b"]


def test_the_mix_takes_the_best_raw_texts_and_captions_for_the_rest(bench: Bench) -> None:
    tables = bench.project.workspace.tables
    scores = tables.read(CLIP_SCORES, source="raw").drop_nulls("score")["score"].to_numpy()
    cut = sorted(scores, reverse=True)[int(len(scores) * 0.3)]
    mixed = tables.read(CURATED_MIXES, mix="mixed")
    assert mixed.height == 60
    assert mixed.filter(pl.col("source") == "raw").height == int((scores >= cut).sum())
    assert tables.read(THRESHOLDS, mix="mixed")["value"].item() == pytest.approx(float(cut))


def test_trying_the_mixes_counts_what_building_them_gave(bench: Bench) -> None:
    counted = trial(bench.project).select("mix", "n_pairs").sort("mix")
    built = bench.project.workspace.tables.read(CURATED_MIXES)
    assert counted.rows() == built.group_by("mix").len().sort("mix").rows()


def test_the_report_is_one_page_with_every_mix(bench: Bench) -> None:
    page = bench.project.workspace.report.read_text()
    assert all(f">{mix}<" in page for mix in bench.project.experiment.mixes)
    assert bench.project.workspace.latest_report.read_text() == page
    assert 'src="http' not in page


def test_guessing_is_one_of_the_classes_or_of_the_images(bench: Bench) -> None:
    found = chances(bench.project, current_results(bench.project))
    classes = bench.project.task_folder("coarse") / "classnames.txt"
    n_classes = len(classes.read_text().split("\n"))
    assert found == {"coarse": 1 / n_classes, "retrieval": 1 / 12}
    assert n_classes > 1
    page = bench.project.workspace.report.read_text()
    assert "one seed: no claim (guessing gives" in " ".join(page.split())


def test_the_report_shows_what_the_filter_discards_and_a_caption_keeps(bench: Bench) -> None:
    taken = bench.project.workspace.tables.read(CURATED_MIXES, mix="mixed").filter(source="a")
    many = bench.project.experiment.report.model_copy(update={"examples": 100})
    experiment = bench.project.experiment.model_copy(update={"report": many})
    shown = list(discarded(Project(experiment, bench.project.workspace)))
    of_a = [caption.text for one in shown for caption in one.captions if caption.source == "a"]
    assert sorted(of_a) == sorted(taken["text"])
    assert len(list(discarded(bench.project))) == 3
    assert "Discarded by the filter" in bench.project.workspace.report.read_text()
    neither = bench.project.experiment.model_copy(update={"report": Report(raw_filtered="raw")})
    assert list(discarded(Project(neither, bench.project.workspace))) == []


def test_strips_are_the_images_nearest_to_each_cut_off(bench: Bench) -> None:
    tables = bench.project.workspace.tables
    cut = tables.read(THRESHOLDS, mix="raw_top30")["value"].item()
    scores = tables.read(CLIP_SCORES, scorer="clip", source="raw").drop_nulls("score")
    texts = dict(tables.read(RAW_POOL).select("uid", "text").iter_rows())
    found = strips(bench.project)
    assert [(one.mixes, one.source, one.value) for one in found.shown] == [
        (("raw_top30", "mixed"), "raw", cut)
    ]
    strip = found.shown[0]
    above = scores.filter(pl.col("score") >= cut)["score"].sort().to_list()
    below = scores.filter(pl.col("score") < cut)["score"].sort(descending=True).to_list()
    assert [one.score for one in strip.above] == above[:6]
    assert [one.score for one in strip.below] == below[:6]
    assert all(one.text == texts[one.uid] for one in (*strip.above, *strip.below))
    sizes = {Image.open(io.BytesIO(one.image)).size for one in strip.above}
    assert max(max(size) for size in sizes) <= 96


def test_cards_say_which_mixes_take_the_image_by_which_rule(bench: Bench) -> None:
    pairs = bench.project.workspace.tables.read(CURATED_MIXES)
    for card in examples(bench.project):
        own = pairs.filter(uid=card.uid, partition=card.partition)
        wanted = set(own.select("mix", "rule", "source").rows())
        assert {tuple(taken) for taken in card.taken} == wanted
        assert ("raw", 0, "raw") in wanted


def test_points_are_the_scores_of_one_image_by_both_texts(bench: Bench) -> None:
    scores = bench.project.workspace.tables.read(CLIP_SCORES, scorer="clip")
    raw, a = (dict(scores.filter(source=s).select("uid", "score").rows()) for s in ("raw", "a"))
    wanted = {(raw[uid], a[uid]) for uid in raw.keys() & a.keys()}
    found = against_raw(bench.project)
    assert set(found.select("raw", "score").rows()) == wanted
    assert set(found["source"]) == {"a"}
    assert len(wanted) > 30


def test_a_mix_is_drawn_down_to_what_nothing_else_makes(bench: Bench) -> None:
    (found,) = ancestries(bench.graph, ["raw_top30"])
    assert found.reads["curated_mixes/raw_top30"][:2] == ("thresholds/raw_top30", "raw_pool")
    assert found.reads["embedded_world/pool"] == ()
    assert {"models/scorer", "image_embeddings/clip", "clip_scores/clip/raw"} <= found.reads.keys()
    assert "synthetic_captions/a" not in found.reads


def test_every_check_passes(bench: Bench) -> None:
    for node in bench.graph.nodes.values():
        for check in node.checks:
            if check.blocking:
                verdict = check.evaluate(bench.graph.partitions(node))
                assert verdict.passed, (node.key, check.name, verdict.figures)


def rebuilt(bench: Bench, folder: Path, **changes: object) -> set[str]:
    """What a changed experiment builds on a copy of what is there, as assets."""
    again = bench.copied(folder, tiny_experiment(**changes))
    return {asset for asset, _ in again.build()}


def test_nothing_changed_nothing_is_computed(bench: Bench) -> None:
    assert bench.build() == []


def test_a_batch_size_rebuilds_nothing(bench: Bench, tmp_path: Path) -> None:
    sources = {"a": {**EXPERIMENT["sources"]["a"], "batch_size": 8}}
    scorers = {"clip": {**EXPERIMENT["scorers"]["clip"], "batch_size": 8}}
    assert rebuilt(bench, tmp_path, sources=sources, scorers=scorers) == set()


def test_a_threshold_rebuilds_its_mix_and_what_reads_that(bench: Bench, tmp_path: Path) -> None:
    mixes = {**EXPERIMENT["mixes"], "raw_top30": [{"use": "raw", "where": {"top": 0.5}}]}
    assert rebuilt(bench, tmp_path, mixes=mixes) == {
        "thresholds/raw_top30", "curated_mixes/raw_top30", "training_pairs/raw_top30",
        "trained_clip/raw_top30", "evaluation_results/raw_top30", "leaderboard", "claims", "report",
    }  # fmt: skip


def test_leaving_sources_out_adds_mixes_and_rebuilds_nothing_that_is_there(
    bench: Bench, tmp_path: Path
) -> None:
    whole = {"rules": EXPERIMENT["mixes"]["mixed"], "leave_one_source_out": True}
    experiment = tiny_experiment(mixes={**EXPERIMENT["mixes"], "mixed": whole})
    again = bench.copied(tmp_path, experiment)
    computed = {asset for asset, _ in again.build()}
    page = again.project.workspace.report.read_text()
    pairs = again.project.workspace.tables.read(CURATED_MIXES)
    kinds = ("thresholds", "curated_mixes", "training_pairs", "trained_clip", "evaluation_results")
    added = {f"{kind}/mixed_without_{source}" for kind in kinds for source in ("raw", "a")}
    assert computed == {*added, "leaderboard", "claims", "report"}
    sources = pairs.group_by("mix").agg(pl.col("source").unique().sort()).sort("mix")
    assert dict(sources.iter_rows()) == {
        "mixed": ["a", "raw"], "mixed_without_a": ["raw"], "mixed_without_raw": ["a"],
        "raw": ["raw"], "raw_top30": ["raw"],
    }  # fmt: skip
    assert "<span>without raw</span>" in page.split('id="left-out"')[1]


def test_a_captioner_rebuilds_its_captions_and_what_reads_them(
    bench: Bench, tmp_path: Path
) -> None:
    source = {**EXPERIMENT["sources"]["a"], "decoding": {"max_tokens": 10, "seed": 2}}
    computed = rebuilt(bench, tmp_path, sources={"a": source})
    assert {
        "synthetic_captions/a", "clip_scores/clip/a", "diversity_statistics/a",
        "curated_mixes/mixed", "trained_clip/mixed",
    } <= computed  # fmt: skip
    untouched = {
        "raw_pool", "image_embeddings/clip", "clip_scores/clip/raw", "curated_mixes/raw",
        "trained_clip/raw", "models/captioner", "diversity_statistics/raw",
    }  # fmt: skip
    assert not untouched & computed


def test_a_table_whose_slice_was_deleted_is_built_again(bench: Bench) -> None:
    tables = bench.project.workspace.tables
    before = tables.read(CLIP_SCORES).sort("source", "uid")
    tables.remove(CLIP_SCORES, {"scorer": "clip", "source": "a", "partition": "00001"})
    assert bench.build() == [("clip_scores/clip/a", "00001")]
    assert tables.read(CLIP_SCORES).sort("source", "uid").equals(before)


def comparable(bench: Bench) -> dict[str, pl.DataFrame]:
    tables = bench.project.workspace.tables
    return {
        table.name: tables.read(table).select(table.content).drop("shard", "partition").sort(*keys)
        for table, keys in (
            (SYNTHETIC_CAPTIONS, ("source", "uid", "candidate")),
            (CLIP_SCORES, ("source", "uid", "candidate")),
            (IMAGE_EMBEDDINGS, ("uid",)),
            (CURATED_MIXES, ("mix", "uid")),
        )
    }


def test_batch_sizes_shards_and_order_change_no_caption_score_or_mix(
    bench: Bench, tmp_path: Path
) -> None:
    source = {**EXPERIMENT["sources"]["a"], "batch_size": 7}
    scorer = {**EXPERIMENT["scorers"]["clip"], "batch_size": 5}
    pool = {"kind": "embedded", "samples": 60, "samples_per_shard": 13, "shards_per_partition": 2}
    other = Bench(
        tmp_path, tiny_experiment(sources={"a": source}, scorers={"clip": scorer}, pool=pool)
    )
    other.build("world", "pool", "models", "captions", "scores", "mixes")
    one, two = comparable(bench), comparable(other)
    for name in one:
        assert one[name].equals(two[name]), name
