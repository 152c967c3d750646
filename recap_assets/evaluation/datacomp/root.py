"""Where the sets of DataComp are below a root, and which are missing.

Webdatasets are in `wds_KEY_test`, as DataComp's download script saves them, or in `wds_KEY`, as
CLIP_benchmark calls them. Flickr30k, MSCOCO and WinoGAViL are datasets of the `datasets` library,
which the script keeps in `hf_cache/nlphuji___NAME`; such a folder with parquet files will do too.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from recap_assets.evalsets.rows import has_rows
from recap_assets.evalsets.webdatasets import SetFolder
from recap_assets.specs.datacomp import TASKS, DataCompTask
from recap_assets.untrusted.errors import RecapError

SPLIT = "test"


class MissingSetsError(RecapError, FileNotFoundError):
    """Sets of DataComp are not where they should be; the text lists them and how to get them."""


@dataclass(frozen=True)
class Located:
    """The sets that are there, and those that are not.

    Attributes:
        folders: Folder of each task that was found, in the order asked for.
        missing: The others.
    """

    folders: Mapping[str, str]
    missing: tuple[str, ...]


def locate(root: str, names: Iterable[str]) -> Located:
    """Look for the sets of these tasks below a root: a local path or an fsspec URL."""
    found: dict[str, str] = {}
    missing: list[str] = []
    for name in names:
        folder = next(_candidates(root.rstrip("/"), TASKS[name]), None)
        if folder is None:
            missing.append(name)
        else:
            found[name] = folder
    return Located(found, tuple(missing))


def how_to_get(root: str, missing: Iterable[str]) -> str:
    """Which sets are missing, what their folders are called and where they are published."""
    lines = [
        f"  {TASKS[name].dataset} ({name}): {_folders(TASKS[name])[0]}, from the Hugging Face "
        f"dataset {TASKS[name].hub_id}"
        for name in missing
    ]
    return "\n".join(
        [
            f"{len(lines)} of DataComp's sets are missing below {root}:",
            *lines,
            f"DataComp's own `python download_evalsets.py {root}` fetches all of them. With "
            "`tasks: available` those that are there are evaluated, without an average.",
        ]
    )


def _candidates(root: str, task: DataCompTask) -> Iterator[str]:
    for name in _folders(task):
        path = f"{root}/{name}"
        folder = SetFolder.of(path)
        if name.startswith("wds_"):
            is_there = folder.has(f"{SPLIT}/nshards.txt")
        else:
            is_there = has_rows(folder, SPLIT)
        if is_there:
            yield path


def _folders(task: DataCompTask) -> tuple[str, ...]:
    rows = task.hub_id.replace("/", "___")
    webdatasets = (task.folder, task.folder.removesuffix("_test"))
    if task.protocol == "winogavil":
        return (f"hf_cache/{rows}", rows)
    if task.protocol == "retrieval":
        return (f"hf_cache/{rows}", rows, *webdatasets)
    return webdatasets
