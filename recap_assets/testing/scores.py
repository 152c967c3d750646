"""The contracts of scorers: subclass one of them in a module of tests, and give `scorer`.

A scorer that keeps its contract gives an image and a text the same score in any batch, order and
shard::

    class TestSiglip(EmbeddingContract):
        scorer = SiglipScorer(kind="siglip", weights="tiny.safetensors")
"""

import numpy as np
from numpy.typing import NDArray

from recap_assets.engines.protocols import Image, PairScorer, Scorer
from recap_assets.scores.kind import ByEmbeddings, ByPairs
from recap_assets.testing.inputs import Nothing, marked_but_deciding, some_images

__all__ = ["EmbeddingContract", "Nothing", "PairContract"]

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
        """A number from -1 to 1, or NaN; for no pair none."""
        scores = self.opened().score(*_pairs())
        assert scores.shape == (len(_pairs()[0]),)
        assert scores.dtype == np.float32
        assert np.all(np.isnan(scores) | (np.abs(scores) <= 1))
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


def _pairs() -> tuple[list[Image], list[str]]:
    """Every image with three texts, one after the other."""
    pairs = [(image, text) for image in some_images() for text in (*TEXTS[:2], TEXTS[4])]
    return [image for image, _ in pairs], [text for _, text in pairs]


def _agree(one: Numbers, other: Numbers) -> None:
    np.testing.assert_allclose(one, other, atol=ROUNDING, rtol=0)
