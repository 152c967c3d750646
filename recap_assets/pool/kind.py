"""What a kind of pool is: its shards and images, and what the platform asks beside them.

A kind's module is imported before the experiment is, so it imports no more than `specs`,
`artefacts` and `shards`; the assets that write its shards are imported by its methods.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from recap_assets.pool.listing import findings_of
from recap_assets.shards.manifest import Shard, ShardFile
from recap_assets.shards.pools import EncodedImages, ListedPool, ReadablePool
from recap_assets.shards.sample_rows import SampleRow
from recap_assets.shards.tar_columns import values_of_tar
from recap_assets.shards.tar_images import TarImages
from recap_assets.shards.tar_rows import rows_of_tar
from recap_assets.shards.text_places import places_of_texts
from recap_assets.specs.findings import Finding

if TYPE_CHECKING:
    from recap_assets.graph.account import Account
    from recap_assets.graph.node import Leaving, Node
    from recap_assets.graph.project import Project


class PoolKind(ReadablePool):
    """A pool whose shards come from outside or are made here.

    One that comes from outside is below `ListedPool` too; one of tars is below `TarPool`.
    """

    def nodes(self, project: "Project") -> "list[Node]":  # noqa: ARG002 - of some kinds
        """The assets that write the shards, that of `made_by` among them."""
        return []

    @classmethod
    def gone(cls, project: "Project") -> "Iterator[Leaving]":  # noqa: ARG003 - of some kinds
        """Shards that it once wrote and that the experiment, of whatever pool, has no more."""
        yield from ()

    def forget(self, project: "Project", numbers: Sequence[int]) -> int:  # noqa: ARG002 - of some kinds
        """Take forgotten samples out of shards that it wrote, and out of what it keeps of them.

        Args:
            project: The experiment.
            numbers: Of shards that hold one.

        Returns:
            Members and rows that went; none of a pool that reads what others wrote.
        """
        return 0

    def account(self, project: "Project") -> "Account | None":  # noqa: ARG002 - of some kinds
        """What became of samples before they came to a shard; None where nothing can."""
        return None

    def doctor(self, where: str) -> Iterator[Finding]:
        """What stands between the pool and a build; `where` is its name in the file."""
        if isinstance(self, ListedPool):
            yield from findings_of(where, self.survey)

    def near_names(self, keys: Sequence[str]) -> Mapping[str, str]:  # noqa: ARG002 - of some kinds
        """What images may mean whose file is missing: names to write instead, by key."""
        return {}

    def where_texts_may_be(self, shards: Sequence[ShardFile]) -> str | None:  # noqa: ARG002 - of some kinds
        """What to do where most samples have no text; None where there is nothing to say.

        Raises:
            OSError: A shard cannot be read.
        """
        return None


class TarPool(PoolKind):
    """A pool whose shards are tars, as img2dataset writes them."""

    column_roots: ClassVar = ("json",)

    @property
    def text_place(self) -> str | None:
        """Ending of the member, or field of the json, that holds the text; None for the usual."""
        return None

    def index(self, shard: Shard, uids: Mapping[str, bytes]) -> Iterable[SampleRow]:
        """A row for every sample of a tar."""
        return rows_of_tar(shard, self.limits, self.text_place, uids)

    def open_images(self, shards: Mapping[int, Shard], *, strict: bool) -> EncodedImages:
        """The images in the tars."""
        return TarImages(shards, strict=strict)

    def column_values(self, shard: Shard, field: str) -> Iterable[tuple[str, object]]:
        """A field of the json beside each image."""
        return values_of_tar(shard, field)

    def deciding_rows(self) -> Mapping[str, object]:
        """The limits, and the place of the texts where it is not the usual one."""
        beside = self.decides_beyond_default("text_field")
        return {"limits": self.limits.decides(), **beside, **self.implemented_by}

    def where_texts_may_be(self, shards: Sequence[ShardFile]) -> str | None:
        """Which members and fields the first tar has."""
        return places_of_texts(self.text_place, shards)
