"""Exports as assets: shards for each pool partition, and the list, card and checksums of all."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from recap_assets.artefacts.exports import EXPORT_SHARDS, EXPORTS
from recap_assets.artefacts.mixes import CURATED_MIXES, THRESHOLDS
from recap_assets.exports import reading as export_rows
from recap_assets.exports.cards import Curation, Holdings, card
from recap_assets.exports.checksums import CHECKSUMS, MARK, checksums_of, take_folder
from recap_assets.exports.kinds.huggingface.croissant import croissant
from recap_assets.exports.shard_list import SHARDS, ShardList, read_shard_list, shard_list_json
from recap_assets.exports.writing import (
    Progress,
    UidSpool,
    Written,
    read_written,
    write_partition,
)
from recap_assets.graph.node import Dependency, Look, Node, Outcome, Place, Step
from recap_assets.graph.project import Setting
from recap_assets.specs.base import Spec, deciding, fingerprint_of
from recap_assets.specs.experiment import RAW
from recap_assets.specs.exports import (
    Export,
    HuggingFaceExport,
    ShardedExport,
    SubsetExport,
)
from recap_assets.specs.mixes import sources_read
from recap_assets.storage.content import VERSION_DIGITS
from recap_assets.storage.folders import PARTIAL, Folder, WrittenFile
from recap_assets.storage.wholeness import is_whole

VERSION = 1
STAGE = "exports"
SECONDS_PER_PARTITION = 10.0
CARD = "README.md"
CROISSANT = "croissant.json"
KINDS: Mapping[str, tuple[str, ...]] = {
    "subset": ("numpy",), "webdataset": ("webdataset",), "huggingface": ("parquet",),
    "text_to_image": ("imagefolder",),
}  # fmt: skip
_OURS = re.compile(
    r"(weight_[0-9.e+-]+/)?(\d{5,}/)?"
    r"(\d{8}\.tar|\d{8}_stats\.json|data/train-\d{8}\.parquet|records/\d{8}\.json|train/\d{8}/[^/]+"
    r"|sizes\.json|meta\.json|sample_ids\.npy)"
    r"|sample_ids_[a-z0-9_+]+\.npy|partition-\d{5,}\.json|shards\.json|croissant\.json"
)
"""Paths that an export writes: what is called otherwise is nobody's to remove."""


def folder_of(setting: Setting, name: str) -> Folder:
    """Where an export of the experiment goes."""
    export = setting.experiment.exports[name]
    return Folder(export.folder or str(setting.workspace.exports / name))


def shard_list(setting: Setting, name: str) -> ShardList:
    """The shards of a finished export, their sizes and weights, for a trainer.

    Raises:
        FolderError: It is not finished, or has no shards.
    """
    return read_shard_list(folder_of(setting, name))


def nodes(setting: Setting) -> list[Node]:
    """One node for a subset; for any other export its shards, and what is made of all of them."""
    made = []
    for name, export in setting.experiment.exports.items():
        if isinstance(export, SubsetExport):
            made.append(_subset_node(setting, name, export))
        else:
            made += [_shards_node(setting, name, export), _export_node(setting, name, export)]
    return made


def _subset_node(setting: Setting, name: str, export: SubsetExport) -> Node:
    return Node(
        key=EXPORTS.key(name),
        stage=STAGE,
        dimension="none",
        dependencies=_of_mix(export),
        implementation=VERSION,
        decides=_decides_whole(setting, export),
        compute=lambda step: build_subset(setting, name, step),
        description=f"DataComp's subset files of {export.mix}: sorted uids, one file for each "
        "caption source.",
        content=ExportedFiles(setting, name),
        seconds=SECONDS_PER_PARTITION,
        kinds=KINDS[export.to],
        shows_origin=True,
    )


def _shards_node(setting: Setting, name: str, export: ShardedExport) -> Node:
    return Node(
        key=EXPORT_SHARDS.key(name),
        stage=STAGE,
        dimension="pool",
        dependencies=export_rows.dependencies(setting, export),
        implementation=VERSION,
        decides=_decides_shards(setting, export),
        compute=lambda step: build_shards(setting, name, step),
        description=f"The shards of {export.mix} for {export.to}, a folder for each pool "
        "partition; images are copied as they lie in the pool.",
        content=ExportedPartitions(setting, name),
        seconds=SECONDS_PER_PARTITION,
        kinds=KINDS[export.to],
    )


