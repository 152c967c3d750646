"""negCLIPLoss beside the plain formula."""

import numpy as np
import polars as pl
import pytest
from scipy.special import logsumexp

from recap_assets.artefacts.captions import texts_of
from recap_assets.artefacts.scores import CLIP_SCORES, IMAGE_EMBEDDINGS, vectors_of
from recap_assets.artefacts.uids import uid_uniform
from recap_assets.scores.kinds.clip_loss import formula
from recap_assets.scores.kinds.clip_loss.formula import batches, normalisers, unit
from recap_assets.scores.opened import embedder_of
from recap_assets_tests.scores.conftest import OWN
from recap_assets_tests.tiny import Bench

FIELDS = OWN["neg_clip_loss"]


def rows(n: int, seed: int) -> np.ndarray:
    return unit(np.random.default_rng(seed).normal(size=(n, 24)))


@pytest.mark.parametrize("temperature", [0.001, 0.01, 1.0])
def test_the_normalisers_are_those_of_the_formula(
    temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, texts = rows(300, 1), rows(300, 2)
    texts[7], images[9] = texts[8], -texts[9]  # a repeat, and a pair that does not fit at all
    cosines = images @ texts.T / temperature
    told = temperature / 2 * (logsumexp(cosines, axis=1) + logsumexp(cosines.T, axis=1))
    for cells in (1, 1_000, 1 << 22):
        monkeypatch.setattr(formula, "_CELLS", cells)
        found = normalisers(images, texts, temperature)
        np.testing.assert_allclose(found, told, rtol=1e-10, atol=1e-12)


def test_batches_are_even_and_drawn_by_seed_and_uid() -> None:
    generator = np.random.default_rng(0)
    uids = pl.Series([generator.bytes(16) for _ in range(10_000)])
    cut = list(batches(uids, 3, 0, 300))
    assert sorted(np.concatenate(cut)) == list(range(10_000))
    assert {len(part) for part in cut} == {294, 295}
    order = generator.permutation(10_000)
    moved = list(batches(uids.gather(order), 3, 0, 300))
    named = [set(uids.gather(part)) for part in cut]
    assert [set(uids.gather(order).gather(part)) for part in moved] == named
    assert [set(uids.gather(part)) for part in batches(uids, 3, 1, 300)] != named
    assert [set(uids.gather(part)) for part in batches(uids, 4, 0, 300)] != named
    assert [len(part) for part in batches(uids[:2], 0, 0, 300)] == [2]


@pytest.mark.parametrize("source", ["raw", "a"])
def test_the_assets_hold_the_formula(own: Bench, source: str) -> None:
    project = own.project
    tables, embedder = project.workspace.tables, embedder_of(project, "clip")
    for partition in project.partitions:
        found = tables.read(CLIP_SCORES, scorer="neg_clip_loss", source=source, partition=partition)
        scores = {(uid, n): s for uid, n, s in found.select("uid", "candidate", "score").rows()}
        embedded = tables.read(IMAGE_EMBEDDINGS, scorer="clip", partition=partition)
        image_of = dict(zip(embedded["uid"], vectors_of(embedded["embedding"]), strict=True))
        texts = texts_of(tables, source, partition).drop_nulls("text")
        assert {key for key, score in scores.items() if score is not None} == {
            (uid, n) for uid, n in texts.select("uid", "candidate").rows() if uid in image_of
        }
        for (number,), part in texts.partition_by("candidate", as_dict=True).items():
            told = plainly(part.filter(pl.col("uid").is_in(list(image_of))), image_of, embedder)
            for uid, score in told.items():
                assert scores[uid, number] == pytest.approx(score, abs=1e-6)
                assert score <= 0


def plainly(part: pl.DataFrame, image_of: dict, embedder: object) -> dict[bytes, float]:
    """The score of each uid, batch by batch over whole matrices."""
    images = unit(np.stack([image_of[uid] for uid in part["uid"]]))
    texts = unit(embedder.embed_texts(part["text"].to_list()))  # type: ignore[attr-defined]
    total, t = np.zeros(part.height), FIELDS["temperature"]
    for number in range(FIELDS["rounds"]):
        for batch in batches(part["uid"], 0, number, FIELDS["batch_size"]):
            assert len(batch) <= FIELDS["batch_size"]
            c = images[batch] @ texts[batch].T / t
            total[batch] += t / 2 * (np.log(np.exp(c).sum(1)) + np.log(np.exp(c).sum(0)))
    scores = (images * texts).sum(1) - total / FIELDS["rounds"]
    return dict(zip(part["uid"], scores, strict=True))


def test_a_text_that_fits_every_image_scores_below_one_that_fits_its_own() -> None:
    # Orthogonal images; every text is its image's own but the last, which is a bit of all.
    images = np.eye(40)
    texts = unit(0.5 * images + 0.01 * rows(40, 3)[:, :1])
    texts[-1] = unit(np.ones((1, 40)))[0]
    scores = (images * texts).sum(1) - normalisers(images, texts, 0.01)
    assert scores[-1] < scores[:-1].min()
    draws = uid_uniform(0, pl.Series([bytes([n]) * 16 for n in range(40)]))
    assert len(set(draws)) == 40
