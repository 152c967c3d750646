"""The exports that an experiment declares, and the folders that they go to."""

from collections.abc import Mapping

from recap_assets.exports.checksums import take_folder
from recap_assets.exports.kind import ExportKind, ShardedExport, WholeExport
from recap_assets.exports.shard_list import ShardList, read_shard_list
from recap_assets.graph.project import Project
from recap_assets.specs.exports import ExportSpec
from recap_assets.specs.kinds import KindError
from recap_assets.storage.folders import Folder


def as_kind(where: str, spec: ExportSpec) -> ShardedExport | WholeExport:
    """The export, if it is of a kind that can be written.

    Raises:
        KindError: A kind of another package is none.
    """
    if not isinstance(spec, ShardedExport | WholeExport):
        of = f"{type(spec).__name__} of {spec.distribution}"
        msg = f"{where}: {of} is no ShardedExport or WholeExport"
        raise KindError(msg)
    return spec


def kinds_declared(project: Project) -> Mapping[str, ShardedExport | WholeExport]:
    """The declared exports by name."""
    found = project.experiment.exports.items()
    return {name: as_kind(f"exports.{name}", spec) for name, spec in found}


def kind_of(project: Project, name: str) -> ExportKind:
    """An export that is declared."""
    return as_kind(f"exports.{name}", project.experiment.exports[name])


def sharded_of(project: Project, name: str) -> ShardedExport:
    """An export that is declared and has shards.

    Raises:
        KindError: It has none.
    """
    export = kind_of(project, name)
    if not isinstance(export, ShardedExport):
        msg = f"exports.{name} has no shards"
        raise KindError(msg)
    return export


def folder_of(project: Project, name: str) -> Folder:
    """Where an export of the experiment goes."""
    export = project.experiment.exports[name]
    return Folder(export.folder or str(project.workspace.exports / name))


def own_folder(project: Project, name: str) -> Folder:
    """The export's folder, marked as its own.

    Raises:
        FolderError: It holds something else.
    """
    folder = folder_of(project, name)
    owner = {"experiment": project.experiment.name, "export": name}
    take_folder(folder, {**owner, "options": project.experiment.exports[name].decides()}, owner)
    return folder


def shard_list(project: Project, name: str) -> ShardList:
    """The shards of a finished export, their sizes and weights, for a trainer.

    Raises:
        FolderError: It is not finished, or has no shards.
    """
    return read_shard_list(folder_of(project, name))
