"""The exported shards that open_clip's trainer reads for a mix; only with `launcher: torchrun`.

An export has captions and scores as well. They may change while each pair's image, text and
weight stay; so what training rests on has the version of the pairs, not that of the export.
"""

from recap_assets.artefacts.exports import EXPORTS
from recap_assets.artefacts.training import TRAINING_PAIRS, TRAINING_SHARDS
from recap_assets.exports.declared import shard_list
from recap_assets.exports.shard_list import ShardList
from recap_assets.graph.node import Dependency, Node, Outcome, Step
from recap_assets.graph.project import Project
from recap_assets.specs.base import deciding
from recap_assets.training import seen as training_pairs

VERSION = 1
STAGE = "training"


def node_of(project: Project, mix: str) -> Node:
    """The asset that says which exported shards are read for a mix."""
    export = project.experiment.training_export(mix)
    return Node(
        key=TRAINING_SHARDS.key(mix),
        stage=STAGE,
        dimension="none",
        dependencies=(
            Dependency(TRAINING_PAIRS.key(mix), "all"),
            Dependency(EXPORTS.key(export), "all"),
        ),
        implementation=VERSION,
        decides=deciding(export=export),
        compute=lambda step: take(project, mix, step),
        description=f"{mix} as the export {export} has it, for open_clip's trainer. Its version is "
        "that of the training pairs, so a new export of the same pairs trains nothing.",
        kinds=("webdataset",),
    )


def take(project: Project, mix: str, step: Step) -> Outcome:  # noqa: ARG001 - of all nodes
    """Look that the export has shards."""
    shards = read(project, mix)
    rows = project.workspace.tables.read(TRAINING_PAIRS, mix=mix)
    return Outcome(
        training_pairs.pairs_version(rows),
        len(shards.shards),
        facts={"shards": len(shards.shards), "samples": shards.n_samples},
    )


def read(project: Project, mix: str) -> ShardList:
    """The shards of a mix.

    Raises:
        FolderError: The export is gone, or was never finished.
        ValueError: It has no samples.
    """
    export = project.experiment.training_export(mix)
    shards = shard_list(project, export)
    if not shards.shards:
        msg = f"exports.{export} has no samples, so there is nothing to train on"
        raise ValueError(msg)
    return shards
