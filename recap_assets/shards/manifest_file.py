"""The list of a pool's shards as it is kept, with the numbers that they have for life."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from recap_assets.shards.manifest import Listing, Shard, SkippedFile, assign, with_unfinished
from recap_assets.storage.files import write_atomically


def read(path: Path) -> Mapping[int, Shard]:
    """The shards by number.

    Raises:
        FileNotFoundError: There is no list.
    """
    return _read(path, path.stat().st_mtime_ns)


def known(path: Path) -> list[Shard]:
    """All shards that ever had a number, those that left included; none without a list."""
    if not path.exists():
        return []
    content = json.loads(path.read_text())
    rows = content["shards"] + content["removed"]
    return list({shard.number: shard for shard in (Shard(**row) for row in rows)}.values())


def is_frozen(path: Path) -> bool:
    """Whether the shards are those of a receipt, whatever else lands."""
    return path.exists() and bool(json.loads(path.read_text()).get("frozen"))


def left_aside(path: Path) -> tuple[SkippedFile, ...]:
    """The files that look like shards and are none; nothing without a list."""
    if not path.exists():
        return ()
    return tuple(SkippedFile(**row) for row in json.loads(path.read_text()).get("aside", []))


def freeze(path: Path, shards: Sequence[Shard]) -> None:
    """Make these all the shards that the pool has, under these numbers."""
    rows = {"shards": [asdict(shard) for shard in shards], "removed": [], "frozen": True}
    write_atomically(path, json.dumps(rows, indent=1).encode())


def update(path: Path, listing: Listing) -> None:
    """Keep what was listed; of a frozen list only what it has."""
    before = read(path).values() if path.exists() else ()
    ever = known(path)
    now = assign(with_unfinished(listing, before), ever)
    if frozen := is_frozen(path):
        names = {shard.name for shard in ever}
        now = [shard for shard in now if shard.name in names]
    # Those that left the pool are remembered, so that no other one ever gets their number.
    numbers = {shard.number for shard in now}
    removed = [shard for shard in ever if shard.number not in numbers]
    rows = {"shards": [asdict(s) for s in now], "removed": [asdict(s) for s in removed]}
    rows["aside"] = [asdict(one) for one in listing.skipped]
    content = json.dumps(rows | {"frozen": True} if frozen else rows, indent=1).encode()
    if not path.exists() or path.read_bytes() != content:
        write_atomically(path, content)


@lru_cache(maxsize=8)
def _read(path: Path, _modified: int) -> Mapping[int, Shard]:
    rows = json.loads(path.read_text())["shards"]
    return {shard.number: shard for shard in (Shard(**row) for row in rows)}
