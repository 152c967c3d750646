"""`recap doctor`: what stands between this experiment and a build."""

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from recap_assets.cli import doctor_places
from recap_assets.cli.doctor_realism import drawn_parts
from recap_assets.cli.output import echo, print_json
from recap_assets.specs.evaluation import DataCompTasks
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.findings import Finding
from recap_assets.specs.loading import ExperimentError, load_experiment
from recap_assets.storage.locks import FILES_ALONE
from recap_assets.storage.object_store import prove_conditional_put
from recap_assets.storage.tables import StorageError
from recap_assets.storage.workspace import Workspace
from recap_assets.untrusted.showing import safe_text

_MARKS = {True: "ok    ", False: "wrong ", None: "note  "}
FREE_BYTES = 2 * 2**30
LARGE_BYTES = 2**30
"""Of a model's weights: more of them are read only where that is asked for."""


def run_doctor(
    path: Path, settings: tuple[str, ...], *, as_json: bool = False, loads: bool = False
) -> int:
    """Check everything, print a line for each check; 1 where something is wrong.

    Args:
        path: The experiment file.
        settings: Laid over it.
        as_json: Print an object instead.
        loads: Whether the weights of large models are loaded, too.
    """
    from recap_assets.engines.model_folders.weight_limits import weight_limit

    name: str | None = None
    found: list[tuple[bool | None, str]] = []
    with weight_limit(None if loads else LARGE_BYTES):
        for good, text in _all_findings(path, settings):
            found.append((good, text))
            if not as_json:
                echo(f"{_MARKS[good]} {text}")
    verdicts = [good for good, _ in found]
    n_wrong, n_notes = verdicts.count(False), verdicts.count(None)
    if as_json:
        if found[0][0]:
            name = load_experiment(path, settings).name
        print_json(_as_json(name, found, n_wrong, n_notes))
    elif not found[0][0]:
        pass  # of a file that cannot be read nothing is counted
    elif n_wrong or n_notes:
        echo(f"{n_wrong} found wrong" + (f", {n_notes} worth a look." if n_notes else "."))
    else:
        echo("Everything is in order.")
    return 1 if n_wrong else 0


def _all_findings(path: Path, settings: tuple[str, ...]) -> Iterator[Finding]:
    """Whether the file is well formed, and where it is what is found of its parts."""
    try:
        experiment = load_experiment(path, settings)
    except ExperimentError as error:
        yield False, str(error)
        return
    yield True, f"{path}: experiment {experiment.name!r} is well formed"
    reported: set[str] = set()
    for good, text in _findings(experiment, reported):
        yield good, _once(text)
        if good is False:
            reported.add(text.partition(":")[0])


def _as_json(
    name: str | None, found: Sequence[Finding], n_wrong: int, n_notes: int
) -> dict[str, object]:
    """`cli.forms.DoctorDone`."""
    findings = [{"verdict": _MARKS[good].strip(), "text": safe_text(text)} for good, text in found]
    return {"experiment": name, "wrong": n_wrong, "notes": n_notes, "findings": findings}


def _once(text: str) -> str:
    """A text that names its part of the file once: `pool: pool.shards: ...` names it twice."""
    part, _, rest = text.partition(": ")
    return rest if rest.startswith((f"{part}: ", f"{part}.")) else text


def _findings(experiment: Experiment, reported: Collection[str]) -> Iterator[Finding]:
    for check in _CHECKS:
        yield from check(experiment)
    # After what says more of the same file.
    yield from doctor_places.missing_contents(experiment, reported)


def _pool(experiment: Experiment) -> Iterator[Finding]:
    from recap_assets.pool.kind import PoolKind

    if isinstance(experiment.pool, PoolKind):
        yield from experiment.pool.doctor("pool")


def _corpora(experiment: Experiment) -> Iterator[Finding]:
    from recap_assets.training.corpora.kind import CorpusKind

    for name, corpus in experiment.corpora.items():
        if isinstance(corpus, CorpusKind):
            yield from corpus.doctor(f"corpora.{name}")


