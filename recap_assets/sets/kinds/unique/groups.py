"""Groups of samples that show one image, and the one of each group that is kept."""

import numpy as np
import polars as pl
from numpy.typing import NDArray


class Groups:
    """Connected components of a graph of near duplicates, whose pairs come some at a time.

    What is like something that is like something else is of one group with both, as in fastdup
    and Data-Juicer. In memory 5 bytes a sample (9 for more than two billion), and no pairs.

    Attributes:
        is_joined: Of each sample, whether any pair has it.
    """

    def __init__(self, n: int) -> None:
        self._parent = np.arange(n, dtype=np.int32 if n < 2**31 else np.int64)
        self.is_joined = np.zeros(n, np.bool_)

    def join(self, pairs: NDArray[np.int64]) -> None:
        """Make the samples of each pair one group's.

        Args:
            pairs: Shape (n_pairs, 2): positions of samples that are alike.
        """
        self.is_joined[pairs.ravel()] = True
        ones, others = pairs.T
        while len(ones):
            ones, others = self.roots(ones), self.roots(others)
            apart = ones != others
            ones, others = ones[apart], others[apart]
            # The larger root is hung below the smaller; of several smaller ones, the rest is next.
            low, high = np.minimum(ones, others), np.maximum(ones, others)
            np.minimum.at(self._parent, high, low)

    def roots(self, positions: NDArray[np.integer]) -> NDArray[np.integer]:
        """The smallest position in the group of each of some samples, once it has been joined."""
        found = self._parent[positions]
        while True:
            above = self._parent[found]
            if np.array_equal(above, found):
                break
            found = self._parent[above]
        self._parent[positions] = found
        return found

    def are_apart(self, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the samples of each pair are of two groups."""
        return self.roots(pairs[:, 0]) != self.roots(pairs[:, 1])


def duplicates(samples: pl.DataFrame) -> pl.DataFrame:
    """Every sample of a group of two or more, and which one of its group is kept.

    Args:
        samples: Columns uid, shard, `group`, equal within a group, and `rank`: the highest of a
            group is kept, and of those the lowest uid, so that the answer does not depend on any
            order.

    Returns:
        Columns shard, uid and kept (a uid), in the order of uid. A uid that is there twice counts
        once.
    """
    rows = samples.sort("rank", "uid", "shard", descending=[True, False, False], nulls_last=True)
    in_group = rows.with_columns(
        kept=pl.col("uid").first().over("group"), n=pl.col("uid").n_unique().over("group")
    )
    several = in_group.filter(pl.col("n") > 1).select("shard", "uid", "kept")
    return several.unique("uid", keep="first", maintain_order=True).sort("uid")
