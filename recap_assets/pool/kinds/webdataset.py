"""Shards that img2dataset or DataComp's tools wrote."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from recap_assets.pool.kind import TarPool
from recap_assets.shards.manifest import Listing, PoolError, survey_tars
from recap_assets.shards.pools import ListedPool
from recap_assets.specs.fields import Address
from recap_assets.specs.findings import Finding


class WebDatasetPool(ListedPool, TarPool):
    """img2dataset or DataComp shards: `NNNNNNNN.tar` with image, `.txt` and `.json` members."""

    example = """\
kind: webdataset
shards: /data/datacomp_small/shards            # a folder, or a bucket: s3://..., gs://...
metadata: /data/datacomp_small/metadata        # optional: parquet and npz, joined by uid
shards_per_partition: 64
"""

    kind: Literal["webdataset"]
    shards: Annotated[str, Address] = Field(
        description="Folder or glob of the tars: a local path or an fsspec URL."
    )
    metadata: Annotated[str | None, Address] = Field(
        default=None,
        description="Folder with DataComp's metadata parquet (and npz) files, joined by uid.",
    )
    text_field: str | None = Field(
        default=None,
        min_length=1,
        description="Ending of the member, or field of the json (`a.b` for b of a), that holds the "
        "text; by default the `.txt` member, else the json's `caption`, else its `text`. Of a list "
        "the first counts.",
    )

    @property
    def metadata_folder(self) -> str | None:
        """The folder of `metadata`."""
        return self.metadata

    @property
    def text_place(self) -> str | None:
        """That of `text_field`."""
        return self.text_field

    def survey(self) -> Listing:
        """The tars of `shards`."""
        return survey_tars(self.shards, "pool.shards")

    def doctor(self, where: str) -> Iterator[Finding]:
        """Whether there are shards; and where the texts may be, if most samples have none."""
        yield from super().doctor(where)
        try:
            note = self.where_texts_may_be(self.survey().shards)
        except (PoolError, OSError, ValueError):
            return  # said by the listing, or by the build in its place
        if note:
            yield True, note
