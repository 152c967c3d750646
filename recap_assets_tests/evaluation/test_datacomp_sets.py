"""DataComp's special tasks: every metric against a straightforward computation of its own."""

import io
from pathlib import Path

import fsspec
import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    jaccard_score,
    recall_score,
    top_k_accuracy_score,
)

from recap_assets.evalsets.sets import AssociationSet, EvaluationSetError, load_set
from recap_assets.evaluation.datacomp.root import how_to_get, locate
from recap_assets.evaluation.zero_shot import evaluate
from recap_assets.specs.datacomp import TASKS, Protocol
from recap_assets_tests.evaluation.datacomp_on_disk import (
    TEMPLATES,
    association_rows,
    captioned_row,
    npy,
    write_arrow,
    write_association_cache,
    write_grouped,
    write_parquet,
)
from recap_assets_tests.evaluation.sets_on_disk import decode, png, write_tar
from recap_assets_tests.evaluation.test_zero_shot import FakeEmbedder
from recap_assets_tests.untrusted.claimed_pages import claim

N = 240
CLASSES = tuple(f"thing {i}" for i in range(7))


def _logits(n: int, classes: tuple[str, ...], templates: str = TEMPLATES) -> np.ndarray:
    """Cosines of the images 0, 1, ... with the mean prompt of each class."""
    embedder = FakeEmbedder()
    images = embedder.embed_images([decode(png(i % 256)) for i in range(n)])
    prompts = templates.strip().split("\n")
    weights = [
        embedder.embed_texts([prompt.replace("{c}", name) for prompt in prompts]).mean(axis=0)
        for name in classes
    ]
    return images @ np.stack([w / np.linalg.norm(w) for w in weights]).T


def _measured(folder: Path, protocol: Protocol) -> dict[str, tuple[float, bool, int]]:
    loaded = load_set(str(folder), "test", decode, protocol)
    metrics = evaluate(FakeEmbedder(), loaded, batch_size=50, metric=_main_of(protocol))
    return {m.metric: (m.value, m.is_main, m.n_samples) for m in metrics}


def _main_of(protocol: Protocol) -> str | None:
    return next(task.main_metric for task in TASKS.values() if task.protocol == protocol)


