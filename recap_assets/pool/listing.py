"""What to say of a listing of shards: how many there are, and which files are not read."""

from collections.abc import Callable, Iterable, Iterator

from recap_assets.shards.manifest import Listing, PoolError, SkippedFile
from recap_assets.specs.findings import Finding
from recap_assets.untrusted.showing import one_line

SHOWN = 3


def findings_of(where: str, survey: Callable[[], Listing]) -> Iterator[Finding]:
    """Whether there are shards, and what is left aside.

    Args:
        where: What has them, as the experiment names it.
        survey: Lists them.
    """
    try:
        listing = survey()
    except (PoolError, OSError, ValueError) as error:
        yield False, f"{where}: {error}"
        return
    n_bytes = sum(shard.size for shard in listing.shards)
    yield True, f"{where}: {len(listing.shards)} shards, {n_bytes / 2**20:,.1f} MiB"
    for sentence in left_aside(listing.skipped):
        yield None, f"{where}: {sentence}"


def left_aside(files: Iterable[SkippedFile]) -> Iterator[str]:
    """A sentence for each reason: how many files, which, why."""
    reasons: dict[str, list[SkippedFile]] = {}
    for file in files:
        reasons.setdefault(file.reason, []).append(file)
    for reason, alike in reasons.items():
        names = ", ".join(one_line(file.name, 200) for file in alike[:SHOWN])
        more = f" and {len(alike) - SHOWN:,} more" if len(alike) > SHOWN else ""
        listed = "set aside" if alike[0].is_listed else "left aside"
        yield f"{len(alike):,} {listed}: {names}{more} ({one_line(reason)})"
