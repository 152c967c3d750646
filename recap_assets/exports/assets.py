"""Exports as assets: shards for each pool partition, and the list, card and checksums of all."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping

from recap_assets.artefacts.exports import EXPORT_SHARDS, EXPORTS
from recap_assets.artefacts.mixes import CURATED_MIXES, THRESHOLDS
from recap_assets.artefacts.sets import TEXT_LANGUAGES
from recap_assets.exports import reading
from recap_assets.exports.content import (
    ExportedFiles,
    ExportedPartitions,
    files_digest,
    partition_record,
)
from recap_assets.exports.curation import description_of
from recap_assets.exports.declared import kinds_declared, own_folder
from recap_assets.exports.finishing import finish, tidy
from recap_assets.exports.kind import ExportKind, ShardedExport, WholeExport
from recap_assets.exports.languages import identifiers_of
from recap_assets.exports.writing import write_partition
from recap_assets.exports.written import Progress, Written, read_written
from recap_assets.graph.node import Dependency, Node, Outcome, Step
from recap_assets.graph.project import Project
from recap_assets.specs.base import deciding, fingerprint_of
from recap_assets.specs.mixes import Mix
from recap_assets.storage.folders import WrittenFile

VERSION = 1
STAGE = "exports"
SECONDS_PER_PARTITION = 10.0


def nodes(project: Project) -> list[Node]:
    """One node for a whole export; for any other its shards, and what is made of all of them."""
    made: list[Node] = []
    for name, export in kinds_declared(project).items():
        if isinstance(export, WholeExport):
            made.append(_whole_node(project, name, export))
        else:
            made += [_shards_node(project, name, export), _export_node(project, name, export)]
    return made


def _whole_node(project: Project, name: str, export: WholeExport) -> Node:
    return Node(
        key=EXPORTS.key(name),
        stage=STAGE,
        dimension="none",
        dependencies=(*_of_mix(export), *export.reads()),
        implementation=VERSION,
        decides=_decides_whole(project, export),
        compute=lambda step: build_whole(project, name, export, step),
        description=export.described,
        content=ExportedFiles(project, name),
        seconds=SECONDS_PER_PARTITION,
        kinds=export.tags,
        shows_origin=True,
    )


def _shards_node(project: Project, name: str, export: ShardedExport) -> Node:
    return Node(
        key=EXPORT_SHARDS.key(name),
        stage=STAGE,
        dimension="pool",
        dependencies=reading.dependencies(project, export),
        implementation=VERSION,
        decides=_decides_shards(project, export),
        compute=lambda step: build_shards(project, name, export, step),
        description=f"The shards of {export.mix} for {export.word}, a folder for each pool "
        "partition; images are copied as they are in the pool.",
        content=ExportedPartitions(project, name),
        seconds=SECONDS_PER_PARTITION,
        kinds=export.tags,
    )


def _export_node(project: Project, name: str, export: ShardedExport) -> Node:
    return Node(
        key=EXPORTS.key(name),
        stage=STAGE,
        dimension="none",
        dependencies=(
            Dependency(EXPORT_SHARDS.key(name), "all"),
            *_of_mix(export),
            *_of_texts(project, export),
        ),
        implementation=VERSION,
        decides=_decides_whole(project, export),
        compute=lambda _step: build_export(project, name, export),
        description=f"{export.mix} for {export.word}: the list of its shards, the dataset card and "
        "the checksums of all files.",
        content=ExportedFiles(project, name),
        kinds=export.tags,
        shows_origin=True,
    )


def _of_mix(export: ExportKind) -> tuple[Dependency, ...]:
    return (
        Dependency(CURATED_MIXES.key(export.mix), "all"),
        Dependency(THRESHOLDS.key(export.mix), "all"),
    )


def _of_texts(project: Project, export: ExportKind) -> Iterator[Dependency]:
    """The measured languages, of an export that names them."""
    if export.describes_texts:
        for source, identifier in identifiers_of(project, export.mix).items():
            yield Dependency(TEXT_LANGUAGES.key(identifier, source), "all")


def _decides_whole(project: Project, export: ExportKind) -> str:
    # The card names the licence, and the rules, which may choose the same pairs as others did.
    by_curation = fingerprint_of(json.dumps(description_of(project, export)))
    beside = {"beside": export.beside_version} if export.beside_version > 1 else {}
    return deciding(export=export, curation=by_curation, **beside)


def _decides_shards(project: Project, export: ShardedExport) -> str:
    along = export.sources_along(project.experiment.source_names)
    beside: dict[str, object] = {**_beside(project.experiment.mixes[export.mix], export)}
    if mixes := export.mixes_along(tuple(project.experiment.mixes)):
        beside["mixes"] = list(mixes)
    return deciding(export=export.decides(*export.only_beside), captions=list(along), **beside)


def _beside(mix: Mix, export: ShardedExport) -> Mapping[str, bool]:
    """What of the mix decides the shards beside its pairs, where there is any."""
    one_candidate = [rule.model_copy(update={"candidates": 1}) for rule in mix.rules]
    plain = mix.model_copy(update={"rules": tuple(one_candidate)})
    found = {
        # Shards that are grouped for their candidates alone were not so before 2026-11.
        "grouped_by_candidates": export.in_groups(mix) and not export.in_groups(plain),
        "copies": mix.copies is not None,
    }
    return {name: True for name, holds in found.items() if holds}


def build_shards(project: Project, name: str, export: ShardedExport, step: Step) -> Outcome:
    """Write one partition's shards; those that a killed run finished are kept."""
    folder = own_folder(project, name)
    n_pairs = reading.pairs_of(project, export.mix, step.partition).height
    progress = _of_total(step, n_pairs)
    written = write_partition(project, export, folder, step.partition, progress)
    tidy(folder, type(export), written.files, step.partition)
    folder.write(partition_record(step.partition), written.as_json())
    return Outcome(
        files_digest(written.files.values()),
        written.n_samples,
        dict(sorted(written.left_out.items())),
        facts={"shards": len(written.shards), **_facts(written)},
        machine=export.given_by,
    )


