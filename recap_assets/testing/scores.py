"""The contracts of scorers: subclass one of them in a module of tests, and give `scorer`.

A scorer that keeps its contract gives an image and a text the same score in any batch, order and
shard::

    class TestSiglip(EmbeddingContract):
        scorer = SiglipScorer(kind="siglip", weights="tiny.safetensors")
"""

from collections.abc import Mapping
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.captions import texts_key, texts_of
from recap_assets.artefacts.scores import BEYOND, CLIP_SCORES
from recap_assets.engines.protocols import Image, PairScorer, Scorer, TextScorer
from recap_assets.graph.building import compute_and_write
from recap_assets.graph.node import Node, Rows, Step
from recap_assets.graph.project import Project
from recap_assets.scores.kind import ByEmbeddings, ByPairs, ByTexts, OwnScores
from recap_assets.specs.sources import RAW
from recap_assets.testing.inputs import Nothing, marked_but_deciding, some_images

__all__ = ["EmbeddingContract", "Nothing", "OwnScoresContract", "PairContract", "TextContract"]

TEXTS = (
    "a photo of a dog",
    "",
    "IMG_2231.jpg",
    "word " * 120,
    "deux chats, été 2019!",
    "a photo of a dog",
)
ROUNDING = 1e-6
"""How far the same row may be apart beside other rows."""

Numbers = NDArray[np.float32]


class EmbeddingContract:
    """What must hold of every kind below `ByEmbeddings`; its tests need `scorer` alone."""

    scorer: ByEmbeddings
    places: object = Nothing()

    def opened(self) -> Scorer:
        """The scorer, opened again."""
        return self.scorer.open(self.places)  # type: ignore[arg-type]

    def test_embeddings_are_of_unit_length_and_as_long_as_said(self) -> None:
        """Float32, a row for each image and each text."""
        scorer, images = self.opened(), some_images()
        for rows, n in (
            (scorer.embed_images(images), len(images)),
            (scorer.embed_texts(TEXTS), len(TEXTS)),
            (scorer.embed_images([]), 0),
            (scorer.embed_texts([]), 0),
        ):
            assert rows.shape == (n, scorer.embedding_dim)
            assert rows.dtype == np.float32
            np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-4)

    def test_an_embedding_depends_on_nothing_beside_it(self) -> None:
        """The same in any batch and order."""
        scorer, images = self.opened(), some_images()
        whole = scorer.embed_images(images)
        _agree(whole, np.concatenate([scorer.embed_images([image]) for image in images]))
        _agree(whole, scorer.embed_images(images[::-1])[::-1])
        texts = scorer.embed_texts(TEXTS)
        _agree(texts, np.concatenate([scorer.embed_texts([text]) for text in TEXTS]))
        _agree(texts, scorer.embed_texts(TEXTS[::-1])[::-1])

    def test_opened_anew_it_embeds_the_same(self) -> None:
        """Nothing is remembered, and nothing is drawn."""
        images = some_images()
        _agree(self.opened().embed_images(images), self.opened().embed_images(images))
        _agree(self.opened().embed_texts(TEXTS), self.opened().embed_texts(TEXTS))

    def test_the_images_stay_as_they_are(self) -> None:
        """Captioners and other scorers are given the same arrays."""
        images = some_images()
        self.opened().embed_images(images)
        assert all(map(np.array_equal, images, some_images()))

    def test_what_decides_is_what_has_no_mark(self) -> None:
        """Speed, places, secrets and prices are in no version."""
        assert not marked_but_deciding(self.scorer)


class PairContract:
    """What must hold of every kind below `ByPairs`; its tests need `scorer` alone."""

    scorer: ByPairs
    places: object = Nothing()

    def opened(self) -> PairScorer:
        """The scorer, opened again."""
        return self.scorer.open(self.places)  # type: ignore[arg-type]

    def test_each_pair_has_a_score_in_range_or_none(self) -> None:
        """A number of the kind's range, or NaN; for no pair none."""
        scores = self.opened().score(*_pairs())
        assert scores.shape == (len(_pairs()[0]),)
        assert scores.dtype == np.float32
        assert np.all(np.isnan(scores) | (np.abs(scores) <= _most(self.scorer)))
        assert self.opened().score([], []).shape == (0,)

    def test_a_score_depends_on_its_image_and_text_alone(self) -> None:
        """The same in any batch and order, and whether its image has other texts or not."""
        scorer = self.opened()
        images, texts = _pairs()
        whole = scorer.score(images, texts)
        alone = [scorer.score([i], [t]) for i, t in zip(images, texts, strict=True)]
        _agree(whole, np.concatenate(alone))
        _agree(whole, scorer.score(images[::-1], texts[::-1])[::-1])

    def test_opened_anew_it_gives_the_same(self) -> None:
        """Nothing is remembered, and nothing is drawn."""
        _agree(self.opened().score(*_pairs()), self.opened().score(*_pairs()))

    def test_the_images_stay_as_they_are(self) -> None:
        """Captioners and other scorers are given the same arrays."""
        images, texts = _pairs()
        self.opened().score(images, texts)
        assert all(map(np.array_equal, images, _pairs()[0]))

    def test_what_decides_is_what_has_no_mark(self) -> None:
        """Speed, places, secrets and prices are in no version."""
        assert not marked_but_deciding(self.scorer)


