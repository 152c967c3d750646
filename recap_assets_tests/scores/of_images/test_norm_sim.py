"""NormSim beside the plain formula."""

from typing import Literal

import numpy as np
import pytest

from recap_assets.artefacts.scores import (
    IMAGE_EMBEDDINGS,
    IMAGE_SCORES,
    TARGET_EMBEDDINGS,
    vectors_of,
)
from recap_assets.scores.of_images.kinds.norm_sim import formula
from recap_assets.scores.of_images.kinds.norm_sim.formula import norms
from recap_assets_tests.tiny import Bench


@pytest.mark.parametrize("norm", ["max", 2])
def test_the_norms_are_those_of_the_formula(
    norm: Literal["max", 2], monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = np.random.default_rng(0)
    images, targets = generator.normal(size=(400, 16)), generator.normal(size=(70, 16))
    targets[5] = targets[6]
    cosines = np.abs(images @ targets.T)
    told = cosines.max(axis=1) if norm == "max" else (cosines**2).sum(axis=1) ** 0.5
    for cells in (400, 4_000, 1 << 22):
        monkeypatch.setattr(formula, "_CELLS", cells)
        np.testing.assert_allclose(norms(images, targets, norm), told, rtol=1e-6)


def test_the_assets_hold_it(own: Bench) -> None:
    tables = own.project.workspace.tables
    target = vectors_of(tables.read(TARGET_EMBEDDINGS, scorer="norm_sim")["embedding"])
    assert target.shape == (24, 32)  # the task's images
    np.testing.assert_allclose(np.linalg.norm(target, axis=1), 1, atol=1e-2)
    embedded = tables.read(IMAGE_EMBEDDINGS, scorer="clip")
    found = dict(tables.read(IMAGE_SCORES, scorer="norm_sim").select("uid", "score").rows())
    assert found.keys() == set(embedded["uid"])
    vectors = vectors_of(embedded["embedding"]).astype(np.float64)
    told = np.sqrt(((vectors @ target.astype(np.float64).T) ** 2).sum(axis=1))
    np.testing.assert_allclose([found[uid] for uid in embedded["uid"]], told, rtol=1e-6)
    reads = {one.asset for one in own.graph.nodes["image_scores/norm_sim"].dependencies}
    assert reads == {"image_embeddings/clip", "target_embeddings/norm_sim"}
