"""What metaxy 0.1.11 takes to find the rows that `rows.py` finds; for a Python that has it.

Two features in a Delta store on the disk: images, each with the version of its bytes, and captions
that depend on them. All captions are recorded, one image in 100 changes, and `resolve_update` finds
the captions that are stale. Ids and versions are the same bytes as in `rows.py`, in hex.

    PYTHON benchmarks/rows_metaxy.py ROWS    # the last line is JSON: seconds, and of all cores
"""

import json
import sys
import tempfile
import time

import metaxy as mx
import numpy as np
import polars as pl
from metaxy.ext.polars.handlers.delta import DeltaMetadataStore

PER_PARTITION = 125_000
CHANGED = 100


class Images(mx.BaseFeature, spec=mx.FeatureSpec(key="images", id_columns=["uid"])):
    """The pool's images."""

    uid: str


class Captions(
    mx.BaseFeature,
    spec=mx.FeatureSpec(key="captions", id_columns=["uid"], deps=[mx.FeatureDep(feature=Images)]),
):
    """Their captions."""

    uid: str


def hexes(content: bytes) -> list[str]:
    """16 bytes each, as text."""
    return [content[at : at + 16].hex() for at in range(0, len(content), 16)]


def images(number: int, *, changes: bool) -> pl.DataFrame:
    """A partition's images with their versions."""
    rng = np.random.default_rng(number)
    uids, hashes = (rng.bytes(16 * PER_PARTITION) for _ in range(2))
    other = hexes(np.random.default_rng(-number + 10**6).bytes(16 * PER_PARTITION))
    versions = hexes(hashes)
    if changes:
        versions[::CHANGED] = other[::CHANGED]
    rows = pl.DataFrame({"uid": hexes(uids), "default": versions})
    return rows.select("uid", metaxy_provenance_by_field=pl.struct("default"))


def main() -> None:
    """Record all, change some, find them."""
    n = int(sys.argv[1]) // PER_PARTITION
    with tempfile.TemporaryDirectory() as folder:
        store = DeltaMetadataStore(root_path=folder)
        with store.open("w"):
            for number in range(n):
                store.write(Images, images(number, changes=False))
            store.write(Captions, store.resolve_update(Captions).new)
            for number in range(n):
                store.write(Images, images(number, changes=True)[::CHANGED])
        with store:
            wall, cores = time.monotonic(), time.process_time()
            found = store.resolve_update(Captions).to_polars()
            taken = {"seconds": time.monotonic() - wall, "cores": time.process_time() - cores}
        assert found.stale.height == n * PER_PARTITION // CHANGED, found.stale.height
        assert found.new.height == 0, found.new.height
    print(json.dumps(taken))


if __name__ == "__main__":
    main()
