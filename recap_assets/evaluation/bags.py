"""Bags: an image and the others most similar to it."""

import numpy as np
from numpy.typing import NDArray

from recap_assets.evaluation.metrics import hit_fraction, target_ranks
from recap_assets.evaluation.zero_shot import Embeddings, cosines, row_blocks

_BLOCK = 2**22


def bags_by(looks: Embeddings, size: int) -> NDArray[np.int64]:
    """For each image itself and the others most similar to it, the most similar first.

    Args:
        looks: Unit length, shape (n, dim).
        size: Images of a bag; all of them where there are fewer.

    Returns:
        Numbers of images, shape (n, min(size, n)); of equally similar ones the first come first.
    """
    bags: list[NDArray[np.int64]] = []
    for rows in row_blocks(len(looks), max(1, _BLOCK // len(looks))):
        scores = np.nan_to_num(cosines(looks[rows], looks), nan=-np.inf)
        scores[np.arange(len(scores)), np.arange(len(looks))[rows]] = np.inf
        bags.append(np.argsort(-scores, axis=1, kind="stable")[:, :size])
    return np.concatenate(bags)


def self_retrieval_in_bags(images: Embeddings, captions: Embeddings, size: int) -> float:
    """Share of the captions whose own image scores above all others of its bag; ties miss.

    Args:
        images: Shape (n, dim), which the bags are made of as well.
        captions: Of the caption of each image, shape (n, dim).
        size: Images of a bag.
    """
    ranks = [
        target_ranks(cosines(caption[None], images[bag]), np.zeros(1, np.int64))
        for caption, bag in zip(captions, bags_by(images, size), strict=True)
    ]
    return hit_fraction(np.concatenate(ranks), 1)
