"""The pool's images for pages: bytes that hash to what the index says, and small copies of them."""

import threading
from collections import OrderedDict
from typing import Any, NamedTuple

import polars as pl

from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.table import is_usable
from recap_assets.graph.project import Project
from recap_assets.shards.image_headers import ImageRejected
from recap_assets.shards.images import decode
from recap_assets.shards.reading import ImageReader
from recap_assets.shards.thumbnails import THUMBNAIL_SIDE, thumbnail

VIEW_SIDE = 768
"""Pixels of the longer side of an image that is shown by itself."""

KEPT_BYTES = 32 * 2**20
"""Of small copies in memory; browsers keep them as well."""

SIDES = {"thumb": THUMBNAIL_SIDE, "view": VIEW_SIDE}
"""What an image is asked for as, and its longer side in pixels."""


class PoolImage(NamedTuple):
    """An image's row of the pool.

    Attributes:
        row: Of the table `raw_pool`, alone in a frame: where its bytes are, and their sha256.
        media_type: Of its bytes.
    """

    row: pl.DataFrame
    media_type: str

    @property
    def values(self) -> dict[str, Any]:
        """By column."""
        return self.row.row(0, named=True)


class Images:
    """Reads images, one request at a time, and keeps small copies."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._reader: ImageReader | None = None
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, bytes, str], bytes] = OrderedDict()
        self._n_bytes = 0

    def find(self, partition: str, uid: bytes) -> PoolImage | None:
        """Where an image is; of several samples of one uid a usable one."""
        found = (
            self._project.workspace.tables.scan(RAW_POOL, partition=partition)
            .filter(pl.col("uid") == pl.lit(uid))
            .select("shard", "key", "offset", "size", "sha256", "image_format", "status")
            .sort(~is_usable(), "shard", "key")
            .head(1)
            .collect()
        )
        if found.is_empty():
            return None
        image_format = found["image_format"].item() or ""
        return PoolImage(found, f"image/{image_format.lower()}" if image_format else "")

    def encoded(self, image: PoolImage) -> bytes | None:
        """The bytes as the pool has them; None where they are gone, or have another sha256."""
        known = image.row if image.values["sha256"] is not None else image.row.drop("sha256")
        with self._lock:
            return self._opened().read_encoded(known)[0]

    def small(self, partition: str, uid: bytes, kind: str) -> bytes | None:
        """A JPEG of one of SIDES; None where there is no image that can be shown."""
        key = partition, uid, kind
        with self._lock:
            if (known := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return known
        image = self.find(partition, uid)
        data = None if image is None or image.values["sha256"] is None else self.encoded(image)
        return None if data is None else self._made(key, data)

    def _made(self, key: tuple[str, bytes, str], data: bytes) -> bytes | None:
        side = SIDES[key[2]]
        try:
            pixels = decode(data, self._project.pool.limits, side)
        except ImageRejected:
            return None
        small = thumbnail(pixels, side)
        with self._lock:
            self._keep(key, small)
        return small

    def _keep(self, key: tuple[str, bytes, str], small: bytes) -> None:
        self._n_bytes += len(small) - len(self._kept.pop(key, b""))
        self._kept[key] = small
        while self._n_bytes > KEPT_BYTES:
            self._n_bytes -= len(self._kept.popitem(last=False)[1])

    def _opened(self) -> ImageReader:
        if self._reader is None:
            self._reader = ImageReader(self._project.shards, self._project.pool)
        return self._reader
