"""Forgetting from beginning to end: what is found, what is done, and what a search finds after."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from recap_assets.assembly.forgetting.finding import (
    Found,
    identify,
    in_place,
    near,
    unknown,
)
from recap_assets.assembly.forgetting.identity import Identity, url_key
from recap_assets.assembly.forgetting.journal import Journal
from recap_assets.assembly.forgetting.places import Place, places_of
from recap_assets.assembly.forgetting.removing import (
    Gone,
    OnStep,
    Removal,
    TakeEvents,
    take_replies,
)
from recap_assets.assembly.forgetting.searching import files_below, holds
from recap_assets.assembly.forgetting.seen import Saw, exports, pool_shards, trained
from recap_assets.storage.errors import StorageError
from recap_assets.storage.locks import JOURNAL
from recap_assets.storage.pins import pinned_versions
from recap_assets.storage.refused import FILE as REFUSED
from recap_assets.storage.refused import Refused
from recap_assets.untrusted.errors import RecapError

LOCK = ".forgetting.lock"
SHOWN = 5


class ForgetError(RecapError, ValueError):
    """What was named is not there, or nothing may be changed now; the text says what to do."""


@dataclass(frozen=True)
class Planned:
    """What would go.

    Attributes:
        data: The data folder.
        places: Its experiments.
        journal: What is known of the samples and where they are.
        resumes: Whether a removal was interrupted, which is completed with this one.
        trained: Models that saw a sample, by experiment.
        exported: Exports outside the data folder that have it, by experiment.
        pools: Shards and folders with it that are not ours to write to, by experiment.
        n_replies: Kept replies of captioning servers.
    """

    data: Path
    places: Sequence[Place]
    journal: Journal
    resumes: bool
    trained: dict[str, list[Saw]] = field(default_factory=dict[str, list[Saw]])
    exported: dict[str, list[Saw]] = field(default_factory=dict[str, list[Saw]])
    pools: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    n_replies: int = 0


@dataclass(frozen=True)
class Forgotten:
    """What was done.

    Attributes:
        gone: What went from each experiment in this call.
        n_replies: Replies that went.
        files: Files and folders beside the experiments' that were dropped.
        n_searched: Files that were searched after it.
        remaining: Those that still hold something of a sample.
    """

    gone: dict[str, Gone]
    n_replies: int
    files: tuple[str, ...]
    n_searched: int
    remaining: tuple[str, ...]


@contextmanager
def alone(data: Path) -> Iterator[None]:
    """Be the only removal in a data folder.

    Raises:
        ForgetError: Another is at work, or there is no such folder.
    """
    if not data.is_dir():
        msg = f"there is no data folder {data}; --data or RECAP_DATA names another"
        raise ForgetError(msg)
    handle = os.open(data / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"another `recap forget` is at work in {data}; wait for it to finish"
            raise ForgetError(msg) from error
        yield
    finally:
        os.close(handle)


def find(data: Path, tables_root: str | None, named: Identity) -> Planned:
    """Everything that would go, without any change.

    Raises:
        ForgetError: No experiment has one of the uids.
        StorageError: The tables are in an object store, or a journal or a receipt is damaged.
    """
    before = Journal.of(data)
    places = list(places_of(data, tables_root))
    if before is None:
        _refuse_unknown(places, named)
    for place in places:
        pinned_versions(place.workspace.receipts)  # one that cannot be read stops everything here
    whole = named if before is None else named | before.named
    known = whole if before is None else whole | before.identity
    identity = identify(places, known)
    found = {place.name: in_place(place, identity) for place in places}
    journal = Journal(whole, identity, found).merged(before)
    found = journal.places
    planned = Planned(
        data, places, journal, before is not None,
        n_replies=take_replies(_replies(data), journal.identity, dry_run=True),
    )  # fmt: skip
    for place in places:
        _add_seen(planned, place, found[place.name])
    return planned


def forget(
    planned: Planned, take_events: TakeEvents, keep: Callable[[Forgotten], None], on_step: OnStep
) -> Forgotten:
    """Remove what was found, and search the data folder for what is left.

    Args:
        planned: As `find` gave it.
        take_events: Removes the events of a folder of Dagster's storage.
        keep: Called with what was done before the journal goes.
        on_step: Called with what is being done.

    Raises:
        ForgetError: A build is at work.
        StorageError: Something cannot be read or written; the next call completes the rest.
    """
    data, identity = planned.data, planned.journal.identity
    _begin(planned)
    refused = _refuse(data, planned.journal)
    gone = {}
    for place in planned.places:
        found = _with_exports(place, planned.journal.places[place.name])
        gone[place.name] = Removal(place, found, identity, refused, take_events).run(on_step)
    on_step("removing what all experiments share")
    n_replies = take_replies(_replies(data), identity)
    files = tuple(_take_shared(planned))
    on_step("searching every file")
    n_searched, remaining = _search(planned)
    done = Forgotten(gone, n_replies, files, n_searched, remaining)
    keep(done)
    (data / JOURNAL).unlink()
    return done


def _begin(planned: Planned) -> None:
    """Write the journal, and go back where a build was quicker."""
    before = Journal.of(planned.data)
    planned.journal.write(planned.data)
    held = {
        place.name: names for place in planned.places if (names := place.workspace.claims.held())
    }
    if not held:
        return
    if before is None:
        (planned.data / JOURNAL).unlink()
    else:
        before.write(planned.data)
    name, names = next(iter(held.items()))
    shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" * (len(names) > SHOWN))
    msg = (
        f"experiment {name} is being built ({shown}), and nothing can be forgotten meanwhile. "
        "Wait for the build to finish or stop it, and call `recap forget` again"
    )
    raise ForgetError(msg)


def _refuse(data: Path, journal: Journal) -> Refused:
    named = journal.named
    refused = (
        Refused.of(data)
        .with_marks("uid", named.uids)
        .with_marks("sha256", {*named.hashes, *journal.identity.hashes})
        .with_marks("url", (url.encode() for url in named.urls))
        .with_marks("url_key", map(url_key, named.urls))
    )
    refused.write(data)
    return refused


def _refuse_unknown(places: Sequence[Place], named: Identity) -> None:
    missing = unknown(places, named.uids)
    if not missing:
        return
    shown = ", ".join(uid.hex() for uid in missing[:SHOWN])
    more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    close = near(places, missing[0])
    hint = f"; did you mean {', '.join(close)}?" if close else "."
    msg = (
        f"no experiment in the data folder has the uid {shown}{more}{hint} Nothing was changed. "
        "`recap look` and `recap lineage` show uids; --sha256 and --url-list also refuse what no "
        "experiment has yet"
    )
    raise ForgetError(msg)


def _add_seen(planned: Planned, place: Place, found: Found) -> None:
    _, elsewhere = exports(place, found)
    planned.trained[place.name] = trained(place, found)
    planned.exported[place.name] = elsewhere
    planned.pools[place.name] = pool_shards(place, found)


def _with_exports(place: Place, found: Found) -> Found:
    """With the exports of its mixes, which may show a sample in a form that no search finds."""
    own, _ = exports(place, found)
    names = [str((path / "_").relative_to(place.workspace.data)) for path in own]
    return Found(**{**vars(found), "files": tuple(sorted({*found.files, *names}))})


def _replies(data: Path) -> Path:
    return data / "server_replies.sqlite"


def _take_shared(planned: Planned) -> Iterator[str]:
    """Drop what is beside the experiments: the copy of the report, caches that hold a sample."""
    data = planned.data
    report = data / "report"
    if report.is_dir() and any(found.is_any for found in planned.journal.places.values()):
        shutil.rmtree(report)
        yield report.name
    roots = [place.workspace.root for place in planned.places]
    for path in files_below(data):
        own = path.name in {JOURNAL, REFUSED, LOCK} and path.parent == data
        if own or any(path.is_relative_to(root) for root in roots):
            continue
        if holds(path, planned.journal.identity):
            path.unlink(missing_ok=True)
            yield str(path.relative_to(data))


def _search(planned: Planned) -> tuple[int, tuple[str, ...]]:
    roots = [planned.data, *(Path(place.workspace.tables.root) for place in planned.places)]
    files = {path for root in roots for path in files_below(root)} - {planned.data / JOURNAL}
    identity = planned.journal.identity
    remaining = sorted(str(path) for path in files if holds(path, identity))
    return len(files), tuple(remaining)


def refuse_other_storage(*, is_shipped: bool, home: Path) -> None:
    """Refuse where Dagster keeps its records in a storage of the user's own.

    Raises:
        StorageError: Its events cannot be taken out of there.
    """
    if not is_shipped:
        msg = (
            f"{home} names a storage of your own for Dagster's records, whose events hold texts "
            "and thumbnails: `recap forget` takes them out of the storage in the data folder only. "
            "Call it without that configuration, and delete the events there"
        )
        raise StorageError(msg)
