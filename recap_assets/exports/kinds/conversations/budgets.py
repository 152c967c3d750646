"""A budget of tokens: the shards of an export that fit into it."""

import hashlib
import json
from collections.abc import Mapping
from typing import cast

from recap_assets.exports.kinds.conversations.counts import COUNTS
from recap_assets.exports.shards import ShardRecord
from recap_assets.exports.written import Written
from recap_assets.storage.folders import Folder

BUDGET = "budget.json"


def budget_json(folder: Folder, written: Written, budget: int, seed: int) -> bytes:
    """The file `budget.json`: shards that together have at most so many tokens.

    They are drawn one after the other, in an order of (seed, name of the shard), and each that
    still fits is taken, so that they come from all parts of the pool.

    Args:
        folder: The export's folder.
        written: Its shards, each with a file of counts.
        budget: Most tokens of those taken.
        seed: Of the order.
    """
    tokens = {record.shard: _tokens_of(folder, record) for record in written.shards}
    taken = _within(tokens, budget, seed)
    content = {
        "budget": budget,
        "tokens": sum(taken.values()),
        "tokens_of_all_shards": sum(tokens.values()),
        "samples": sum(one.successes for one in written.shards if one.shard in taken),
        "shards": sorted(taken),
    }
    return json.dumps(content, indent=1).encode()


def _tokens_of(folder: Folder, record: ShardRecord) -> int:
    (name,) = (file.name for file in record.files if COUNTS.search(file.name))
    parts = cast("Mapping[str, Mapping[str, int]]", json.loads(folder.read(name) or b"{}"))
    return sum(part["tokens"] for part in parts.values())


def _within(tokens: Mapping[str, int], budget: int, seed: int) -> Mapping[str, int]:
    def drawn(shard: str) -> bytes:
        return hashlib.blake2b(f"budget:{seed}:{shard}".encode(), digest_size=8).digest()

    taken: dict[str, int] = {}
    left = budget
    for shard in sorted(tokens, key=drawn):
        if tokens[shard] <= left:
            taken[shard] = tokens[shard]
            left -= tokens[shard]
    return taken
