"""Building one partition: look at what it reads, reuse or compute, and say what was done."""

import platform
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import polars as pl

from recap_assets.graph.content import ASSET, FINGERPRINT, StoredRows
from recap_assets.graph.former import Former, FormerResults, Wanted
from recap_assets.graph.kept_rows import KeptSlice, settings_digest
from recap_assets.graph.node import Graph, Node, Observe, Outcome, Progress, Step, TakesOver
from recap_assets.graph.planner import name_of
from recap_assets.graph.records import MISSING, NO_VERSIONS, OUTSIDE, Inputs, Record, Records
from recap_assets.graph.reuse import Reuse
from recap_assets.graph.versions import VersionReader
from recap_assets.graph.workers import HERE, Workers
from recap_assets.storage.errors import StorageError
from recap_assets.untrusted.errors import RecapError


class UpstreamMissingError(RecapError, RuntimeError):
    """Something that the partition reads was never built."""


@dataclass(frozen=True)
class Built:
    """What building a partition gave.

    Attributes:
        record: Its record now.
        outcome: What was computed, or what there was.
        reused: True where nothing was computed.
        input_events: The newest event of each dependency that was read.
    """

    record: Record
    outcome: Outcome
    reused: bool
    input_events: Mapping[str, int]


def build_partition(  # noqa: PLR0913 - what it reports to, by name
    graph: Graph,
    records: Records,
    node: Node,
    partition: str,
    *,
    force: bool = False,
    reuses: bool = True,
    interrupted: float | None = None,
    progress: Progress = lambda _done: None,
    observe: Observe = lambda _figures: None,
    waits: Callable[[str], None] = lambda _reason: None,
    workers: Workers = HERE,
) -> Built:
    """Bring one partition up to date; compute nothing where its fingerprint says it already is.

    The versions of what it reads are taken before the data: should something upstream change in
    between, the record is too old and the next plan rebuilds once more. It is never too new.

    Args:
        graph: All nodes.
        records: What was built.
        node: The node.
        partition: The partition's key.
        force: Compute though it is up to date, or was computed before.
        reuses: Whether what was computed before is taken over, whole or row by row.
        interrupted: When the last build of the partition began, where that one did not come to its
            end: its content may then be another than one recorded before.
        progress: Called with how far it is.
        observe: Called with figures on the way.
        waits: Called with the reason where it has to wait for a GPU.
        workers: What computes it; by default this process.

    Raises:
        UpstreamMissingError: Something that it reads was never built.
    """
    reader = VersionReader(graph, records)
    reading = reader.reading(node, partition)
    _refuse_missing(node, partition, reading.whole)
    events = reader.events(node, partition)
    known = reader.latest(node.key).get(partition)
    fingerprint, *earlier = reading.fingerprints(node.code_version)
    if known is not None and known.is_older(interrupted):
        # The storage may hold what was written just before the interruption.
        known = replace(known, data_version="unknown")
    elif known and not force and reader.has_code(node, known) and not reading.differs(known):
        if not known.n_rows or _is_present(graph, node, partition):
            return _as_before(reading.record_with(known), events)
        known = replace(known, data_version="gone")
    step = Step(
        partition=partition,
        fingerprint=fingerprint,
        known_version=known.data_version if known else None,
        known_facets=known.facets.by_name if known else {},
        commit={FINGERPRINT: fingerprint, ASSET: node.key, **provenance()},
        progress=progress,
        observe=observe,
        reads=reading.whole.by_name,
        asset=node.key,
        waits=waits,
    )
    done = _committed(node, step) if interrupted and not force else None
    if reuses and not force:
        step = replace(step, reuse=reuse_of(node, partition, reading.whole, graph.formers))
        done = done or _taken_over(node, step, earlier, graph.formers)
    outcome, seconds = done or _computed(node, step, workers)
    record = reading.record_with(_record(node, outcome, seconds, known))
    return Built(record, outcome, reused=False, input_events=events)


def _computed(node: Node, step: Step, workers: Workers) -> tuple[Outcome, float]:
    """A result, and the seconds that computing it took."""
    started = time.monotonic()
    outcome = compute_and_write(node, step, workers)
    took = step.reuse.account
    facts = {**outcome.facts, **took.facts}
    return replace(outcome, facts=facts), time.monotonic() - started + took.before


def reuse_of(
    node: Node,
    partition: str,
    inputs: Inputs,
    formers: FormerResults,
    *,
    only_counts: bool = False,
) -> Reuse:
    """What a partition may take over row by row.

    Args:
        node: Its node.
        partition: The partition.
        inputs: The versions that it reads.
        formers: What was computed before.
        only_counts: Whether its rows are only counted; see `Reuse`.
    """
    if node.rows is None:
        return Reuse()
    reads = {dep.asset for dep in node.dependencies if dep.partitions == "all"}
    if not node.rows.is_outside_hashed:
        reads.add(OUTSIDE)
    whole = {name: version for name, version in inputs.by_name.items() if name in reads}
    digest = settings_digest(node.implementation, node.decides_value, node.rows.names, whole)
    return reuse_by(node, partition, digest, formers, only_counts=only_counts)