def build_export(project: Project, name: str, export: ShardedExport) -> Outcome:
    """Write the list of shards, the card and the checksums; what left the pool goes."""
    folder = own_folder(project, name)
    whole = Written()
    for partition in project.partitions:
        record = partition_record(partition)
        content = folder.read(record)
        if content is None:
            msg = f"{folder}/{record} is gone: build {EXPORT_SHARDS.key(name)} again"
            raise FileNotFoundError(msg)
        whole.merge(read_written(content))
        sha256 = hashlib.sha256(content).hexdigest()
        whole.add_files(WrittenFile(record, sha256, len(content)))
    return _outcome(export, whole, finish(project, export, folder, whole))


def build_whole(project: Project, name: str, export: WholeExport, step: Step) -> Outcome:
    """Write an export that has no shards."""
    folder = own_folder(project, name)
    written = export.write(project, folder, _of_total(step, len(project.partitions)))
    return _outcome(export, written, finish(project, export, folder, written))


def _outcome(export: ExportKind, written: Written, own: Iterable[WrittenFile]) -> Outcome:
    held = written.holdings()
    shown = {f"samples/{source}": n for source, n in held.by_source.items()}
    return Outcome(
        files_digest(own),
        held.n_samples,
        dict(sorted(written.left_out.items())),
        facts={"shards": len(written.shards), **_facts(written), **shown},
        machine=export.given_by,
    )


def _facts(written: Written) -> Mapping[str, int]:
    return {"pairs": written.n_pairs, "files": len(written.files), "bytes": written.n_bytes}


def _of_total(step: Step, total: int) -> Progress:
    done = 0

    def advance(n: int) -> None:
        nonlocal done
        done += n
        step.progress(min(done / max(total, 1), 1.0))

    return advance