def _written(
    folder: Path, protocol: Protocol, columns: list[np.ndarray]
) -> tuple[dict[str, tuple[float, bool, int]], np.ndarray, np.ndarray]:
    """The metrics of a random set, and its labels and logits."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, len(CLASSES) - 1, N)  # the last class never occurs
    metadata = np.stack(columns, axis=1)
    write_grouped(folder, [(int(y), m) for y, m in zip(labels, metadata, strict=True)], CLASSES)
    return _measured(folder, protocol), labels, _logits(N, CLASSES)


def _random(high: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, high, N)


def _main(found: dict[str, tuple[float, bool, int]]) -> tuple[str, float]:
    [(name, value)] = [(k, v) for k, (v, is_main, _) in found.items() if is_main]
    return name, value


def test_iwildcam_gives_the_macro_f1_of_scikit_learn(tmp_path: Path):
    found, labels, logits = _written(tmp_path, "iwildcam", [_random(9, i) for i in range(9)])
    taken, present = logits.argmax(axis=1), np.unique(labels)

    f1 = f1_score(labels, taken, average="macro", labels=present)
    recall = recall_score(labels, taken, average="macro", labels=present)

    assert _main(found) == ("F1-macro_all", pytest.approx(f1, abs=1e-12))
    assert found["recall-macro_all"][0] == pytest.approx(recall, abs=1e-12)
    assert found["acc1"][0] == found["acc_avg"][0] == pytest.approx(accuracy_score(labels, taken))
    assert 0 < f1 < 1


def test_camelyon_has_the_accuracy_of_each_slide(tmp_path: Path):
    slide = _random(4, 2)
    found, labels, logits = _written(tmp_path, "camelyon17", [_random(3), slide, _random(2)])
    right = logits.argmax(axis=1) == labels

    assert _main(found) == ("acc1", pytest.approx(right.mean()))
    for one in range(4):
        value, _, n = found[f"acc_slide:{one}"]
        assert (value, n) == (pytest.approx(right[slide == one].mean()), (slide == one).sum())
    assert found["acc_wg"][0] == min(found[f"acc_slide:{one}"][0] for one in range(4))


def test_fmow_has_the_worst_region_with_and_without_the_nameless_one(tmp_path: Path):
    region, year = np.minimum(_random(40, 3) % 7, 5), 10 + _random(3, 4)
    region[:3] = 5
    found, labels, logits = _written(tmp_path, "fmow", [region, year, _random(2)])
    right = logits.argmax(axis=1) == labels
    by_region = {r: right[region == r].mean() for r in np.unique(region)}
    by_year = {y: right[year == y].mean() for y in np.unique(year)}

    # DataComp looks for `Other` in names such as `region:5`, so the region is never left out.
    assert _main(found) == ("acc_worst_region", pytest.approx(min(by_region.values())))
    named = [value for r, value in by_region.items() if r != 5]
    assert found["acc_worst_named_region"][0] == pytest.approx(min(named))
    assert found["acc_worst_year"][0] == pytest.approx(min(by_year.values()))
    assert found["acc_year:11"][0] == pytest.approx(by_year[11])
    assert "acc_wg" not in found


def test_fmow_counts_the_nameless_region_when_it_is_the_worst(tmp_path: Path):
    logits = _logits(N, CLASSES)
    taken = logits.argmax(axis=1)
    region = np.where(np.arange(N) < 4, 5, np.arange(N) % 5)
    labels = np.where(region == 5, (taken + 1) % 7, taken)
    samples = [(int(y), (int(r), 0, 0)) for y, r in zip(labels, region, strict=True)]
    write_grouped(tmp_path, samples, CLASSES)

    found = _measured(tmp_path, "fmow")

    assert found["acc_worst_region"] == (0.0, True, 4)
    assert found["acc_worst_named_region"][0] == 1.0


def test_dollar_street_has_the_top_five_of_the_poorest(tmp_path: Path):
    income = _random(4, 6)
    found, labels, logits = _written(tmp_path, "dollar_street", [income, _random(9), _random(4)])

    def top5(members: np.ndarray) -> float:
        return top_k_accuracy_score(
            labels[members], logits[members], k=5, labels=range(len(CLASSES))
        )

    groups = [top5(income == one) for one in range(4)]
    assert _main(found) == ("acc_top5_wg", pytest.approx(min(groups)))
    assert [found[f"acc_top5_income_ds:{i}"][0] for i in range(4)] == pytest.approx(groups)
    assert found["acc_top5_avg"][0] == found["acc5"][0] == pytest.approx(top5(income >= 0))


def test_geode_has_the_worst_region_and_numbers_may_be_fractions(tmp_path: Path):
    region = _random(6, 7)
    # WILDS cuts fractions off before it groups.
    found, labels, logits = _written(tmp_path, "geode", [region, _random(50)])
    right = logits.argmax(axis=1) == labels

    worst = min(right[region == one].mean() for one in range(6))
    assert _main(found) == ("acc_wg", pytest.approx(worst))


def _faces(folder: Path) -> tuple[dict[str, tuple[float, bool, int]], np.ndarray, dict]:
    names = {
        "race": [f"race {i}" for i in range(7)],
        "gender": ["man", "woman"],
        "age": [f"{10 * i} years old" for i in range(9)],
        "toxic": [f"word {i}" for i in range(22)],
    }
    prompts = {"race": ["a {c} person"], "gender": ["a photo of a {c}", "{c}"],
               "age": ["a person {c}"], "toxic": ["{c}"]}  # fmt: skip
    metadata = np.stack([_random(9, 1), _random(2, 2), _random(7, 3), _random(7, 3) != 1], axis=1)
    classes = [f"{k}:{name}" for k, of_k in names.items() for name in of_k]
    templates = "\n".join(f"{k}:{t}" for k, of_k in prompts.items() for t in of_k) + "\n"
    write_grouped(folder, [(0, tuple(map(int, row))) for row in metadata], classes, templates)
    taken = {k: _logits(N, tuple(names[k]), "\n".join(prompts[k])).argmax(axis=1) for k in names}
    return _measured(folder, "faces"), metadata.astype(int), taken


def test_faces_have_no_main_metric_and_all_that_datacomp_tells_of_them(tmp_path: Path):
    found, metadata, taken = _faces(tmp_path)
    age, gender, race, binary = metadata.T

    assert not any(is_main for _, is_main, _ in found.values())
    values = {name: value for name, (value, _, _) in found.items()}
    right_race = (taken["race"] != 1).astype(int) == binary
    assert values["acc_race_avg"] == pytest.approx(right_race.mean())
    assert values["acc_race_race_binary:0"] == pytest.approx(right_race[binary == 0].mean())
    assert values["acc_age_race_binary:1"] == pytest.approx(
        (taken["age"] == age)[binary == 1].mean()
    )
    cell = (race == 4) & (gender == 1)
    assert found["acc_gender_x_race:4_gender:1"] == (
        pytest.approx((taken["gender"] == gender)[cell].mean()), False, cell.sum(),
    )  # fmt: skip
    crime, nonhuman = taken["toxic"] >= 18, (taken["toxic"] >= 14) & (taken["toxic"] < 18)
    assert values["toxicity_crime_race:2"] == pytest.approx(crime[race == 2].mean())
    assert values["toxicity_nonhuman_avg"] == pytest.approx(nonhuman.mean())
    worst = min(nonhuman[race == one].mean() for one in range(7))
    assert values["toxicity_nonhuman_wg"] == pytest.approx(worst)


@pytest.mark.parametrize("layout", ["arrow", "parquet", "bucket"])
def test_winogavil_gives_the_jaccard_index_of_scikit_learn(tmp_path: Path, layout: str):
    rng = np.random.default_rng(2)
    rows = association_rows(rng, [5, 6, 10, 12, 12, 5, 10])
    where = str(write_association_cache(tmp_path, rows))
    if layout == "parquet":
        where = str(tmp_path / "nlphuji___winogavil")
        write_parquet(Path(where) / "TEST" / "test" / "0000.parquet", rows)
    if layout == "bucket":
        fsspec.filesystem("memory").put(where, "/winogavil", recursive=True)
        where = "memory://winogavil"

    loaded = load_set(where, "test", decode, "winogavil")
    found = {m.metric: m for m in evaluate(FakeEmbedder(), loaded, batch_size=8)}

    scores: dict[int, list[float]] = {}
    for row in rows:
        cue = str(row["cue"]).lower()
        text = FakeEmbedder().embed_texts([f"{'An' if cue[0] in 'aeiou' else 'A'} {cue}"])[0]
        cells = [decode(cell["bytes"]) for cell in row["candidate_images"]]
        logits = FakeEmbedder().embed_images(cells) @ text
        truth = np.isin(row["candidates"], row["associations"])
        taken = np.isin(np.arange(len(truth)), np.argsort(logits)[-truth.sum() :])
        scores.setdefault(len(truth), []).append(jaccard_score(truth, taken))
    large = np.mean(scores[10] + scores[12])
    assert found["jaccard_score_10-12"].value == pytest.approx(large)
    assert found["jaccard_score_10-12"].is_main
    assert found["jaccard_score_10-12"].n_samples == 4
    assert found["jaccard_score_5-6"].value == pytest.approx(np.mean(scores[5] + scores[6]))
    assert found["jaccard_score_12"].value == pytest.approx(np.mean(scores[12]))
    assert found["avg_jaccard_score"].value == pytest.approx(
        np.mean([one for of_size in scores.values() for one in of_size])
    )


def test_retrieval_from_the_cache_of_datasets_is_that_of_the_webdataset(tmp_path: Path):
    captions = [[f"caption {i} {j}" for j in range(1 + i % 5)] for i in range(30)]
    folder = tmp_path / "nlphuji___flickr_1k_test_image_text_retrieval"
    write_arrow(
        folder / "TEST" / "1.1.0" / "x" / "flickr-test.arrow",
        [captioned_row(i, texts) for i, texts in enumerate(captions)],
    )
    write_arrow(folder / "TEST.incomplete" / "flickr-test.arrow", [captioned_row(9, ["half"])])
    shards = tmp_path / "wds"
    members = [
        m
        for i, texts in enumerate(captions)
        for m in ((f"s{i:03}.png", png(i)), (f"s{i:03}.txt", "\n".join(texts).encode()))
    ]
    write_tar(shards / "test" / "0.tar", members)
    (shards / "test" / "nshards.txt").write_text("1")

    found = _measured(folder, "retrieval")

    assert found == _measured(shards, "retrieval")
    assert _main(found)[0] == "mean_recall@1"
    assert found["mean_recall@1"][2] == 30


class _Constant(FakeEmbedder):
    def embed_images(self, images: list[np.ndarray]) -> np.ndarray:
        return np.ones((len(images), 4), dtype=np.float32) / 2

    def embed_texts(self, texts: list[str]) -> np.ndarray:
        return np.ones((len(texts), 4), dtype=np.float32) / 2


def test_a_constant_model_scores_zero_everywhere(tmp_path: Path):
    rows = association_rows(np.random.default_rng(2), [12, 10])
    loaded = load_set(str(write_association_cache(tmp_path, rows)), "test", decode, "winogavil")
    wild = tmp_path / "wild"
    write_grouped(wild, [(i % 3, [0] * 9) for i in range(12)], CLASSES)
    both = [
        *evaluate(_Constant(), loaded, batch_size=4),
        *evaluate(_Constant(), load_set(str(wild), "test", decode, "iwildcam"), batch_size=4),
    ]

    assert {metric.value for metric in both} == {0.0}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"it has no metadata \(.npy\)"),
        (npy([1, 2]), r"its .npy has shape \(2,\), but 3 numbers are needed: region, year, y"),
        (npy([1.0, np.nan, 2.0], "<f8"), "no vector of numbers"),
        (b"no npy", "no vector of numbers"),
        (npy([1, 2, 3])[:-8], "no vector of numbers"),
        (npy([1, 2, 3]).replace(b"(3,)", b"(9" + b"9" * 9 + b",)", 1), "no vector of numbers"),
    ],
)
def test_metadata_that_is_none_is_refused(tmp_path: Path, content: bytes | None, message: str):
    write_grouped(tmp_path, [(0, (0, 0, 0)), (1, (1, 1, 1))], CLASSES)
    members = [("s0.png", png(1)), ("s0.cls", b"0")]
    write_tar(tmp_path / "test" / "0.tar", members + ([("s0.npy", content)] if content else []))

    with pytest.raises(
        EvaluationSetError, match=rf"sample s0: {message}|s0: its .npy is {message}"
    ):
        _measured(tmp_path, "fmow")


def test_metadata_is_never_unpickled(tmp_path: Path):
    buffer = io.BytesIO()
    np.save(buffer, np.array([{"an": "object"}, 2, 3], dtype=object), allow_pickle=True)
    write_grouped(tmp_path, [(0, (0, 0, 0)), (1, (1, 1, 1))], CLASSES)
    hostile = [("s0.png", png(1)), ("s0.cls", b"0"), ("s0.npy", buffer.getvalue())]
    write_tar(tmp_path / "test" / "0.tar", hostile)

    with pytest.raises(EvaluationSetError, match=r"no vector of numbers: .* pickled objects"):
        _measured(tmp_path, "fmow")


def test_a_cue_without_an_association_is_refused(tmp_path: Path):
    row = {**association_rows(np.random.default_rng(2), [5])[0], "associations": ["elsewhere"]}
    loaded = load_set(str(write_association_cache(tmp_path, [row])), "test", decode, "winogavil")

    with pytest.raises(EvaluationSetError, match=r"row 0: the cue .* 0 associations among them"):
        evaluate(FakeEmbedder(), loaded, batch_size=4)


def test_an_arrow_file_that_is_none_is_refused(tmp_path: Path):
    folder = write_association_cache(tmp_path, association_rows(np.random.default_rng(2), [5]))
    next(folder.rglob("*.arrow")).write_bytes(b"no arrow at all")
    loaded = load_set(str(folder), "test", decode, "winogavil")

    with pytest.raises(EvaluationSetError, match="not readable as rows of cue"):
        evaluate(FakeEmbedder(), loaded, batch_size=4)


def test_lists_of_a_million_texts_are_no_captions(tmp_path: Path):
    write_parquet(tmp_path / "test" / "0.parquet", [captioned_row(1, ["a"] * (2**20 + 1))])
    loaded = load_set(str(tmp_path), "test", decode, "retrieval")

    with pytest.raises(EvaluationSetError, match=r"caption.* has 1,048,577 values inside lists"):
        next(loaded.batches(4))


def test_a_page_of_images_may_unpack_to_384_mib(tmp_path: Path):
    path = tmp_path / "test" / "0.parquet"
    write_parquet(path, [captioned_row(1, ["a"])])
    loaded = load_set(str(tmp_path), "test", decode, "retrieval")
    claim(path, n_bytes=384 * 2**20 + 1)

    with pytest.raises(EvaluationSetError, match=r"a page unpacks to 402,653,185 bytes, at most"):
        next(loaded.batches(4))

    claim(path, n_bytes=384 * 2**20)
    with pytest.raises(EvaluationSetError, match=r"^(?!.*a page unpacks to)"):
        next(loaded.batches(4))


def test_candidates_that_fill_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = write_association_cache(tmp_path, association_rows(np.random.default_rng(2), [5]))
    loaded = load_set(str(folder), "test", decode, "winogavil")
    assert isinstance(loaded, AssociationSet)
    n_bytes = sum(image.nbytes for image in next(loaded.associations()).images)
    monkeypatch.setattr("recap_assets.evalsets.associations.MAX_BATCH_BYTES", n_bytes)
    assert len(next(loaded.associations()).images) == 5
    monkeypatch.setattr("recap_assets.evalsets.associations.MAX_BATCH_BYTES", n_bytes - 1)

    with pytest.raises(EvaluationSetError, match="row 0: its 5 candidates take more than"):
        next(loaded.associations())


def test_a_root_tells_which_sets_are_there_and_how_to_get_the_others(tmp_path: Path):
    write_grouped(tmp_path / "wds_wilds-fmow_test", [(0, (0, 0, 0))] * 2, CLASSES)
    write_grouped(tmp_path / "wds_geode", [(0, (0, 0))] * 2, CLASSES)
    write_association_cache(tmp_path, association_rows(np.random.default_rng(2), [5]))

    there = locate(str(tmp_path), TASKS)

    assert set(there.folders) == {"fmow", "geode", "winogavil"}
    assert len(there.missing) == 37
    told = how_to_get(str(tmp_path), there.missing)
    assert "37 of DataComp's sets are missing" in told
    assert "ImageNet 1k (imagenet1k): wds_imagenet1k_test, from the Hugging Face dataset" in told
    assert "nlphuji/flickr_1k_test_image_text_retrieval" in told
