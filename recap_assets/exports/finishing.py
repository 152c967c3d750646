"""The end of an export: list, card and checksums, and what earlier ones left goes."""

import re
from collections.abc import Collection

from recap_assets.exports.cards import card
from recap_assets.exports.checksums import CHECKSUMS, MARK, checksums_of
from recap_assets.exports.curation import curation_of
from recap_assets.exports.facts import CARD
from recap_assets.exports.kind import ExportKind, ShardedExport
from recap_assets.exports.shard_list import SHARDS, shard_list_json
from recap_assets.exports.written import Written
from recap_assets.graph.project import Project
from recap_assets.specs.kinds import kinds_of
from recap_assets.storage.folders import PARTIAL, Folder, WrittenFile


def finish(
    project: Project, export: ExportKind, folder: Folder, written: Written
) -> tuple[WrittenFile, ...]:
    """Write what is beside the shards, the checksums last; what is not of this export goes.

    Returns:
        The files written here.
    """
    held, curation = written.holdings(), curation_of(project, export, written.versions)
    own = [folder.write(CARD, card(export, held, curation))]
    if isinstance(export, ShardedExport):
        own.append(folder.write(SHARDS, shard_list_json(export.word, written.shards)))
        own += export.beside_all(folder, written)
    for name, content in export.documents(held, curation).items():
        own.append(folder.write(name, content))
    if (mark := folder.hashed(MARK)) is not None:
        own.append(mark)
    written.add_files(*own)
    tidy(folder, type(export), written.files)
    own.append(folder.write(CHECKSUMS, checksums_of(written.files.values())))
    return tuple(own)


def tidy(
    folder: Folder, kind: type[ExportKind], keep: Collection[str], partition: str | None = None
) -> None:
    """Remove what earlier exports and killed ones left: in the whole folder, or of one partition.

    Args:
        folder: The export's folder.
        kind: What is exported there now; another kind may have been before.
        keep: Paths that stay.
        partition: The partition whose folders are checked.
    """
    below = [""]
    if partition is not None:
        groups = [name for name in folder.top_names() if name.startswith("weight_")]
        below = [partition, *(f"{group}/{partition}" for group in groups)]
    is_ours = ours(kind)
    names = [name for place in below for name in folder.names(place) if name not in keep]
    folder.remove(name for name in names if is_ours.fullmatch(name) or name.endswith(PARTIAL))


def ours(*own: type[ExportKind]) -> re.Pattern[str]:
    """Paths that an export of any kind writes: what is called otherwise is nobody's to remove.

    Args:
        own: Kinds beside those that are installed.
    """
    specs = [kind.spec for kind in kinds_of("exports").values()]
    others = [spec for spec in specs if spec is not None and issubclass(spec, ExportKind)]
    kinds = dict.fromkeys([*own, *others])
    beside = [name for kind in kinds for name in kind.beside]
    files = "|".join(f"(?:{pattern})" for kind in kinds for pattern in kind.file_patterns)
    in_shards = rf"(?:weight_[0-9.e+-]+/)?(?:\d{{5,}}/)?(?:{files})"
    lists = "|".join(map(re.escape, [SHARDS, *beside]))
    return re.compile(rf"{in_shards}|partition-\d{{5,}}\.json|{lists}")
