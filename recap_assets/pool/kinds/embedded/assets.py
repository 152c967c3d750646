"""The asset that draws the shards of the embedded pool, and those that it drew and nobody wants."""

from collections.abc import Collection, Iterator
from pathlib import Path

from recap_assets.artefacts.world import POOL_FOLDER, POOL_KEY
from recap_assets.graph.content import StoredFiles
from recap_assets.graph.node import Leaving, Node, Outcome, Step
from recap_assets.graph.project import Project
from recap_assets.pool.scrubbing import scrub
from recap_assets.shards.manifest import partition_key
from recap_assets.specs.base import deciding
from recap_assets.storage.content import files_version
from recap_assets.world.views import Drawing
from recap_assets.world.writing import write_pool

VERSION = 1
STAGE = "world"
SECONDS_PER_IMAGE = 0.002


def node_of(
    project: Project, samples: int, per_shard: int, per_partition: int, views: int, *, boxes: bool
) -> Node:
    """The asset that draws the pool's shards.

    Args:
        project: The experiment and its workspace.
        samples: Of the whole pool.
        per_shard: Samples of a shard.
        per_partition: Shards of a partition.
        views: Pictures of each scene.
        boxes: Whether the jsons say where things are.
    """
    folder = project.workspace.world / POOL_FOLDER
    seed, drawn = project.experiment.seed, Drawing(views, boxes)

    def n_samples(partition: str) -> int:
        numbers = [shard.number for shard in project.partitions[partition]]
        return sum(min(per_shard, samples - number * per_shard) for number in numbers)

    def shards(partition: str) -> list[Path]:
        return [folder / f"{shard.name}.tar" for shard in project.partitions[partition]]

    def compute(step: Step) -> Outcome:
        numbers = [shard.number for shard in project.partitions[step.partition]]
        write_pool(folder, seed, samples, per_shard, shards=numbers, drawn=drawn)
        scrub(project, project.partitions[step.partition])
        return Outcome(files_version(shards(step.partition), folder), n_samples(step.partition))

    return Node(
        key=POOL_KEY,
        stage=STAGE,
        dimension="pool",
        dependencies=(),
        implementation=VERSION,
        decides=deciding(seed=seed, samples_per_shard=per_shard, **drawn.unusual()),
        compute=compute,
        description="Image-text pairs that the program draws, with alt-text as noisy as the web's.",
        # A larger pool leaves the shards alone that it already had.
        outside=lambda partition: f"{n_samples(partition)}_samples",
        content=StoredFiles(lambda _: folder, shards, lambda: project.partitions),
        seconds=per_shard * per_partition * SECONDS_PER_IMAGE,
        kinds=("python", "webdataset"),
    )


def gone(project: Project, wanted: Collection[str]) -> Iterator[Leaving]:
    """Drawn shards whose name is none of these."""
    for path in sorted((project.workspace.world / POOL_FOLDER).glob("*.tar")):
        if path.stem not in wanted:
            key = partition_key(int(path.stem), project.pool.shards_per_partition)
            reason = f"shard {path.stem}: the pool has it no more"
            yield Leaving(POOL_KEY, (key,), reason, path.unlink)
