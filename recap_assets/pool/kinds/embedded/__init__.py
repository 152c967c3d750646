"""The embedded world: a pool that the program draws."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field, model_validator

from recap_assets.artefacts.world import POOL_FOLDER, POOL_KEY
from recap_assets.pool.kind import TarPool
from recap_assets.shards.manifest import Shard
from recap_assets.shards.pools import PoolProject
from recap_assets.specs.findings import Finding

if TYPE_CHECKING:
    from recap_assets.graph.node import Leaving, Node
    from recap_assets.graph.project import Project

MOST_DRAWN_SHARDS = 10_000
"""Each is listed before anything is drawn."""


class EmbeddedPool(TarPool):
    """The embedded world: images that the program draws, with alt-text as noisy as the web's."""

    is_drawn: ClassVar = True
    holds_by_design: ClassVar = True
    notes: ClassVar = (
        "The pool is the embedded world: images that the program draws. It shows the direction of "
        "the paper's findings on a small scale, and nothing about their size on web data.",
        "The retrieval references are written in the grammar that the captioners learnt. This "
        "inflates the factor by which synthetic captions win on retrieval.",
    )

    kind: Literal["embedded"]
    samples: int = Field(default=6_000, gt=0, le=1_000_000, description="Image-text pairs to draw.")
    samples_per_shard: int = Field(
        default=750, gt=0, le=10_000_000, description="Pairs in each tar shard."
    )

    views: int = Field(
        default=1,
        gt=0,
        le=1_000,
        exclude_if=lambda views: views == 1,
        description="Pictures of each scene, in another place and light, with texts of their own; "
        "the jsons say by `group` which are of one.",
    )
    boxes: bool = Field(
        default=False,
        exclude_if=lambda boxes: not boxes,
        description="Whether the jsons say by `boxes` where the things of a picture are: left, "
        "upper, right and lower end in shares of its side.",
    )

    @model_validator(mode="after")
    def _shards_can_be_planned(self) -> Self:
        n_shards = -(-self.samples // self.samples_per_shard)
        if n_shards > MOST_DRAWN_SHARDS:
            msg = (
                f"{n_shards:,} shards of samples_per_shard {self.samples_per_shard:,} would be "
                f"planned, at most {MOST_DRAWN_SHARDS:,} are; raise samples_per_shard"
            )
            raise ValueError(msg)
        return self

    @property
    def pictures_of_a_scene(self) -> int:
        """Views of each."""
        return self.views

    @property
    def made_by(self) -> str:
        """The asset that draws it."""
        return POOL_KEY

    def known_shards(self, project: PoolProject) -> Mapping[int, Shard]:
        """Known before they are drawn, by the number of samples."""
        folder = project.workspace.world / POOL_FOLDER
        numbers = range(-(-self.samples // self.samples_per_shard))
        return {number: _shard(folder, number) for number in numbers}

    def nodes(self, project: "Project") -> "list[Node]":
        """The asset that draws the shards."""
        from recap_assets.pool.kinds.embedded.assets import node_of

        sizes = (self.samples, self.samples_per_shard, self.shards_per_partition)
        return [node_of(project, *sizes, self.views, boxes=self.boxes)]

    def forget(self, project: "Project", numbers: Sequence[int]) -> int:
        """Zeros take the place of a sample."""
        from recap_assets.pool.scrubbing import scrub

        known = project.shards
        return scrub(project, [known[number] for number in numbers if number in known])

    @classmethod
    def gone(cls, project: "Project") -> "Iterator[Leaving]":
        """Drawn shards that the experiment has no more."""
        from recap_assets.pool.kinds.embedded.assets import gone

        is_drawn = isinstance(project.experiment.pool, cls)
        wanted = {shard.name for shard in project.shards.values()} if is_drawn else set[str]()
        return gone(project, wanted)

    def doctor(self, where: str) -> Iterator[Finding]:
        """Nothing is needed."""
        yield True, f"{where}: {self.samples:,} samples are drawn by the program"


def _shard(folder: Path, number: int) -> Shard:
    name = f"{number:08d}"
    return Shard(name, str(folder / f"{name}.tar"), 0, "drawn", number)
