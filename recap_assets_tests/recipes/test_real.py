"""Recipes on real images and texts, with tiny models in the hub's layout: settings, and no code.

Each recipe is its own file at smoke size, with other settings: a slice of two real pools, BLIP-2,
BLIP and CoCa in place of the captioners that are trained, a CLIP of open_clip in place of the
scorer, a language model or CapsFusion's own triples in place of drawn ones, and real evaluation
sets. All of them are built in one folder under one name, so that what several read is built once.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from recap_assets.artefacts import (
    CURATED_MIXES,
    EVALUATION_RESULTS,
    RAW_POOL,
    SYNTHETIC_CAPTIONS,
    is_usable,
)
from recap_assets.graph.planner import plan
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.loading import load_experiment
from recap_assets.specs.recipe_book import recipe_named
from recap_assets_tests.captions.rewriters.tiny_language import save_language_model
from recap_assets_tests.captions.tiny_captioners import save_blip, save_blip2, save_coca
from recap_assets_tests.recipes.plain_mixes import PlainPool, plain_pairs
from recap_assets_tests.recipes.real_slices import write_pool, write_sets
from recap_assets_tests.scores.tiny_clip import save_clip
from recap_assets_tests.tiny import TOWER, Bench, Memory

pytestmark = pytest.mark.long(reason="trains a CLIP on each mix of ten recipes")

SHORT = {"min_tokens": 2, "max_tokens": 8}


@dataclass(frozen=True)
class World:
    """What all recipes share: the real samples by uid, the folders of models, the records."""

    folder: Path
    samples: Mapping[str, Mapping[str, bytes]]
    settings: Mapping[str, object]
    memory: Memory
    models: Mapping[str, str]
    triples: Path

    def experiment(self, recipe: str) -> Experiment:
        """The recipe's file with the settings of real data."""
        changed = {**self.settings, **self.of_recipe(recipe)}
        settings = [f"{key}={json.dumps(value)}" for key, value in changed.items()]
        return load_experiment(recipe_named(recipe).path, ["size=smoke", *settings])

    def of_recipe(self, recipe: str) -> Mapping[str, object]:
        """The settings of one recipe."""
        blip, blip2 = (_transformers(self.models[name]) for name in ("blip", "blip2"))
        coca = {"kind": "open_clip", "model": f"local-dir:{self.models['coca']}", "device": "cpu"}
        two = {"sources.a": blip2, "sources.b": {**coca, "decoding": SHORT}}
        language = _transformers(self.models["language"])
        return {
            "1": {
                **two,
                "sets.in1k.clusters": 4,
                "sets.in1k.captions": None,
                "scorers.visual.words": str(self.folder / "words.txt"),
            },
            "2": {
                **two,
                "models": {
                    "referee": {
                        "kind": "preference", "scorer": "clip", "samples_seen": 2_000,
                        "preferences": str(self.folder / "preferences.jsonl"),
                    }
                },
            },
            "4": {
                "sources.a": blip2,
                "sources.fused.by": language,
                "sources.fused.prompt": "Description: {a} Web text: {raw} Both:",
            },
            "7": {
                "sources.a": blip2,
                "corpora": {
                    "triples": {
                        "kind": "texts",
                        "files": str(self.triples),
                        "reads": {"raw": "raw", "a": "recaption_blip"},
                        "writes": "fused_llm",
                        "rows_at_most": 200,
                    }
                },
                "models": {
                    "rewriter": {
                        "kind": "rewriter", "corpus": "triples", "samples_seen": 128,
                        "batch_size": 16, "width": 32,
                    }
                },
                # So little trained, it would write nothing at its likeliest.
                "sources.fused.by.decoding": {"temperature": 1.0, "min_tokens": 3, "max_tokens": 9},
            },
            "8": {"sources.a": blip2, "sets.spread.clusters": 4, "sets.spread.per_cluster": 5},
            "17": {"sources.a": blip2},
            "18": {
                "sources.hot": {**blip, "candidates": 4, "decoding": {**SHORT, "temperature": 1.5}},
                "sources.calm": {**blip, "decoding": {**SHORT, "strategy": "greedy"}},
                "sources.refined.by": language,
                "sources.refined.prompt": "Caption: {picked} Web text: {raw} Both:",
            },
            "19": {"sets.usual.frequent_ngrams": 10_000},
            "24": _captioned(self.models["blip"], "sampled", "plain", "diverse"),
            "25": _captioned(self.models["blip"], "a", "guided"),
        }[recipe]  # fmt: skip


def _captioned(folder: str, *sources: str) -> dict[str, object]:
    """A captioner for these sources, which keep their own way of decoding, but write little."""
    settings = {"kind": "transformers", "model": folder, "device": "cpu"}
    short = {f"decoding.{key}": value for key, value in SHORT.items()}
    return {
        f"sources.{source}.{key}": value
        for source in sources
        for key, value in {**settings, **short}.items()
    }


