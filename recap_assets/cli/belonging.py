"""Whose results a data folder holds: two files with one name would undo each other's work."""

import json
from pathlib import Path

from recap_assets.defs.session import Session
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.loading import ExperimentError, load_experiment
from recap_assets.storage.files import write_atomically
from recap_assets.untrusted.errors import RecapError


class TakenError(RecapError, ValueError):
    """The results under this name are those of another file that is still there."""


def other_file(session: Session) -> Path | None:
    """The file that the results were last built from, where it is another experiment of this name.

    A file that was moved, copied or deleted is none.
    """
    mark = session.project.workspace.built_from
    if not mark.is_file():
        return None
    path = _path_of(mark)
    if path is None or path == session.path.absolute():
        return None
    there = _read(path)
    mine = load_experiment(session.path)
    is_other = there is not None and there.name == mine.name and there != mine
    return path if is_other else None


def take(session: Session, *, anyway: bool) -> None:
    """Note that the results are this file's from now on.

    Raises:
        TakenError: They are another file's, and not `anyway`.
        StorageError: The data folder is read-only.
    """
    session.refuse_read_only()
    name = session.project.experiment.name
    if not anyway and (other := other_file(session)):
        msg = (
            f"the results of {name!r} are those of {other}, and {session.path} is another "
            f"experiment of the same name. Give one of them another `name:`; or let this file "
            f"have them with --take-over: then what they do not share is rebuilt or removed"
        )
        raise TakenError(msg)
    content = json.dumps({"path": str(session.path.absolute())}).encode()
    mark = session.project.workspace.built_from
    if not mark.is_file() or mark.read_bytes() != content:
        write_atomically(mark, content)


def _path_of(mark: Path) -> Path | None:
    try:
        return Path(json.loads(mark.read_bytes())["path"])
    except (ValueError, KeyError, TypeError):
        return None  # a mark that a crash or a person damaged says nothing


def _read(path: Path) -> Experiment | None:
    try:
        return load_experiment(path)
    except ExperimentError:
        return None