def reuse_by(
    node: Node,
    partition: str,
    digest: str,
    formers: FormerResults,
    *,
    only_counts: bool = False,
) -> Reuse:
    """What a partition may take over row by row, by what was computed under equal settings.

    Args:
        node: Its node.
        partition: The partition.
        digest: Of the settings (`settings_digest`); empty: nothing is taken over.
        formers: What was computed before.
        only_counts: Whether its rows are only counted; see `Reuse`.
    """
    if node.rows is None or not digest:
        return Reuse()
    wanted = Wanted(node.key, partition, node.rows, digest)

    def find() -> list[KeptSlice]:
        return list(formers.slices(wanted))

    return Reuse(node.rows, find, digest, only_counts=only_counts)


def _committed(node: Node, step: Step) -> tuple[Outcome, float] | None:
    """What an interrupted build had written and not recorded; its seconds are not known."""
    if not node.is_worth_keeping or not isinstance(node.content, StoredRows):
        return None
    outcome = node.content.committed(step)
    return None if outcome is None else (outcome, 0.0)


def _taken_over(
    node: Node, step: Step, earlier: Iterable[str], formers: FormerResults
) -> tuple[Outcome, float] | None:
    """A result that was computed before, made the partition's, and the seconds that it took then.

    None where there is none.

    `earlier` are fingerprints that results from before facets were have.
    """
    if not node.is_worth_keeping or not isinstance(node.content, TakesOver):
        return None
    for former in formers_of(node, step.partition, (step.fingerprint, *earlier), formers):
        # Whatever keeps it from being read, it can be computed. Damaged files make polars panic.
        with suppress(StorageError, OSError, pl.exceptions.PanicException):
            if outcome := node.content.take_over(step, former):
                return outcome, former.seconds
    return None


def formers_of(
    node: Node,
    partition: str,
    prints: Sequence[str],
    formers: FormerResults,
    *,
    is_planned: bool = False,
) -> Iterator[Former]:
    """What may be taken over: of the asset itself, and of others where the name decides nothing.

    Args:
        node: What is built.
        partition: The partition.
        prints: Its fingerprint, and those that earlier results have.
        formers: What was computed before.
        is_planned: As in `FormerResults.named_otherwise`.
    """
    for one in prints:
        yield from formers.of(node.key, partition, one)
    if node.any_name:
        yield from formers.named_otherwise(node.key, partition, prints, is_planned=is_planned)


def compute_and_write(node: Node, step: Step, workers: Workers = HERE) -> Outcome:
    """Compute one partition, write the rows that it comes to, and do what waited for that.

    Raises:
        TypeError: The node gave rows, but its content is no slice of a table.
    """
    found = workers.compute(node, step)
    if isinstance(found, Outcome):
        outcome = found
    elif isinstance(node.content, StoredRows):
        outcome = node.content.write(step, found)
    else:
        msg = f"{node.key} gives rows, but its content is no slice of a table"
        raise TypeError(msg)
    for action in step.once_written:
        action()
    return outcome


def _record(node: Node, outcome: Outcome, seconds: float, known: Record | None) -> Record:
    n_bytes = sum(written.n_bytes for written in outcome.written)
    return Record(
        outcome.data_version,
        node.code_version,
        NO_VERSIONS,
        outcome.n_rows,
        seconds=seconds,
        # What was not written again would be, if it were not there.
        n_bytes=n_bytes or (known.n_bytes if known else 0),
        gpu_seconds=0.0 if outcome.device == "cpu" else seconds,
        built_at=time.time(),
        rejected=tuple(sorted(outcome.rejected.items())),
        facets=Inputs.of(outcome.facets),
    )


def _is_present(graph: Graph, node: Node, partition: str) -> bool:
    if node.content is None or graph.look is None:
        return True
    return partition in node.content.present(graph.look())


def _refuse_missing(node: Node, partition: str, inputs: Inputs) -> None:
    missing = [name for name, version in inputs.by_name.items() if version == MISSING]
    if missing:
        where = name_of(node.key, partition)
        msg = f"{where} reads {', '.join(missing)}, never built; build that first, or `recap build`"
        raise UpstreamMissingError(msg)


def _as_before(record: Record, events: Mapping[str, int]) -> Built:
    outcome = Outcome(
        record.data_version,
        record.n_rows,
        dict(record.rejected),
        facts={"reused": "yes"},
        facets=record.facets.by_name,
    )
    return Built(record, outcome, reused=True, input_events=events)


@lru_cache(maxsize=1)
def provenance() -> Mapping[str, str]:
    """Git commit and the versions of the libraries that decide results."""
    libraries = ("torch", "transformers", "open_clip_torch", "polars", "deltalake", "dagster")
    versions = {f"recap.{name}": metadata.version(name) for name in libraries}
    return {"recap.commit": _git_commit(), "recap.python": platform.python_version(), **versions}


def _git_commit() -> str:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"