def _transformers(folder: str) -> dict[str, object]:
    return {"kind": "transformers", "model": folder, "device": "cpu", "decoding": SHORT}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> World:
    folder = tmp_path_factory.mktemp("real")
    savers = {
        "blip": save_blip, "blip2": save_blip2, "coca": save_coca, "clip": save_clip,
        "language": save_language_model,
    }  # fmt: skip
    models: dict[str, str] = {}
    for name, save in savers.items():
        (folder / name).mkdir()
        models[name] = str(save(folder / name))
    (folder / "words.txt").write_text("dog\ngirl\nman\nwater\ngrass\nchart\nword1\nword2\n")
    samples = write_pool(shared_data, folder / "pool")
    (folder / "preferences.jsonl").write_text("".join(preferences_of(samples)))
    clip = {"kind": "open_clip", "model": f"local-dir:{models['clip']}", "device": "cpu"}
    settings = {
        "name": "real",
        "pool": {"kind": "webdataset", "shards": str(folder / "pool"), "shards_per_partition": 1},
        "corpora": {},
        "models": {},
        "scorers.clip": clip,
        "diversity": {"sample": 30},
        "training.samples_seen": 32,
        "training.batch_size": 16,
        "training.tower": TOWER,
        "evaluation.tasks": write_sets(shared_data, folder / "eval"),
    }
    triples = shared_data / "texts" / "capsfusion_triples.jsonl.gz"
    return World(folder, samples, settings, Memory(), models, triples)


@pytest.mark.parametrize("recipe", ["1", "2", "4", "7", "8", "17", "18", "19", "24", "25"])
def test_a_recipe_runs_on_real_images_and_texts(recipe: str, world: World) -> None:
    experiment = world.experiment(recipe)
    bench = Bench(world.folder / "data", experiment, world.memory)
    bench.build(draws=True)
    assert not plan(bench.graph, bench.memory).to_build
    tables = bench.project.workspace.tables
    raw = tables.read(RAW_POOL)
    assert {uid.hex() for uid in raw["uid"]} == set(world.samples)
    check_captions(experiment, raw, tables.read(SYNTHETIC_CAPTIONS))
    pairs = tables.read(CURATED_MIXES)
    scorers = {experiment.scorer_of(mix) for mix in experiment.mixes.values()}
    pools = {scorer: PlainPool.of(tables, scorer) for scorer in scorers}
    for name, mix in experiment.mixes.items():
        found = pairs.filter(pl.col("mix") == name)
        expected = plain_pairs(mix, pools[experiment.scorer_of(mix)], raw["uid"])
        assert sorted(found.select("uid", "text").iter_rows()) == sorted(expected), name
        assert expected, name
    check_images(bench, world, pairs)
    evaluated = tables.read(EVALUATION_RESULTS)
    assert set(experiment.mixes) <= set(evaluated["mix"])
    assert {"fine", "retrieval"} == set(evaluated["task"])


def preferences_of(samples: Mapping[str, Mapping[str, bytes]]) -> Iterator[str]:
    """Of each image its own text over that of another one."""
    texts = {uid: sample["txt"].decode() for uid, sample in samples.items()}
    for uid, other in zip(texts, reversed(texts), strict=True):
        yield json.dumps({"uid": uid, "better": texts[uid], "worse": texts[other]}) + "\n"


def check_captions(experiment: Experiment, raw: pl.DataFrame, captions: pl.DataFrame) -> None:
    """Every usable image has its candidates of every source, and most of them are usable."""
    usable = set(raw.filter(is_usable())["uid"])
    assert len(usable) >= 36
    for name, source in experiment.sources.items():
        rows = captions.filter(pl.col("source") == name)
        assert set(rows["uid"]) == usable, name
        counts = rows.group_by("uid").len()["len"]
        assert counts.min() == counts.max() == getattr(source, "candidates", 1), name
        assert rows.filter(is_usable())["uid"].n_unique() > len(usable) / 2, name


def check_images(bench: Bench, world: World, pairs: pl.DataFrame) -> None:
    """The image of a pair is, by the shard and the place that are recorded, that of the pool."""
    uid = pairs["uid"].sort()[0]
    row = bench.project.workspace.tables.read(RAW_POOL).row(
        by_predicate=pl.col("uid") == uid, named=True
    )
    shard = bench.project.shards[row["shard"]]
    with Path(shard.url).open("rb") as file:
        file.seek(row["offset"])
        image = file.read(row["size"])
    original = world.samples[uid.hex()]
    assert image in original.values()
    assert hashlib.sha256(image).digest() == row["sha256"]
    assert json.loads(original["json"])["uid"] == uid.hex()
