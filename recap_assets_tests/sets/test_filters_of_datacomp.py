"""The seven filters of DataComp agree uid for uid with its rules, on real pools.

The pools' texts, sizes and languages are real. Their metadata lacks what DataComp's has besides,
scores and embeddings by CLIP, which are drawn here: scores on float16's grid, as DataComp's are, so
that many tie.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recap_assets.artefacts.mixes import CURATED_MIXES, THRESHOLDS
from recap_assets.artefacts.uids import write_subset
from recap_assets.sets.assets import members_of
from recap_assets.sets.languages.kinds.fasttext import FastTextIdentifier
from recap_assets_tests.sets import datacomp
from recap_assets_tests.sets.kinds.text_based.wordnet_files import WordNetFiles, write_wordnet
from recap_assets_tests.tiny import Bench, tiny_experiment

CLUSTERS, DIMENSION = 24, 16
B32 = "clip_b32_similarity_score"
L14 = "clip_l14_similarity_score"
NOUNS = ("dog", "child", "beach", "chart", "map", "bicycle", "man", "wolf", "posse", "mountain")
FASTTEXT = FastTextIdentifier(kind="fasttext").path()


def with_scores_and_embeddings(source: Path, folder: Path) -> None:
    """Metadata as DataComp's: the pool's own, and what CLIP would add."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    middles = draw.normal(size=(40, DIMENSION))
    for path in sorted(source.glob("*.parquet")):
        rows = pl.read_parquet(path)
        n = rows.height
        rows.with_columns(
            pl.Series(name, draw.normal(mean, 0.05, n).astype(np.float16).astype(np.float32))
            for name, mean in ((B32, 0.26), (L14, 0.2))
        ).write_parquet(folder / path.name)
        vectors = middles[draw.integers(0, len(middles), n)] + draw.normal(0, 0.5, (n, DIMENSION))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        np.savez(folder / f"{path.stem}.npz", l14_img=vectors.astype(np.float16))


@dataclass
class Pool:
    """A pool, its metadata, and everything built on it."""

    samples: list[datacomp.Sample]
    bench: Bench
    wordnet: WordNetFiles
    entities: set[int]
    targets: np.ndarray

    def members(self, name: str) -> set[str]:
        return {uid.hex() for uid in members_of(self.bench.project, name)}

    def mix(self, name: str) -> set[str]:
        rows = self.bench.project.workspace.tables.read(CURATED_MIXES, mix=name)
        return {uid.hex() for uid in rows["uid"]}

    def with_text(self, uids: set[str]) -> set[str]:
        """A mix trains on the raw text, so that it leaves out what has none."""
        return uids & {one["uid"] for one in self.samples if one["text"].strip()}


