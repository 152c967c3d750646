"""What `recap doctor` finds of files and folders: those that an experiment reads, and writes to."""

import os
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from recap_assets.defs.remote.configured import configured_workers
from recap_assets.defs.remote.settings import (
    LOCAL,
    WORKERS_VARIABLE,
    RemoteSettingError,
    remote_settings,
)
from recap_assets.defs.session import HOME_VARIABLE
from recap_assets.defs.storage_files import DAGSTER_YAML, home_of
from recap_assets.engines.gpus import GpuError, chosen_gpus, gpus_here
from recap_assets.engines.trying import lacking
from recap_assets.exports.checksums import refuse_foreign
from recap_assets.exports.declared import as_kind
from recap_assets.shards.files import PoolError
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.findings import Finding
from recap_assets.storage.folders import Folder, FolderError
from recap_assets.storage.leases import Leases
from recap_assets.storage.places import PlaceError
from recap_assets.storage.workspace import Workspace


def missing_contents(experiment: Experiment, reported: Collection[str]) -> Iterator[Finding]:
    """Files and folders that decide results and are not there.

    Args:
        experiment: The experiment.
        reported: Parts of it, such as `sources.blip2`, which something wrong was reported of.
    """
    for field, place in experiment.contents().items():
        if ".".join(field.split(".")[:2]) in reported or place.is_dir() or place.is_file():
            continue
        wrong = "is neither a file nor a folder" if place.exists() else "is not there"
        yield False, f"{field}: {place} {wrong}. Correct the path, or put it there"


def gpus(experiment: Experiment) -> Iterator[Finding]:  # noqa: ARG001 - as every check
    """The GPUs that may be used, and who holds some of them."""
    try:
        chosen = chosen_gpus()
    except GpuError as error:
        yield False, str(error)
        return
    if not gpus_here():
        return
    yield True, f"GPUs: {len(chosen)} of {len(gpus_here())} may be used"
    for gpu, holder in Leases.of_this_machine().holders(chosen).items():
        yield None, f"GPUs: {gpu} is held by {holder}; a build waits for it"


def workers(experiment: Experiment) -> Iterator[Finding]:
    """Which workers of a cluster compute, who says so, and what they need here."""
    instance = Workspace.from_environment(experiment.name).instance
    path = Path(os.environ.get(HOME_VARIABLE) or home_of(instance)) / DAGSTER_YAML
    try:
        configured = configured_workers(path)
        settings = remote_settings(configured)
    except RemoteSettingError as error:
        yield False, str(error)
        return
    address = settings.address if settings else LOCAL
    if settings or configured not in (None, LOCAL):
        yield True, f"workers {address}: {_who_says_so(path, configured)}"
    if settings:
        yield from lacking(f"workers {address}", "ray", "ray")


def _who_says_so(path: Path, configured: str | None) -> str:
    if not os.environ.get(WORKERS_VARIABLE):
        return f"{path} says so, and {WORKERS_VARIABLE} is not set"
    if configured is None:
        return f"{WORKERS_VARIABLE} says so"
    return f"{WORKERS_VARIABLE} says so, which comes before {configured} of {path}"


def metadata(experiment: Experiment) -> Iterator[Finding]:
    """The pool's metadata, and whether it has the columns that are asked of it."""
    from recap_assets.shards.metadata import load_metadata

    folder = experiment.pool.metadata_folder
    if folder is None:
        return
    try:
        files = load_metadata(folder).files
    except (PoolError, OSError) as error:
        yield False, str(error)
        return
    yield True, f"pool.metadata: {len(files)} files, {sum(file.n_rows for file in files):,} rows"
    for field, column in _columns_asked(experiment):
        if not any(column in file.columns for file in files):
            yield False, f"{field}: no file of {folder} has a column {column!r}"


def _columns_asked(experiment: Experiment) -> Iterator[tuple[str, str]]:
    for name, scorer in experiment.scorers.items():
        yield from (
            (f"scorers.{name}.{field}", column) for field, column in scorer.metadata_columns()
        )
    for name, spec in experiment.sets.items():
        for field, column in spec.metadata_columns():
            yield f"sets.{name}.{field}", column


def export_folders(experiment: Experiment) -> Iterator[Finding]:
    """Export folders that cannot be written to, or hold something else; what a kind lacks."""
    for name, export in experiment.exports.items():
        yield from as_kind(f"exports.{name}", export).doctor(f"exports.{name}")
        where = export.folder
        if where is None:
            continue
        try:
            folder = Folder(where)
            if not folder.is_local:
                continue  # nothing is sent for a try
            refuse_foreign(folder, {"experiment": experiment.name, "export": name})
            with tempfile.NamedTemporaryFile(dir=_nearest(Path(where).absolute())):
                pass
        except (FolderError, PlaceError) as error:
            yield False, f"exports.{name}.folder: {error}"
        except OSError as error:
            why = os.strerror(error.errno or 0)
            yield False, f"exports.{name}.folder: {where} cannot be written to: {why}"


def _nearest(path: Path) -> Path:
    """The path itself or the first above it that is there."""
    return next(one for one in (path, *path.parents) if one.exists())
