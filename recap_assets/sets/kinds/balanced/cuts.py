"""The first images of each cluster, gathered part by part."""

import polars as pl

_ORDER = ("cluster", "rank", "uid")


class Cuts:
    """Where clusters are cut off; the same for any parts and order.

    Args:
        per_cluster: Most images of one cluster.
    """

    def __init__(self, per_cluster: int) -> None:
        self._per_cluster = per_cluster
        self._sizes: dict[int, int] = {}
        schema = {"uid": pl.Binary, "cluster": pl.Int32, "rank": pl.Float64}
        self._first = pl.DataFrame(schema=schema)

    def add(self, rows: pl.DataFrame) -> None:
        """Add images: uid, cluster, rank; those without a rank are not counted."""
        ranked = rows.drop_nulls("rank").select("uid", "cluster", "rank")
        for cluster, n in ranked["cluster"].value_counts().iter_rows():
            self._sizes[cluster] = self._sizes.get(cluster, 0) + n
        both = pl.concat([self._first, ranked]).sort(_ORDER)
        self._first = both.filter(pl.int_range(pl.len()).over("cluster") < self._per_cluster)

    def rows(self) -> pl.DataFrame:
        """The last image that is taken of each cluster that has more: cluster, rank, uid."""
        large = [cluster for cluster, n in self._sizes.items() if n > self._per_cluster]
        last = self._first.unique("cluster", keep="last", maintain_order=True)
        chosen = last.filter(pl.col("cluster").is_in(large))
        return chosen.select("cluster", "rank", "uid").sort("cluster")

    @property
    def n_images(self) -> int:
        """Images that have a rank."""
        return sum(self._sizes.values())

    @property
    def n_clusters(self) -> int:
        """Clusters that have such an image."""
        return len(self._sizes)

    @property
    def n_taken(self) -> int:
        """Images that are taken."""
        return self._first.height
