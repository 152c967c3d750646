"""What was written of an export."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from recap_assets.exports.facts import Holdings
from recap_assets.exports.shards import ShardRecord
from recap_assets.storage.folders import WrittenFile

Progress = Callable[[int], None]
"""Told of how many more samples are done."""


@dataclass
class Written:
    """What was written of an export so far.

    Attributes:
        shards: Its shards, in the order of their paths.
        files: Its files with their hashes, by path.
        left_out: Pairs of the mix that are not in it, by reason.
        versions: Data version of the mix's pairs, by pool partition.
        counted: Samples by source, of an export without shards, whose files have no records.
    """

    shards: list[ShardRecord] = field(default_factory=list)
    files: dict[str, WrittenFile] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    versions: dict[str, str] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)

    def add(self, record: ShardRecord, files: Sequence[WrittenFile]) -> None:
        """Add a shard with its files."""
        self.shards.append(record)
        self.left_out.update(record.left_out.values())
        self.add_files(*files)

    def add_files(self, *files: WrittenFile) -> None:
        """Add files."""
        self.files.update({file.name: file for file in files})

    def merge(self, other: "Written") -> None:
        """Add all that another one has."""
        self.shards += other.shards
        self.files.update(other.files)
        self.left_out.update(other.left_out)
        self.versions.update(other.versions)

    @property
    def n_pairs(self) -> int:
        """Pairs that were written to shards."""
        return sum(record.pairs for record in self.shards)

    @property
    def n_samples(self) -> int:
        """Samples that were written to shards."""
        return sum(record.successes for record in self.shards)

    @property
    def n_bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files.values())

    @property
    def by_source(self) -> Mapping[str, int]:
        """Samples in shards by the source of their text."""
        counts: Counter[str] = Counter()
        for record in self.shards:
            counts.update(record.sources)
        return dict(sorted(counts.items()))

    def holdings(self) -> Holdings:
        """What the card says of it."""
        if self.counted:
            n = sum(self.counted.values())
            return Holdings(n, n, self.n_bytes, self.counted)
        return Holdings(
            self.n_samples,
            self.n_pairs,
            sum(file.size for record in self.shards for file in record.files),
            self.by_source,
            dict(sorted(self.left_out.items())),
        )

    def as_json(self) -> bytes:
        """All of it, for `read_written`."""
        content = {
            "shards": [json.loads(record.as_json()) for record in self.shards],
            "files": [vars(file) for _, file in sorted(self.files.items())],
            "left_out": dict(sorted(self.left_out.items())),
            "versions": self.versions,
        }
        return json.dumps(content, sort_keys=True).encode()


def read_written(content: bytes) -> Written:
    """What `Written.as_json` wrote.

    Raises:
        ValueError, KeyError, TypeError: Something else.
    """
    values = json.loads(content)
    return Written(
        [ShardRecord.of(row) for row in values["shards"]],
        {row["name"]: WrittenFile(**row) for row in values["files"]},
        Counter(values["left_out"]),
        values["versions"],
    )