def _export_node(setting: Setting, name: str, export: ShardedExport) -> Node:
    return Node(
        key=EXPORTS.key(name),
        stage=STAGE,
        dimension="none",
        dependencies=(Dependency(EXPORT_SHARDS.key(name), "all"), *_of_mix(export)),
        implementation=VERSION,
        decides=_decides_whole(setting, export),
        compute=lambda step: build_export(setting, name, step),
        description=f"{export.mix} for {export.to}: the list of its shards, the dataset card and "
        "the checksums of all files.",
        content=ExportedFiles(setting, name),
        kinds=KINDS[export.to],
        shows_origin=True,
    )


def _of_mix(export: Export) -> tuple[Dependency, ...]:
    return (
        Dependency(CURATED_MIXES.key(export.mix), "all"),
        Dependency(THRESHOLDS.key(export.mix), "all"),
    )


def _decides_whole(setting: Setting, export: Export) -> str:
    # The card tells the licence, and the rules, which may choose the same pairs as others did.
    told = fingerprint_of(json.dumps(_told(setting, export)))
    return deciding(export=export, curation=told)


def _decides_shards(setting: Setting, export: ShardedExport) -> str:
    along = export_rows.sources_along(setting, export)
    return deciding(export=export.decides("license"), captions=list(along))


def _own(setting: Setting, name: str) -> Folder:
    """The export's folder, marked as its own.

    Raises:
        FolderError: It holds something else.
    """
    folder = folder_of(setting, name)
    owner = {"experiment": setting.experiment.name, "export": name}
    take_folder(folder, {**owner, "options": setting.experiment.exports[name].decides()}, owner)
    return folder


def build_shards(setting: Setting, name: str, step: Step) -> Outcome:
    """Write one partition's shards; those that a killed run finished are kept."""
    export = setting.experiment.exports[name]
    assert not isinstance(export, SubsetExport)  # noqa: S101 - told to the type checker
    folder = _own(setting, name)
    n_pairs = export_rows.pairs_of(setting, export.mix, step.partition).height
    progress = _of_total(step, n_pairs)
    written = write_partition(setting, export, folder, step.partition, progress)
    tidy(folder, written.files, step.partition)
    folder.write(_partition_record(step.partition), written.as_json())
    return Outcome(
        files_digest(written.files.values()),
        written.n_samples,
        dict(sorted(written.left_out.items())),
        facts={"shards": len(written.shards), **_facts(written)},
    )


def build_export(setting: Setting, name: str, step: Step) -> Outcome:  # noqa: ARG001 - of all nodes
    """Write the list of shards, the card and the checksums; what left the pool goes."""
    export = setting.experiment.exports[name]
    assert not isinstance(export, SubsetExport)  # noqa: S101 - told to the type checker
    folder = _own(setting, name)
    whole = Written()
    for partition in setting.partitions:
        record = _partition_record(partition)
        content = folder.read(record)
        if content is None:
            msg = f"{folder}/{record} is gone: build {EXPORT_SHARDS.key(name)} again"
            raise FileNotFoundError(msg)
        whole.merge(read_written(content))
        sha256 = hashlib.sha256(content).hexdigest()
        whole.add_files(WrittenFile(record, sha256, len(content)))
    return _outcome(whole, finish(setting, export, folder, whole))


def build_subset(setting: Setting, name: str, step: Step) -> Outcome:
    """Write the uids of each source."""
    export = setting.experiment.exports[name]
    assert isinstance(export, SubsetExport)  # noqa: S101 - told to the type checker
    folder = _own(setting, name)
    total = len(setting.partitions)
    written = write_subsets(setting, export, folder, _of_total(step, total))
    return _outcome(written, finish(setting, export, folder, written))


def write_subsets(
    setting: Setting, export: SubsetExport, folder: Folder, progress: Progress
) -> Written:
    """Write `sample_ids_<source>.npy` for each source of the mix's texts.

    A pair counts in the file of its source; an image with several pairs of one source is there as
    often, which DataComp's resharder takes as upsampling. Progress is told in pool partitions.
    """
    written, spools = Written(), dict[str, UidSpool]()
    for partition in setting.partitions:
        pairs = export_rows.pairs_of(setting, export.mix, partition)
        written.versions[partition] = export_rows.version_of(pairs)
        for (source,), rows in pairs.partition_by("source", as_dict=True).items():
            spools.setdefault(str(source), UidSpool()).add(rows["uid"])
        progress(1)
    for source, spool in sorted(spools.items()):
        name = f"sample_ids_{source}.npy"
        written.uids[source] = len(spool)
        with folder.writing(name) as file:
            spool.write(file)
        written.add_files(file.written(name))
    return written


