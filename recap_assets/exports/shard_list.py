"""What a trainer is given of an export: its shards, their sizes, and how often each is drawn."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

from recap_assets.exports.shards import ShardRecord
from recap_assets.storage.folders import Folder, FolderError
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import parse_json
from recap_assets.untrusted.showing import one_line

SHARDS = "shards.json"
MAX_BYTES = 128 * 2**20
"""Of `shards.json`; a shard takes about 80 bytes."""

MAX_SAMPLES = 10**9
"""Of one shard."""

_NAME = re.compile(r"(?!.*(?:^|/)\.{1,2}(?:/|$))[A-Za-z0-9_.=-]+(?:/[A-Za-z0-9_.=-]+)*")
"""What an export calls its shards: a path below its folder, and nothing that a shell, webdataset
(`pipe:`) or a pattern of braces would take for more."""

_BUCKET = re.compile(r"(?:s3|gs)://[A-Za-z0-9_.=+@/-]+")
_LOCAL = re.compile(r"/(?!.*::)[^{}\\\0\n\r]*")
_NUMBERED = re.compile(r"(.*?)(\d{8})\.tar")


@dataclass(frozen=True)
class ExportedShard:
    """One shard: its path or URL, the samples in it, and the mean weight of one."""

    url: str
    n_samples: int
    weight: float


@dataclass(frozen=True)
class ShardList:
    """The shards of an export, those with samples."""

    shards: tuple[ExportedShard, ...]

    @property
    def n_samples(self) -> int:
        """Samples in all."""
        return sum(shard.n_samples for shard in self.shards)

    @property
    def draw_weights(self) -> tuple[float, ...]:
        """How often each shard is to be drawn, so that each sample is drawn by its weight.

        Trainers draw a shard and then use all its samples, so a shard's weight is the sum of its
        samples'. With equal weights it is its size: drawing shards equally often would favour the
        samples of small ones.
        """
        return tuple(shard.n_samples * shard.weight for shard in self.shards)

    def open_clip_arguments(self) -> list[str]:
        """open_clip's `--train-data` with braces and `::`, and the weights that go with it.

        Neighbours that are drawn equally often share a component. The factors are left out where
        all shards are drawn equally often; with them open_clip needs `--dataset-resampled`.

        Raises:
            FolderError: A URL is one that the trainer would take for something else.
        """
        for shard in self.shards:
            _check_url(shard.url)
        parts = [(_piped(_braced([s.url for s in run])), weight) for run, weight in self._runs()]
        arguments = ["--train-data", "::".join(urls for urls, _ in parts)]
        arguments += ["--train-num-samples", str(self.n_samples), "--dataset-type", "webdataset"]
        if len({weight for _, weight in parts}) > 1:
            factors = "::".join(f"{weight:.10g}" for _, weight in parts)
            arguments += ["--dataset-resampled", "--train-data-upsampling-factors", factors]
        return arguments

    def _runs(self) -> Iterator[tuple[Sequence[ExportedShard], float]]:
        """Runs of neighbours that are drawn equally often."""

        def alike(pair: tuple[ExportedShard, float]) -> tuple[str, float]:
            return pair[0].url.rpartition("/")[0], pair[1]

        pairs = zip(self.shards, self.draw_weights, strict=True)
        for (_, weight), run in groupby(pairs, key=alike):
            yield [shard for shard, _ in run], weight


def shard_list_json(form: str, records: Sequence[ShardRecord]) -> bytes:
    """The file `shards.json`."""
    rows = [{"shard": r.shard, "samples": r.successes, "weight": r.weight} for r in records]
    content = {
        "to": form,
        "samples": sum(record.successes for record in records),
        "pairs": sum(record.pairs for record in records),
        "shards": rows,
    }
    return json.dumps(content, indent=1).encode()


def read_shard_list(folder: Folder) -> ShardList:
    """The shards of a finished export.

    Raises:
        FolderError: It is none, or `shards.json` is damaged or names something outside of it.
    """
    content = folder.read(SHARDS, MAX_BYTES)
    if content is None:
        msg = f"{folder} has no {SHARDS}: it is no finished export of shards"
        raise FolderError(msg)
    try:
        content_of_file = cast("dict[str, Any]", parse_json(content, MAX_BYTES))
        shards = [_exported(folder, row) for row in content_of_file["shards"]]
    except (UntrustedError, ValueError, TypeError, KeyError) as error:
        msg = f"{folder}/{SHARDS} is damaged: {one_line(str(error), 200)}. Export again"
        raise FolderError(msg) from error
    return ShardList(tuple(shard for shard in shards if shard.n_samples))


def _exported(folder: Folder, row: dict[str, Any]) -> ExportedShard:
    name, n_samples, weight = row["shard"], int(row["samples"]), float(row["weight"])
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        msg = f"{name!r} is no shard below it"
        raise ValueError(msg)
    if not 0 <= n_samples <= MAX_SAMPLES or not (math.isfinite(weight) and weight >= 0):
        msg = f"{name} has {n_samples} samples of weight {weight}"
        raise ValueError(msg)
    return ExportedShard(f"{folder.url}/{name}", n_samples, weight)


def _check_url(url: str) -> None:
    """Webdataset runs programs for many schemes, and its patterns have no way to quote."""
    if not _LOCAL.fullmatch(url) and not _BUCKET.fullmatch(url):
        msg = (
            f"{one_line(url, 300)} cannot be passed to open_clip's trainer: it takes local paths "
            "without braces, backslashes and `::`, and s3:// or gs:// URLs of letters, digits and "
            "_.=+@/-. Set `folder` of the export to such a one"
        )
        raise FolderError(msg)


def _piped(urls: str) -> str:
    """No s3:// is opened by webdataset itself; DataComp's train.py writes the same."""
    parts = urls.split("::")
    return "::".join(f"pipe:aws s3 cp {u} -" if u.startswith("s3://") else u for u in parts)


def _braced(urls: Sequence[str]) -> str:
    """One URL, or a run of numbers in braces; a list in braces where the numbers have holes."""
    matches = [_NUMBERED.fullmatch(url) for url in urls]
    if len(urls) == 1 or not all(matches):
        return "::".join(urls)
    names = [match[2] for match in matches if match]
    prefix = urls[0][: -len(f"{names[0]}.tar")]
    is_run = [int(name) for name in names] == list(range(int(names[0]), int(names[-1]) + 1))
    inside = f"{names[0]}..{names[-1]}" if is_run else ",".join(names)
    return f"{prefix}{{{inside}}}.tar"
