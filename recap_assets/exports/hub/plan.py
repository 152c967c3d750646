"""What of an export a repository lacks, and in which commits it is sent."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from recap_assets.exports.checksums import CHECKSUMS, MARK
from recap_assets.exports.facts import CARD
from recap_assets.exports.hub.published import Published
from recap_assets.storage.folders import WrittenFile

FILES_PER_COMMIT = 100
BYTES_PER_COMMIT = 5 * 2**30
SMALL_BYTES = 10 * 2**20
"""A larger file is not sent within a commit, which the client holds in memory."""

SMALL_BYTES_PER_COMMIT = 64 * 2**20
REMOVED_PER_COMMIT = 1_000


@dataclass(frozen=True)
class Stored:
    """A file of a repository: its length, and the hash of its content or of its git object."""

    size: int
    sha256: str | None
    git_sha1: str


@dataclass(frozen=True)
class Commit:
    """What one commit sends and removes."""

    sent: tuple[WrittenFile, ...]
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class PushPlan:
    """What is to be done.

    Attributes:
        commits: In this order.
        lacking: Files that the repository does not have as they are.
        stale: Files that leave it.
        n_unchanged: Files that it has as they are.
    """

    commits: tuple[Commit, ...]
    lacking: tuple[WrittenFile, ...]
    stale: tuple[str, ...]
    n_unchanged: int

    @property
    def n_bytes(self) -> int:
        """Bytes of all that the commits send."""
        return sum(file.size for commit in self.commits for file in commit.sent)


def planned(export: Published, stored: Mapping[str, Stored], ours: re.Pattern[str]) -> PushPlan:
    """Compare an export with a repository.

    A reader tells a half push by its missing checksums: where one commit does not hold everything,
    the first one removes those of before, and the last one sends the new ones.

    Args:
        export: What is pushed.
        stored: What the repository has.
        ours: Paths that an export may write: what is called otherwise is nobody's to remove.
    """
    files = export.files
    lacking = [file for name, file in files.items() if not _is_same(export, file, stored.get(name))]
    stale = sorted(name for name in stored if name not in files and ours.fullmatch(name))
    ordered = sorted(lacking, key=_place)
    commits = tuple(_commits(ordered, stale, files, has_list=CHECKSUMS in stored))
    return PushPlan(commits, tuple(ordered), tuple(stale), len(files) - len(lacking))


def _place(file: WrittenFile) -> tuple[int, str]:
    """The mark first, which says whose repository it is; card and checksums last."""
    places = {MARK: 0, CARD: 2, CHECKSUMS: 3}
    return places.get(file.name, 1), file.name


def _commits(
    lacking: Sequence[WrittenFile],
    stale: Sequence[str],
    files: Mapping[str, WrittenFile],
    *,
    has_list: bool,
) -> Iterator[Commit]:
    if not lacking and not stale:
        return
    batches = list(_batches(lacking)) or [()]
    if len(batches) == 1 and len(stale) <= REMOVED_PER_COMMIT:
        yield Commit(batches[0], tuple(stale))
        return
    yield from _removals([CHECKSUMS, *stale] if has_list else stale)
    end = [files[name] for name in (CARD, CHECKSUMS) if name in files]
    for batch in _batches(file for file in lacking if file not in end):
        yield Commit(batch)
    yield Commit(tuple(end))


def _removals(names: Sequence[str]) -> Iterator[Commit]:
    for start in range(0, len(names), REMOVED_PER_COMMIT):
        yield Commit((), tuple(names[start : start + REMOVED_PER_COMMIT]))


def _batches(files: Iterable[WrittenFile]) -> Iterator[tuple[WrittenFile, ...]]:
    """The files in commits of bounded numbers and bytes."""
    batch: list[WrittenFile] = []
    n_bytes = n_small = 0
    for file in files:
        small = file.size if file.size <= SMALL_BYTES else 0
        is_full = len(batch) == FILES_PER_COMMIT or n_bytes + file.size > BYTES_PER_COMMIT
        if batch and (is_full or n_small + small > SMALL_BYTES_PER_COMMIT):
            yield tuple(batch)
            batch, n_bytes, n_small = [], 0, 0
        batch.append(file)
        n_bytes, n_small = n_bytes + file.size, n_small + small
    if batch:
        yield tuple(batch)


def _is_same(export: Published, file: WrittenFile, there: Stored | None) -> bool:
    if there is None or there.size != file.size:
        return False
    if there.sha256 is not None:
        return there.sha256 == file.sha256
    if file.size > SMALL_BYTES:
        return False
    return there.git_sha1 == _git_sha1(export.content(file.name, SMALL_BYTES))


def _git_sha1(content: bytes) -> str:
    """Git's name of a content, which the Hub gives of what is not in its large storage."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