def finish(
    setting: Setting, export: Export, folder: Folder, written: Written
) -> tuple[WrittenFile, ...]:
    """Write what stands beside the shards, the checksums last; what is not of this export goes.

    Returns:
        The files written here.
    """
    held, curation = _holdings(written), curation_of(setting, export, written.versions)
    own = [folder.write(CARD, card(export, held, curation))]
    if not isinstance(export, SubsetExport):
        own.append(folder.write(SHARDS, shard_list_json(export.to, written.shards)))
    if isinstance(export, HuggingFaceExport):
        own.append(folder.write(CROISSANT, croissant(export, held, curation)))
    if (mark := folder.hashed(MARK)) is not None:
        own.append(mark)
    written.add_files(*own)
    tidy(folder, written.files)
    own.append(folder.write(CHECKSUMS, checksums_of(written.files.values())))
    return tuple(own)


def tidy(folder: Folder, keep: Collection[str], partition: str | None = None) -> None:
    """Remove what earlier exports and killed ones left: in the whole folder, or of one partition.

    Args:
        folder: The export's folder.
        keep: Paths that stay.
        partition: The partition whose folders are looked at.
    """
    below = [""]
    if partition is not None:
        groups = [name for name in folder.top_names() if name.startswith("weight_")]
        below = [partition, *(f"{group}/{partition}" for group in groups)]
    names = [name for place in below for name in folder.names(place)]
    folder.remove(name for name in names if name not in keep and _is_ours(name))


def _is_ours(name: str) -> bool:
    return bool(_OURS.fullmatch(name)) or name.endswith(PARTIAL)


def _holdings(written: Written) -> Holdings:
    shard_files = [f for record in written.shards for f in record.files]
    if written.uids:
        n = sum(written.uids.values())
        n_bytes = sum(file.size for file in written.files.values())
        return Holdings(n, n, n_bytes, written.uids)
    return Holdings(
        written.n_samples,
        written.n_pairs,
        sum(file.size for file in shard_files),
        written.by_source,
        dict(sorted(written.left_out.items())),
    )


def curation_of(setting: Setting, export: Export, versions: Mapping[str, str]) -> Curation:
    """How the mix of an export came about."""
    cutoffs = setting.workspace.tables.read(THRESHOLDS, mix=export.mix).sort("path")
    text = "\n".join(f"{partition} {version}" for partition, version in sorted(versions.items()))
    mix_version = hashlib.sha256(text.encode()).hexdigest()[:VERSION_DIGITS]
    told = _told(setting, export)
    return Curation(
        experiment=setting.experiment.name,
        mix=export.mix,
        rules=told["mix"],
        cutoffs=cutoffs.to_dicts(),
        sources=told["sources"],  # type: ignore[arg-type] - built so below
        scorer=told["scorer"],
        versions={f"curated_mixes/{export.mix}": mix_version},
    )


def _told(setting: Setting, export: Export) -> dict[str, Mapping[str, object]]:
    """What the card tells of the experiment, in JSON values."""
    experiment = setting.experiment
    mix = experiment.mixes[export.mix]
    scorer = experiment.scorer_of(mix)
    names = list(sources_read(mix))
    if not isinstance(export, SubsetExport):
        names += export_rows.sources_along(setting, export)
    sources = {n: _public(experiment.sources[n]) for n in dict.fromkeys(names) if n != RAW}
    return {
        "mix": mix.model_dump(mode="json", exclude_defaults=True),
        "sources": sources,
        "scorer": {scorer: _public(experiment.scorers[scorer])},
    }


_FIRST = (
    "kind", "model", "revision", "pretrained", "precision", "quantization", "prompt", "system",
    "decoding", "candidates", "max_pixels", "preset", "source", "scorer", "keep",
)  # fmt: skip
"""The order in which a card tells of captioners and scorers; what else they have comes after."""


def _public(spec: Spec) -> Mapping[str, object]:
    values = spec.public()
    names = [*(name for name in _FIRST if name in values), *sorted(values.keys() - set(_FIRST))]
    # A server may list a model by its path, too.
    return {name: _without_place(values[name]) for name in names}


def _without_place(value: object) -> object:
    if not isinstance(value, str):
        return value
    head, colon, path = value.rpartition("local-dir:")
    is_path = path.startswith(("/", "~", "./", "../")) or bool(colon)
    return f"{head}{colon}{PurePath(path).name}" if is_path else value


