"""How many samples and tokens each part of an export of conversations has."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import PurePosixPath

from recap_assets.exports.kinds.conversations.turns import Conversation
from recap_assets.exports.runs import Run
from recap_assets.exports.shards import joined
from recap_assets.storage.folders import Folder, WrittenFile

TOKENS = "tokens.json"
COUNTS = re.compile(r"(?:^|/)counts/[^/]+\.json$")
"""Paths of the files that count one shard each."""


class Counts:
    """Samples and tokens by part, of one shard."""

    def __init__(self, image_tokens: int) -> None:
        self._image_tokens = image_tokens
        self._found: dict[str, list[int]] = defaultdict(lambda: [0, 0])

    def add(self, conversation: Conversation) -> int:
        """Count a conversation, and say how many tokens it has."""
        tokens = conversation.tokens(self._image_tokens)
        of_part = self._found[conversation.part]
        of_part[0] += 1
        of_part[1] += tokens
        return tokens

    def as_json(self) -> bytes:
        """`{part: {samples, tokens}}`."""
        found = {name: _told(*counts) for name, counts in self._found.items()}
        return json.dumps(found, sort_keys=True).encode()


def _told(samples: int, tokens: int) -> Mapping[str, int]:
    return {"samples": samples, "tokens": tokens}


def counts_name(shard: str) -> str:
    """Name of the file that counts one shard."""
    return f"counts/{shard}.json"


def write_totals(folder: Folder, run: Run) -> list[WrittenFile]:
    """Write the counts of a folder's shards as one file: with all, and shard by shard."""
    totals: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    by_shard: dict[str, int] = {}
    for record in run.records:
        shard = PurePosixPath(record.shard).stem
        content = folder.read(joined(run.below, counts_name(shard))) or b"{}"
        for name, one in json.loads(content).items():
            totals[name][0] += one["samples"]
            totals[name][1] += one["tokens"]
            by_shard[shard] = by_shard.get(shard, 0) + one["tokens"]
    parts = {name: _told(*counts) for name, counts in totals.items()}
    told = {"parts": parts, "tokens_by_shard": by_shard}
    content = json.dumps(told, sort_keys=True, indent=1).encode()
    return [folder.write(joined(run.below, TOKENS), content)]