@pytest.fixture(scope="module", params=["webalt", "flickr8k_web"])
def pool(
    request: pytest.FixtureRequest, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Pool:
    root, folder = shared_data / "pools" / request.param, tmp_path_factory.mktemp(request.param)
    with_scores_and_embeddings(root / "metadata", folder / "metadata")
    wordnet = write_wordnet(folder / "corpora" / "wordnet")
    # DataComp compares offsets without the part of speech: a verb's counts as well.
    entities = {wordnet.synset("n", noun) for noun in NOUNS} | {wordnet.synset("v", "stand")}
    (folder / "ids.txt").write_text("".join(f"n{offset:08d}\n" for offset in sorted(entities)))
    targets = np.random.default_rng(7).normal(size=(9, DIMENSION)).astype(np.float32)
    np.save(folder / "targets.npy", targets)
    bench = Bench(folder / "data", experiment(root / "shards", folder))
    bench.build("pool", "scores", "sets", "mixes")
    return Pool(datacomp.read_metadata(folder / "metadata"), bench, wordnet, entities, targets)


def experiment(shards: Path, folder: Path):
    scorer = {"kind": "open_clip", "model": "ViT-L-14", "pretrained": "openai"}
    text = {
        "kind": "text_based",
        "wordnet": f"{folder}/corpora/wordnet",
        "synsets": f"{folder}/ids.txt",
    }
    target = {"embeddings": f"{folder}/targets.npy"}
    image = {"kind": "image_based", "scorer": "l14", "clusters": CLUSTERS, "target": target}
    sets = {
        "no_filter": {"kind": "no_filter"},
        "basic": {"kind": "basic"},
        "laion2b": {"kind": "laion2b", "scorer": "b32"},
        "laion2b_by_column": {"kind": "laion2b", "pool_scores": B32},
        "text_based": text,
        "text_based_once": {**text, "endings": "once"},
        "image_based": image,
        "any_text": {**image, "captions": None, "seed": 3},
    }
    cut = {
        "top30": {"top": 0.3}, "top1": {"top": 0.01}, "above": {"at_least": 0.2},
        "intersection": {"all": [{"in_set": "image_based"}, {"top": 0.3}]},
    }  # fmt: skip
    conditions = {"basic": {"in_set": "basic"}, **cut}
    return tiny_experiment(
        pool={
            "kind": "webdataset", "shards": str(shards), "metadata": f"{folder}/metadata",
            "shards_per_partition": 3,
        },
        corpora={}, models={}, sources={}, report={}, sets=sets,
        scorers={
            "l14": {**scorer, "pool_scores": L14, "pool_embeddings": "l14_img"},
            "b32": {**scorer, "pool_scores": B32, "pool_embeddings": "l14_img"},
        },
        mixes={
            name: {"scorer": "l14", "rules": [{"use": "raw", "where": where}]}
            for name, where in conditions.items()
        },
    )  # fmt: skip


def test_no_filter(pool: Pool) -> None:
    assert pool.members("no_filter") == {one["uid"] for one in pool.samples}


def test_basic(pool: Pool) -> None:
    expected = datacomp.basic(pool.samples, datacomp.fasttext_english(FASTTEXT))
    assert 0 < len(expected) < len(pool.samples)
    assert pool.members("basic") == expected == pool.mix("basic")


def test_laion2b_by_a_scorer_and_by_the_metadata(pool: Pool) -> None:
    expected = datacomp.laion2b(pool.samples, datacomp.cld3_english())
    assert 0 < len(expected) < len(pool.samples)
    assert pool.members("laion2b") == expected
    assert pool.members("laion2b_by_column") == expected


def test_text_based(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    # NLTK opens no folder but those that it is told of.
    monkeypatch.setattr("nltk.data.path", [str(pool.wordnet.folder.parents[1])])
    is_english = datacomp.fasttext_english(FASTTEXT)
    repeated = datacomp.RepeatedEndings(str(pool.wordnet.folder), None)
    expected = datacomp.text_based(pool.samples, is_english, repeated, pool.entities)
    assert 0 < len(expected) < len(pool.samples)
    assert pool.members("text_based") == expected
    now = datacomp.WordNetCorpusReader(str(pool.wordnet.folder), None)
    expected = datacomp.text_based(pool.samples, is_english, now, pool.entities)
    assert pool.members("text_based_once") == expected


def image_based(pool: Pool, samples: list[datacomp.Sample], seed: int) -> set[str]:
    centroids = datacomp.centroids(samples, CLUSTERS, seed)
    return datacomp.image_based(samples, centroids, pool.targets)


def test_image_based(pool: Pool) -> None:
    fitting = datacomp.caption_filter(pool.samples, datacomp.fasttext_english(FASTTEXT))
    expected = image_based(pool, fitting, seed=0)
    assert 0 < len(expected) < len(fitting) < len(pool.samples)
    assert pool.members("image_based") == expected


def test_image_based_without_its_caption_filter(pool: Pool) -> None:
    expected = image_based(pool, pool.samples, seed=3)
    assert pool.members("any_text") == expected


@pytest.mark.parametrize(("mix", "fraction"), [("top30", 0.3), ("top1", 0.01)])
def test_clip_score_by_fraction_keeps_ties(pool: Pool, mix: str, fraction: float) -> None:
    threshold = datacomp.threshold_of(pool.samples, L14, fraction)
    expected = datacomp.at_least(pool.samples, L14, threshold)
    assert len(expected) >= int(len(pool.samples) * fraction) + 1
    assert pool.mix(mix) == pool.with_text(expected)
    cut = pool.bench.project.workspace.tables.read(THRESHOLDS, mix=mix).row(0, named=True)
    assert np.float32(cut["value"]) == threshold
    assert cut["n_at_or_above"] == len(expected)
    n_tied = sum(np.float32(one[L14]) == threshold for one in pool.samples)
    assert cut["n_tied"] == n_tied > (1 if mix == "top30" else 0)


def test_clip_score_by_threshold(pool: Pool) -> None:
    expected = datacomp.at_least(pool.samples, L14, np.float32(0.2))
    assert pool.mix("above") == pool.with_text(expected)


def test_the_intersection_ranks_the_whole_pool(pool: Pool) -> None:
    fitting = datacomp.caption_filter(pool.samples, datacomp.fasttext_english(FASTTEXT))
    threshold = datacomp.threshold_of(pool.samples, L14, 0.3)
    best = datacomp.at_least(pool.samples, L14, threshold)
    expected = image_based(pool, fitting, seed=0) & best
    assert expected
    assert pool.mix("intersection") == expected


@pytest.mark.parametrize("name", ["no_filter", "basic", "laion2b", "text_based", "image_based"])
def test_subset_files_are_datacomps_to_the_byte(pool: Pool, name: str, tmp_path: Path) -> None:
    write_subset(tmp_path / "ours.npy", members_of(pool.bench.project, name))
    expected = datacomp.subset_file(pool.members(name))
    assert (tmp_path / "ours.npy").read_bytes() == expected


def test_nothing_is_left_to_build_and_reasons_add_up(pool: Pool) -> None:
    assert pool.bench.build("pool", "scores", "sets", "mixes") == []