def _outcome(written: Written, own: Iterable[WrittenFile]) -> Outcome:
    shown = {f"samples/{source}": n for source, n in _holdings(written).by_source.items()}
    return Outcome(
        files_digest(own),
        _holdings(written).n_samples,
        dict(sorted(written.left_out.items())),
        facts={"shards": len(written.shards), **_facts(written), **shown},
    )


def _facts(written: Written) -> Mapping[str, int]:
    n_bytes = sum(file.size for file in written.files.values())
    return {"pairs": written.n_pairs, "files": len(written.files), "bytes": n_bytes}


def _of_total(step: Step, total: int) -> Progress:
    done = 0

    def advance(n: int) -> None:
        nonlocal done
        done += n
        step.progress(min(done / max(total, 1), 1.0))

    return advance


def _partition_record(partition: str) -> str:
    return f"partition-{partition}.json"


def files_digest(files: Iterable[WrittenFile]) -> str:
    """Hash of files' paths and bytes: the data version of what is written."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.name):
        digest.update(f"{file.name}:{file.sha256}\n".encode())
    return digest.hexdigest()[:VERSION_DIGITS]


def _digest_now(folder: Folder, names: Iterable[str]) -> str | None:
    found = [folder.hashed(name) for name in names]
    return None if None in found else files_digest(file for file in found if file is not None)


def _is_whole(folder: Folder, record: str) -> bool:
    """Whether the files that a record in a local folder names are there, as long as written."""
    try:
        files = json.loads(folder.read(record) or b"")["files"]
        return all(is_whole(f"{folder.url}/{one['name']}", one["size"]) for one in files)
    except (ValueError, KeyError, TypeError):
        return False


@dataclass(frozen=True)
class ExportedPartitions:
    """The shards of an export: what each partition's record says, and the files themselves."""

    setting: Setting
    name: str

    def present(self, look: Look) -> Collection[str]:  # noqa: ARG002 - of the protocol
        """The partitions whose record is there, which is written last, and all shards in it."""
        folder = folder_of(self.setting, self.name)
        there = folder.top_names()
        found = {key for key in self.setting.partitions if _partition_record(key) in there}
        # In a bucket each file would have to be asked for, and so would each image of a folder.
        if not folder.is_local or self.setting.experiment.exports[self.name].to == "text_to_image":
            return found
        return {key for key in found if _is_whole(folder, _partition_record(key))}

    def places(self, partition: str) -> tuple[Place, ...]:  # noqa: ARG002 - of the protocol
        """None: they are files."""
        return ()

    def data_version(self, partition: str, table_versions: Mapping[str, int]) -> str | None:  # noqa: ARG002 - of the protocol
        """Hash of the files that the record names, as they are now; "gone" where one is not."""
        folder = folder_of(self.setting, self.name)
        content = folder.read(_partition_record(partition))
        if content is None:
            return "gone"
        try:
            names = list(read_written(content).files)
        except (ValueError, KeyError, TypeError):
            return "damaged"
        return _digest_now(folder, names) or "gone"


@dataclass(frozen=True)
class ExportedFiles:
    """What an export has for all partitions together."""

    setting: Setting
    name: str

    def present(self, look: Look) -> Collection[str]:  # noqa: ARG002 - of the protocol
        """The export, where its checksums are there, which are written last, and what is beside."""
        there = folder_of(self.setting, self.name).top_names()
        return {""} if there.issuperset(self._names()) else frozenset()

    def places(self, partition: str) -> tuple[Place, ...]:  # noqa: ARG002 - of the protocol
        """None: they are files."""
        return ()

    def data_version(self, partition: str, table_versions: Mapping[str, int]) -> str | None:  # noqa: ARG002 - of the protocol
        """Hash of card, list, mark and checksums as they are now."""
        return _digest_now(folder_of(self.setting, self.name), self._names()) or "gone"

    def _names(self) -> list[str]:
        export = self.setting.experiment.exports[self.name]
        names = [CARD, CHECKSUMS, MARK]
        if not isinstance(export, SubsetExport):
            names.append(SHARDS)
        if isinstance(export, HuggingFaceExport):
            names.append(CROISSANT)
        return names


def counted_pairs(setting: Setting, mix: str) -> Counter[str]:
    """Pairs of a mix as it is built, by source; empty where it was never built."""
    tables = setting.workspace.tables
    if tables.version(CURATED_MIXES) is None:
        return Counter()
    rows = tables.scan(CURATED_MIXES, mix=mix).group_by("source").len().collect()
    return Counter(dict(rows.iter_rows()))
