"""The contracts of image scorers: subclass one of them in a module of tests, and give `scorer`.

A scorer that keeps its contract gives an image the same score in any batch, order and shard::

    class TestSharpness(OfImagesContract):
        scorer = SharpnessScorer(kind="sharpness")
"""

from collections.abc import Mapping
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from recap_assets.artefacts.scores import IMAGE_SCORES
from recap_assets.engines.protocols import ImageScorer, VectorScorer
from recap_assets.graph.building import compute_and_write
from recap_assets.graph.node import Node, Rows, Step
from recap_assets.graph.project import Project
from recap_assets.scores.of_images.kind import OfEmbeddings, OfImages, OwnImageScores
from recap_assets.specs.references import EMBEDDINGS
from recap_assets.testing.inputs import Nothing, marked_but_deciding, some_images

ROUNDING = 1e-6
"""How far a score may be apart beside other images, for scores of about 1."""

Numbers = NDArray[np.float32]


class OfImagesContract:
    """What must hold of every kind below `OfImages`; its tests need `scorer` alone."""

    scorer: OfImages
    places: object = Nothing()

    def opened(self) -> ImageScorer:
        """The scorer, opened again."""
        return self.scorer.open(self.places)  # type: ignore[arg-type]

    def test_each_image_has_a_number_or_none(self) -> None:
        """Float32; NaN where there is no score, and never infinite; for no image none."""
        images = some_images()
        _fits(self.opened().score(images), len(images))
        _fits(self.opened().score([]), 0)

    def test_a_score_depends_on_its_image_alone(self) -> None:
        """The same in any batch and order."""
        scorer, images = self.opened(), some_images()
        whole = scorer.score(images)
        _agree(whole, np.concatenate([scorer.score([image]) for image in images]))
        _agree(whole, scorer.score(images[::-1])[::-1])

    def test_opened_anew_it_gives_the_same(self) -> None:
        """Nothing is remembered, and nothing is drawn."""
        _agree(self.opened().score(some_images()), self.opened().score(some_images()))

    def test_the_images_stay_as_they_are(self) -> None:
        """Captioners and other scorers are given the same arrays."""
        images = some_images()
        self.opened().score(images)
        assert all(map(np.array_equal, images, some_images()))

    def test_what_decides_is_what_has_no_mark(self) -> None:
        """Speed, places, secrets and prices are in no version."""
        assert not marked_but_deciding(self.scorer)


class OfEmbeddingsContract:
    """What must hold of every kind below `OfEmbeddings`; its tests need `scorer` and `width`."""

    scorer: OfEmbeddings
    width: int
    """Of the embeddings that it takes."""

    places: object = Nothing()

    def opened(self) -> VectorScorer:
        """The scorer, opened again."""
        return self.scorer.open(self.places)  # type: ignore[arg-type]

    def vectors(self) -> Numbers:
        """Some embeddings of unit length, as they come from the table."""
        rows = np.random.default_rng(0).normal(size=(9, self.width))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows.astype(np.float16).astype(np.float32)

    def test_each_embedding_has_a_number_or_none(self) -> None:
        """Float32; NaN where there is no score, and never infinite."""
        _fits(self.opened().score(self.vectors()), len(self.vectors()))

    def test_a_score_depends_on_its_embedding_alone(self) -> None:
        """The same in any batch and order."""
        scorer, rows = self.opened(), self.vectors()
        whole = scorer.score(rows)
        _agree(whole, np.concatenate([scorer.score(rows[[i]]) for i in range(len(rows))]))
        _agree(whole, scorer.score(rows[::-1])[::-1])

    def test_opened_anew_it_gives_the_same(self) -> None:
        """Nothing is remembered, and nothing is drawn."""
        _agree(self.opened().score(self.vectors()), self.opened().score(self.vectors()))

    def test_it_names_the_scorer_whose_embeddings_it_takes(self) -> None:
        """So that a file that names another one, or one without embeddings, is refused."""
        asked = [one.name for one in self.scorer.refers() if one.gives == EMBEDDINGS]
        assert self.scorer.embedded_by in asked

    def test_what_decides_is_what_has_no_mark(self) -> None:
        """Speed, places, secrets and prices are in no version."""
        assert not marked_but_deciding(self.scorer)


def _fits(scores: Numbers, n: int) -> None:
    assert scores.shape == (n,)
    assert scores.dtype == np.float32
    assert not np.any(np.isinf(scores))


def _agree(one: Numbers, other: Numbers) -> None:
    np.testing.assert_allclose(one, other, atol=ROUNDING, rtol=ROUNDING)


class OwnImageScoresContract:
    """What must hold of every kind below `OwnImageScores`.

    Its tests need a `project` whose pool and other scores are built, and the `name` of the scorer.
    """

    project: Project
    name: str

    def nodes(self) -> list[Node]:
        """The kind's own assets."""
        spec = cast(OwnImageScores, self.project.experiment.image_scorers[self.name])
        return spec.nodes(self.name, self.project)

    def scored(self) -> Mapping[str, pl.DataFrame]:
        """The scores of each partition, computed anew."""
        key = IMAGE_SCORES.key(self.name)
        *others, scores = sorted(self.nodes(), key=lambda node: node.key == key)
        for node in others:
            for partition in self.project.partitions if node.dimension == "pool" else ("",):
                compute_and_write(node, Step(partition))
        found = {key: scores.compute(Step(key)) for key in self.project.partitions}
        return {key: rows.frame for key, rows in found.items() if isinstance(rows, Rows)}

    def test_it_has_the_asset_of_its_scores(self) -> None:
        """Once."""
        keys = [node.key for node in self.nodes()]
        assert keys.count(IMAGE_SCORES.key(self.name)) == 1
        assert len(set(keys)) == len(keys)

    def test_each_image_has_one_finite_score_or_none(self) -> None:
        """And no other image has one."""
        for partition, rows in self.scored().items():
            uids = self.project.usable_images(partition)["uid"]
            assert rows.height
            assert rows["uid"].n_unique() == rows.height
            assert rows["uid"].is_in(uids.implode()).all()
            assert rows["score"].is_finite().all()

    def test_computed_again_it_gives_the_same(self) -> None:
        """Nothing is remembered, and what is drawn is drawn by seed and uid."""
        for one, other in zip(self.scored().values(), self.scored().values(), strict=True):
            assert one.equals(other)

    def test_what_decides_is_what_has_no_mark(self) -> None:
        """Speed, places, secrets and prices are in no version."""
        assert not marked_but_deciding(self.project.experiment.image_scorers[self.name])
