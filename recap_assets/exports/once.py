"""One export to a folder of one's own, of a mix as it is built: what no asset stands for."""

from collections.abc import Callable
from dataclasses import dataclass

from recap_assets.exports.checksums import MARK, take_folder
from recap_assets.exports.finishing import finish
from recap_assets.exports.kind import ExportKind, ShardedExport, WholeExport
from recap_assets.exports.reading import counted_pairs
from recap_assets.exports.writing import write_whole
from recap_assets.exports.written import Progress, Written
from recap_assets.graph.project import Project
from recap_assets.storage.folders import Folder, FolderError


@dataclass(frozen=True)
class Exported:
    """What `export_once` wrote."""

    folder: Folder
    written: Written


def export_once(
    project: Project,
    export: ShardedExport | WholeExport,
    *,
    replace: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Exported:
    """Write a mix out, all shards in one folder and numbered through.

    One that was killed continues at the first shard that is not finished. One that is there already
    is brought up to date: only shards whose content changed are written.

    Args:
        project: The experiment and its workspace.
        export: What is asked for, with a folder.
        replace: Remove everything in the folder first, where it holds another export.
        progress: Told how many pairs are done, and of how many.

    Raises:
        FolderError: The folder holds something else.
        ValueError: The export names something that the experiment does not have, or the mix has no
            pairs.
    """
    n_pairs = _checked(project, export)
    folder = Folder(export.folder or "")
    identity = {
        "experiment": project.experiment.name,
        "export": "",
        "options": export.decides(),
    }
    with project.workspace.claims.hold(f"export to {folder}"):
        _take(folder, identity, replace=replace)
        if isinstance(export, WholeExport):
            counting = _counting(len(project.partitions), progress)
            written = export.write(project, folder, counting)
        else:
            written = write_whole(project, export, folder, _counting(n_pairs, progress))
        finish(project, export, folder, written)
    return Exported(folder, written)


def _checked(project: Project, export: ExportKind) -> int:
    problems = list(project.experiment.problems_of("export", export))
    if export.folder is None:
        problems.append("export.folder: say where it goes")
    if problems:
        raise ValueError("; ".join(problems))
    if n_pairs := counted_pairs(project, export.mix).total():
        return n_pairs
    msg = (
        f"the mix {export.mix} has no pairs yet: `recap build --select curated_mixes/{export.mix}`"
    )
    raise ValueError(msg)


def _take(folder: Folder, identity: dict[str, object], *, replace: bool) -> None:
    try:
        take_folder(folder, identity, identity)
    except FolderError:
        if not (replace and folder.read(MARK)):
            raise
        folder.remove_all()
        take_folder(folder, identity, identity)


def _counting(total: int, progress: Callable[[int, int], None]) -> Progress:
    done = 0

    def advance(n: int) -> None:
        nonlocal done
        done += n
        progress(min(done, total), total)

    return advance
