"""What the storage holds of things that left the experiment: captioners, mixes, shards, seeds."""

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from recap_assets.artefacts import (
    EXPERIMENTS,
    EXPORTS,
    MODELS,
    SCORE_HISTOGRAMS,
    TRAINED_CLIP,
    TRAINING_CURVES,
    Table,
    corpus_key,
    task_key,
)
from recap_assets.artefacts.catalogue import all_tables
from recap_assets.graph.content import TablesLook
from recap_assets.graph.node import Graph, Leaving, Place
from recap_assets.graph.project import Project
from recap_assets.pool.kind import PoolKind
from recap_assets.specs.kinds import kinds_of

_ASSET_OF_TABLE = {SCORE_HISTOGRAMS.name: "clip_scores", TRAINING_CURVES.name: "trained_clip"}
"""Where the rows of a table are beside the asset of another name."""

Leading = tuple[str, ...]


def leaving(project: Project, graph: Graph) -> list[Leaving]:
    """Slices and files of what the experiment does not have any more.

    What left is read from the storage and not from any memory, so nothing is left behind by a
    crash or an edit that nobody saw.
    """
    found = [*_slices(project, graph), *_folders(project, graph)]
    return sorted(found, key=lambda one: (one.asset, one.partitions))


def _slices(project: Project, graph: Graph) -> Iterator[Leaving]:
    wanted = _wanted_slices(graph)
    look = TablesLook(project.workspace.tables)
    for table in all_tables().values():
        if table.append_only or table is EXPERIMENTS or not table.slices:
            continue
        of_table = wanted.get(table.name, {})
        for leading, values in look.groups(table).items():
            yield from _gone(project, table, leading, values, of_table)


def _wanted_slices(graph: Graph) -> Mapping[str, dict[Leading, set[str]]]:
    """For each table the last slice values that there should be, by the leading ones."""
    wanted: dict[str, dict[Leading, set[str]]] = {}
    for node in graph.nodes.values():
        partitions = graph.partitions(node)
        for place in node.places(partitions[0]) if partitions else ():
            *leading, last = _values(place) or ("",)
            lasts = partitions if last == partitions[0] else (last,)
            wanted.setdefault(place.table.name, {}).setdefault(tuple(leading), set()).update(lasts)
    return wanted


def _values(place: Place) -> tuple[str, ...]:
    return tuple(str(place.at[column]) for column in place.table.slices)


def _gone(
    project: Project,
    table: Table,
    leading: Leading,
    values: Collection[str],
    wanted: Mapping[Leading, set[str]],
) -> Iterator[Leaving]:
    gone = tuple(sorted(set(values) - wanted.get(leading, set())))
    if not gone:
        return
    at = dict(zip(table.slices, leading, strict=False))
    last = table.slices[-1]
    asset = _ASSET_OF_TABLE.get(table.name, table.name)
    if last in ("partition", "seed"):
        name, partitions = "/".join((asset, *leading)), gone
        whole = leading not in wanted and bool(leading)
        reason = _who_left(at) if whole else f"{last} {_listed(gone)} left"
        yield Leaving(name, partitions, reason, _remover(project, table, at, last, gone, whole))
        return
    if last == "bucket":
        # Buckets are no partitions: all of them together are the one asset's content.
        remove = _remover(project, table, at, last, gone, True)  # noqa: FBT003 - the whole source
        yield Leaving("/".join((asset, *leading)), ("",), _who_left(at), remove)
        return
    for value in gone:
        one = {**at, last: value}
        remove = _remover(project, table, one, last, (value,), True)  # noqa: FBT003 - the whole slice
        yield Leaving("/".join((asset, *leading, value)), ("",), _who_left(one), remove)


def _who_left(at: Mapping[str, str]) -> str:
    who = ", ".join(f"{column} {value}" for column, value in at.items())
    return f"{who}: the experiment has it no more"


def _listed(values: tuple[str, ...]) -> str:
    return values[0] if len(values) == 1 else f"{values[0]} ... {values[-1]} ({len(values):,})"


def _remover(
    project: Project,
    table: Table,
    at: Mapping[str, str],
    last: str,
    gone: tuple[str, ...],
    whole: bool,  # noqa: FBT001 - of one caller
) -> Callable[[], None]:
    tables = project.workspace.tables

    def remove() -> None:
        if whole:
            tables.remove(table, dict(at))
            return
        is_number = table.schema[last].is_integer()
        for value in gone:
            tables.remove(table, {**at, last: int(value) if is_number else value})

    return remove


def _folders(project: Project, graph: Graph) -> Iterator[Leaving]:
    workspace = project.workspace
    wanted = {node.key for node in graph.nodes.values()}
    named: list[tuple[Path, Callable[[str], str]]] = [
        (workspace.models, MODELS.key),
        (workspace.world / "corpora", corpus_key),
        (workspace.world / "evaluation", task_key),
        (workspace.root / "trained_clip", TRAINED_CLIP.key),
        (workspace.exports, EXPORTS.key),
    ]
    for parent, asset_of in named:
        for folder in _visible(parent):
            if (asset := asset_of(folder.name)) not in wanted:
                reason = f"{folder.name}: the experiment has it no more"
                yield Leaving(asset, ("",), reason, _deleter(folder))
    if project.experiment.trains:
        yield from _seeds(project)
    yield from _shards(project)


def _seeds(project: Project) -> Iterator[Leaving]:
    wanted = {str(seed) for seed in project.experiment.training.seeds}
    for mix in project.experiment.mixes:
        for folder in _visible(project.workspace.checkpoint(mix, 0).parent):
            if folder.name not in wanted:
                reason = f"seed {folder.name} left"
                yield Leaving(TRAINED_CLIP.key(mix), (folder.name,), reason, _deleter(folder))


def _shards(project: Project) -> Iterator[Leaving]:
    """What a kind of pool wrote and the experiment has no more, whatever its pool is now."""
    for kind in kinds_of("pools").values():
        if kind.spec is not None and issubclass(kind.spec, PoolKind):
            yield from kind.spec.gone(project)


def _visible(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return sorted(x for x in parent.iterdir() if x.is_dir() and not x.name.startswith("."))


def _deleter(folder: Path) -> Callable[[], None]:
    return lambda: shutil.rmtree(folder)