def _evaluation_sets(experiment: Experiment) -> Iterator[Finding]:
    from recap_assets.engines.protocols import Examinable

    if experiment.evaluation.datacomp:
        yield _datacomp_sets(experiment.evaluation.datacomp)
    workspace = Workspace.from_environment(experiment.name)
    for name, task in experiment.tasks.items():
        if isinstance(task, Examinable):
            yield from task.doctor(f"evaluation.tasks.{name}", workspace)


def _datacomp_sets(datacomp: DataCompTasks) -> Finding:
    from recap_assets.evaluation.datacomp.root import how_to_get, locate

    there = locate(datacomp.root, datacomp.names)
    found = f"evaluation.datacomp: {len(there.folders)} of {len(datacomp.names)} sets"
    if not there.missing:
        return True, f"{found} below {datacomp.root}"
    will_do = datacomp.tasks == "available" and bool(there.folders)
    return will_do, f"{found}. {how_to_get(datacomp.root, there.missing)}"


def _models(experiment: Experiment) -> Iterator[Finding]:
    from recap_assets.engines.protocols import Examinable

    workspace = Workspace.from_environment(experiment.name)
    for section in ("sources", "scorers", "image_scorers"):
        for name, spec in getattr(experiment, section).items():
            if isinstance(spec, Examinable):
                yield from spec.doctor(f"{section}.{name}", workspace)


def _sets(experiment: Experiment) -> Iterator[Finding]:
    from recap_assets.sets.assets import languages_asked
    from recap_assets.sets.kind import SetKind
    from recap_assets.sets.languages.assets import identifier_of

    workspace = Workspace.from_environment(experiment.name)
    for name in dict.fromkeys(name for name, _ in languages_asked(experiment)):
        identifier = identifier_of(experiment, name)
        yield from identifier.doctor(f"languages.{name}", workspace)
    for name, spec in experiment.sets.items():
        if isinstance(spec, SetKind):
            yield from spec.doctor(f"sets.{name}", workspace)


def _training(experiment: Experiment) -> Iterator[Finding]:
    from recap_assets.training.kind import Launcher

    if isinstance(experiment.training, Launcher):
        yield from experiment.training.doctor("training")


def _tracking(experiment: Experiment) -> Iterator[Finding]:
    from recap_assets.tracking.kind import Tracker

    if isinstance(experiment.training.track, Tracker):
        yield from experiment.training.track.doctor("training.track")


def _storage(experiment: Experiment) -> Iterator[Finding]:
    workspace = Workspace.from_environment(experiment.name)
    try:
        workspace.refuse_unusable()
    except StorageError as error:
        yield False, f"data folder: {error}"
        return
    root = workspace.root
    try:
        there = next(one for one in (root, *root.parents) if one.exists())
        with tempfile.NamedTemporaryFile(dir=there):
            pass
    except OSError as error:
        yield False, f"data folder {root}: cannot be written: {os.strerror(error.errno or 0)}"
        return
    free = shutil.disk_usage(there).free
    text = f"data folder {root}: writable, {free / 2**30:,.1f} GiB free"
    yield free >= FREE_BYTES, text if free >= FREE_BYTES else f"{text}; at least 2 GiB are needed"


def _tables(experiment: Experiment) -> Iterator[Finding]:
    root = Workspace.from_environment(experiment.name).tables.root
    if not root.startswith("s3://"):
        return
    try:
        prove_conditional_put(root)
    except StorageError as error:
        yield False, f"tables {root}: {error}"
    else:
        yield True, f"tables {root}: writable, and the store refuses to write a key twice"


def _claims(experiment: Experiment) -> Iterator[Finding]:
    workspace = Workspace.from_environment(experiment.name)
    try:
        workspace.refuse_unusable()
    except StorageError:
        return  # said of the data folder
    try:
        held = workspace.claims.prove()
    except OSError:
        return  # as above
    except StorageError as error:
        yield False, f"claims: {error}"
    else:
        yield None if held.startswith(FILES_ALONE) else True, f"claims: {held}"


_CHECKS: Sequence[Callable[[Experiment], Iterator[Finding]]] = (
    _pool,
    doctor_places.metadata,
    _corpora,
    _evaluation_sets,
    _models,
    _sets,
    _training,
    _tracking,
    doctor_places.export_folders,
    drawn_parts,
    doctor_places.gpus,
    doctor_places.workers,
    _storage,
    _tables,
    _claims,
)
