"""Groups of samples that show one image, and the one of each group that is kept."""

import numpy as np
import polars as pl
from numpy.typing import NDArray


def groups_of(n: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Connected components of a graph of near duplicates.

    What is like something that is like something else is of one group with both, as in fastdup
    and Data-Juicer.

    Args:
        n: Samples.
        pairs: Shape (n_pairs, 2): positions of samples that are alike.

    Returns:
        Shape (n,): the smallest position in each sample's group.
    """
    parent = np.arange(n)
    while True:
        ones, others = parent[pairs[:, 0]], parent[pairs[:, 1]]
        apart = ones != others
        if not apart.any():
            return parent
        # The larger root is hung below the smaller, and then everybody looks up to the root.
        low, high = np.minimum(ones, others)[apart], np.maximum(ones, others)[apart]
        np.minimum.at(parent, high, low)
        while (parent[parent] != parent).any():
            parent = parent[parent]


def duplicates(samples: pl.DataFrame, groups: NDArray[np.int64]) -> pl.DataFrame:
    """Every sample of a group of two or more, and which one of its group is kept.

    Args:
        samples: Columns uid and `rank`: the highest of a group is kept, and of those the lowest
            uid, so that the answer does not depend on any order.
        groups: A number for each sample's group.

    Returns:
        Columns uid and kept (a uid), in the order of uid. A uid that is there twice counts once.
    """
    rows = samples.with_columns(group=pl.Series(groups)).sort(
        "rank", "uid", descending=[True, False], nulls_last=True
    )
    in_group = rows.with_columns(
        kept=pl.col("uid").first().over("group"), n=pl.col("uid").n_unique().over("group")
    )
    several = in_group.filter(pl.col("n") > 1).select("uid", "kept")
    return several.unique("uid", keep="first", maintain_order=True).sort("uid")