class TextContract:
    """What must hold of every kind below `ByTexts`; its tests need `scorer` alone."""

    scorer: ByTexts
    places: object = Nothing()

    def opened(self) -> TextScorer:
        """The scorer, opened again."""
        return self.scorer.open(self.places)  # type: ignore[arg-type]

    def test_each_text_has_a_score_in_range_or_none(self) -> None:
        """A number of the kind's range, or NaN; for no text none."""
        scores = self.opened().score(TEXTS)
        assert scores.shape == (len(TEXTS),)
        assert scores.dtype == np.float32
        assert np.all(np.isnan(scores) | (np.abs(scores) <= _most(self.scorer)))
        assert self.opened().score([]).shape == (0,)

    def test_a_score_depends_on_its_text_alone(self) -> None:
        """The same in any batch and order, and opened anew."""
        scorer = self.opened()
        whole = scorer.score(TEXTS)
        _agree(whole, np.concatenate([scorer.score([text]) for text in TEXTS]))
        _agree(whole, scorer.score(TEXTS[::-1])[::-1])
        _agree(whole, self.opened().score(TEXTS))

    def test_what_decides_is_what_has_no_mark(self) -> None:
        """Speed, places, secrets and prices are in no version."""
        assert not marked_but_deciding(self.scorer)


class OwnScoresContract:
    """What must hold of every kind below `OwnScores`.

    Its tests need a `project` whose pool, texts and other scores are built, and the `name` of the
    scorer in it.
    """

    project: Project
    name: str
    source: str = RAW

    def nodes(self) -> list[Node]:
        """The kind's own assets, in the order of the graph."""
        spec = cast(OwnScores, self.project.experiment.scorers[self.name])
        return spec.nodes(self.name, self.source, self.project)

    def scored(self) -> Mapping[str, pl.DataFrame]:
        """The scores of each partition, computed anew."""
        *others, scores = sorted(self.nodes(), key=lambda node: node.key == self._key)
        for node in others:
            for partition in self.project.partitions if node.dimension == "pool" else ("",):
                compute_and_write(node, Step(partition))
        found = {key: scores.compute(Step(key)) for key in self.project.partitions}
        return {key: rows.frame for key, rows in found.items() if isinstance(rows, Rows)}

    @property
    def _key(self) -> str:
        return CLIP_SCORES.key(self.name, self.source)

    def test_it_has_the_asset_of_its_scores(self) -> None:
        """Once, and it waits for the texts."""
        keys = [node.key for node in self.nodes()]
        assert keys.count(self._key) == 1
        assert len(set(keys)) == len(keys)
        node = next(node for node in self.nodes() if node.key == self._key)
        reads = {(one.asset, one.partitions) for one in node.dependencies}
        assert (texts_key(self.source), "same") in reads

    def test_each_text_has_one_row_in_range_and_what_has_none_is_null(self) -> None:
        """Of what has no text there is no score."""
        spec = cast(OwnScores, self.project.experiment.scorers[self.name])
        for partition, rows in self.scored().items():
            texts = texts_of(self.project.workspace.tables, self.source, partition)
            keys = ["shard", "uid", "candidate"]
            assert sorted(rows.select(keys).rows()) == sorted(texts.select(keys).rows())
            scores = rows["score"].drop_nulls().to_numpy()
            assert len(scores)
            assert (np.abs(scores) <= (1.001 if spec.bounded else BEYOND)).all()
            without = texts.filter(pl.col("text").is_null())
            there = rows.join(without, on=keys, how="semi")["score"]
            assert there.null_count() == len(there)

    def test_computed_again_it_gives_the_same(self) -> None:
        """Nothing is remembered, and what is drawn is drawn by seed and uid."""
        for one, other in zip(self.scored().values(), self.scored().values(), strict=True):
            assert one.equals(other)

    def test_what_decides_is_what_has_no_mark(self) -> None:
        """Speed, places, secrets and prices are in no version."""
        assert not marked_but_deciding(self.project.experiment.scorers[self.name])


def _most(spec: ByPairs | ByTexts) -> float:
    return 1.0 if spec.bounded else float(np.finfo(np.float32).max)


def _pairs() -> tuple[list[Image], list[str]]:
    """Every image with three texts, one after the other."""
    pairs = [(image, text) for image in some_images() for text in (*TEXTS[:2], TEXTS[4])]
    return [image for image, _ in pairs], [text for _, text in pairs]


def _agree(one: Numbers, other: Numbers) -> None:
    np.testing.assert_allclose(one, other, atol=ROUNDING, rtol=0)
