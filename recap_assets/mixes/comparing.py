"""Two mixes, or two versions of one, compared a group of pool partitions at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import polars as pl

from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.diversity.ngrams import unique_trigrams
from recap_assets.graph.project import Project
from recap_assets.lineage.pins import ReceiptError, read_receipt
from recap_assets.mixes.difference import (
    CHANGES,
    COMPARED,
    QUANTILES,
    Comparison,
    ScoreTally,
    Side,
)
from recap_assets.mixes.diversity import drawn_texts, merged_draws
from recap_assets.untrusted.errors import RecapError

PERCENTILES = tuple(f"p{100 * share:g}" for share in QUANTILES)
"""Names of QUANTILES: p5, p25, ..."""

ROWS_AT_ONCE = 250_000
"""Pairs of both sides that are compared at a time, unless a partition has more."""

_ANY_SHARD = 2**31 - 1
_SHOWN = ("source", "text", "score", "weight", "copies")


class MixVersionError(RecapError, ValueError):
    """There is no such mix, or no such version of it; the text lists those that exist."""


class _Span(NamedTuple):
    """A partition of a mix: its first and last shard, and its pairs."""

    first: int
    last: int
    partition: str
    rows: int


class _Group(NamedTuple):
    """Partitions of both sides that are compared together, and their pairs."""

    sides: tuple[list[str], list[str]]
    n_rows: int


@dataclass(frozen=True)
class MixVersion:
    """A mix as of one Delta version of the table `curated_mixes`."""

    mix: str
    version: int

    def __str__(self) -> str:
        return f"{self.mix}@{self.version}"


@dataclass(frozen=True)
class Diversity:
    """Distinct trigrams of both mixes on samples of one size."""

    sample_size: int
    before: int
    after: int


@dataclass(frozen=True)
class MixDifference:
    """What differs between two mixes.

    Attributes:
        before: The first.
        after: The second.
        comparison: Images, pairs, scores and samples.
        diversity: Of the texts.
        scorers: The scorer of each by the experiment file; None for a mix that it lacks.
    """

    before: MixVersion
    after: MixVersion
    comparison: Comparison
    diversity: Diversity
    scorers: tuple[str | None, str | None]


def mix_version(project: Project, text: str) -> MixVersion:
    """Read `MIX`, `MIX@RECEIPT`, `MIX@12` (a Delta version) or `MIX@2026-11-20T10:00`.

    A receipt is what `recap pin` wrote; the number is a version of `curated_mixes`. A time without
    an offset is UTC, as `recap` prints it; it means the table as of then. Without a version it is
    the current one, as a number: what is built meanwhile does not mix in.

    Raises:
        MixVersionError: If there is no such version, or no pair of the mix in it.
    """
    name, at, wanted = CURATED_MIXES.named(text).partition("@")
    tables = project.workspace.tables
    current = tables.version(CURATED_MIXES)
    if current is None:
        msg = "no mix is built yet: run `recap build` first"
        raise MixVersionError(msg)
    version = _version(project, text, name, wanted, current) if at else current
    stored = _files(project, version)["mix"].unique().sort()
    if name not in stored:
        msg = (
            f"{text}: no pair of a mix {name!r} is stored at version {version}; there are "
            f"{', '.join(stored) or 'none'}"
        )
        if name in project.experiment.mixes:
            msg += f". {name} is in the file: either it is not built yet, or it takes no image"
        raise MixVersionError(msg)
    return MixVersion(name, version)


def _version(project: Project, text: str, mix: str, wanted: str, current: int) -> int:
    known = f"the newest version of the table curated_mixes is {current}"
    if (project.workspace.receipts / f"{wanted}.json").exists():
        return _pinned_version(project, text, mix, wanted)
    if wanted.isascii() and wanted.isdigit():
        if (version := int(wanted)) <= current:
            return version
        msg = f"{text}: there is no version {version}; {known}"
        raise MixVersionError(msg)
    try:
        moment = datetime.fromisoformat(wanted)
    except ValueError as error:
        msg = (
            f"{text}: after @ stands a receipt's name, a number or a time such as "
            f"2026-11-20T10:00, not {wanted!r}; "
            f"{known}"
        )
        raise MixVersionError(msg) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    version = project.workspace.tables.version_at(CURATED_MIXES, moment)
    if version is None:
        msg = f"{text}: the table curated_mixes begins later than that; {known}"
        raise MixVersionError(msg)
    return version


def _pinned_version(project: Project, text: str, mix: str, name: str) -> int:
    asset = CURATED_MIXES.key(mix)
    try:
        ancestor = read_receipt(name, project.workspace).origin.ancestors.get(asset)
    except ReceiptError as error:
        raise MixVersionError(str(error)) from error
    if ancestor is None:
        msg = f"{text}: the receipt {name} says nothing about {asset}"
        raise MixVersionError(msg)
    versions = (state.table_versions[CURATED_MIXES.name] for state in ancestor.states)
    # Each partition was written at its version and not again before the newest of them.
    return max(version for of_state in versions for version in of_state)


def compare_mixes(
    project: Project,
    before: MixVersion,
    after: MixVersion,
    *,
    n_samples: int = 5,
    advance: Callable[[int, int], None] = lambda _done, _all: None,
) -> MixDifference:
    """Compare two mixes, with memory for one group of partitions.

    An image that moved to a shard of another group between two versions counts as removed and
    added; partitions that were cut otherwise do not matter.

    Args:
        project: The experiment.
        before: As `mix_version` gives it.
        after: As `mix_version` gives it.
        n_samples: Sample images of each change.
        advance: Told how many of how many groups are done.

    Raises:
        StorageError: If the files of a version are vacuumed.
    """
    comparison = Comparison(n_samples, project.experiment.seed)
    diversity = project.experiment.diversity
    project = project.fixed()
    groups = list(_joined(_groups(*(_spans_of(project, side) for side in (before, after)))))
    drawn: list[pl.DataFrame] = [
        drawn_texts(CURATED_MIXES.empty().select(COMPARED), diversity) for _ in range(2)
    ]
    for done, group in enumerate(groups, start=1):
        sides = [
            _pairs(project, side, of_side)
            for side, of_side in zip((before, after), group.sides, strict=True)
        ]
        comparison.add(*sides)
        drawn = [
            merged_draws([known, drawn_texts(pairs, diversity)], diversity)
            for known, pairs in zip(drawn, sides, strict=True)
        ]
        advance(done, len(groups))
    texts = [sample["text"] for sample in drawn]
    scorers = _scorer(project, before.mix), _scorer(project, after.mix)
    return MixDifference(before, after, comparison, _diversity(*texts), scorers)


def _scorer(project: Project, name: str) -> str | None:
    mix = project.experiment.mixes.get(name)
    return None if mix is None else project.experiment.scorer_of(mix)


def _diversity(before: pl.Series, after: pl.Series) -> Diversity:
    size = min((len(texts) for texts in (before, after) if len(texts)), default=0)
    return Diversity(size, *(unique_trigrams(texts.head(size)) for texts in (before, after)))


def _pairs(project: Project, side: MixVersion, partitions: Sequence[str]) -> pl.DataFrame:
    tables = project.workspace.tables

    def wanted() -> pl.LazyFrame:
        rows = tables.scan(CURATED_MIXES, side.version, mix=side.mix)
        return rows.filter(pl.col("partition").is_in(list(partitions))).select(COMPARED)

    return tables.collected(CURATED_MIXES, side.version, wanted)


def _spans_of(project: Project, side: MixVersion) -> list[_Span]:
    """Those of the partitions that have pairs."""
    files = _files(project, side.version).filter(mix=side.mix)
    spans = files.group_by("partition").agg(
        pl.col("first").min(), pl.col("last").max(), pl.col("rows").sum()
    )
    return [_Span(*row) for row in spans.select(_Span._fields).iter_rows()]


def _files(project: Project, version: int) -> pl.DataFrame:
    """`mix`, `partition`, `first` and `last` shard, `rows` of each file, by the Delta log alone."""
    delta = project.workspace.tables.open(CURATED_MIXES, version)
    assert delta is not None  # noqa: S101 - the table has this version
    actions = pl.DataFrame(delta.get_add_actions(flatten=True))
    schema = {"min.shard": pl.Int64, "max.shard": pl.Int64, "num_records": pl.Int64}
    for name, dtype in schema.items():
        if name not in actions.columns:
            actions = actions.with_columns(pl.lit(None, dtype).alias(name))
    return actions.select(
        mix=pl.col("partition.mix").cast(pl.String),
        partition=pl.col("partition.partition").cast(pl.String),
        # A file without statistics may hold any shard.
        first=pl.col("min.shard").cast(pl.Int64).fill_null(0),
        last=pl.col("max.shard").cast(pl.Int64).fill_null(_ANY_SHARD),
        rows=pl.col("num_records").cast(pl.Int64).fill_null(ROWS_AT_ONCE),
    )


def _groups(before: Sequence[_Span], after: Sequence[_Span]) -> Iterator[_Group]:
    """Partitions of both sides that share shards, so that every image's pairs are in one group.

    Mostly the same partition of either; where `shards_per_partition` has changed in between, more.
    """
    spans = sorted((span, i) for i, side in enumerate((before, after)) for span in side)
    group = _Group(([], []), 0)
    end = -1
    for span, i in spans:
        if span.first > end and group.n_rows:
            yield group
            group = _Group(([], []), 0)
        group.sides[i].append(span.partition)
        group = group._replace(n_rows=group.n_rows + span.rows)
        end = max(end, span.last)
    if group.n_rows:
        yield group


def _joined(groups: Iterable[_Group]) -> Iterator[_Group]:
    """Small groups that follow each other as one of up to ROWS_AT_ONCE pairs."""
    joined = _Group(([], []), 0)
    for group in groups:
        if joined.n_rows and joined.n_rows + group.n_rows > ROWS_AT_ONCE:
            yield joined
            joined = _Group(([], []), 0)
        sides = [[*one, *more] for one, more in zip(joined.sides, group.sides, strict=True)]
        joined = _Group((sides[0], sides[1]), joined.n_rows + group.n_rows)
    if joined.n_rows:
        yield joined


def difference_as_json(found: MixDifference) -> dict[str, object]:
    """The difference in plain types."""
    comparison = found.comparison
    return {
        "before": _side_as_json(found.before, comparison.before, found.scorers[0]),
        "after": _side_as_json(found.after, comparison.after, found.scorers[1]),
        "images": {**comparison.n_changed, "same": comparison.n_same},
        "changed_captions": {
            "before": scores_of(comparison.before.changed_scores),
            "after": scores_of(comparison.after.changed_scores),
        },
        "diversity": {
            "sample_size": found.diversity.sample_size,
            "unique_trigrams_before": found.diversity.before,
            "unique_trigrams_after": found.diversity.after,
        },
        "samples": sample_images(comparison.samples),
    }


def _side_as_json(version: MixVersion, side: Side, scorer: str | None) -> dict[str, object]:
    return {
        "mix": version.mix,
        "version": version.version,
        "scorer": scorer,
        "pairs": side.n_pairs,
        "images": side.n_images,
        "copies": side.n_copies,
        "pairs_by_source": dict(sorted(side.n_by_source.items())),
        "scores": scores_of(side.scores),
    }


def scores_of(tally: ScoreTally) -> dict[str, float | int | None]:
    """Counts, mean and quantiles of the decisive scores by name."""
    quantiles = {name: tally.quantile(q) for name, q in zip(PERCENTILES, QUANTILES, strict=True)}
    mean = tally.mean
    rounded = None if mean is None else round(mean, 6)
    return {"n": tally.n, "without_score": tally.n_missing, "mean": rounded, **quantiles}


def sample_images(samples: pl.DataFrame) -> list[dict[str, object]]:
    """The sample images, each with its pairs before and after: `change`, `uid`, both lists."""
    found: list[dict[str, object]] = []
    for change in CHANGES:
        of_change = samples.filter(change=change)
        for (uid,), pairs in of_change.group_by("uid", maintain_order=True):
            assert isinstance(uid, bytes)  # noqa: S101 - for the type checker
            sides = {
                side: pairs.filter(side=side).select(_SHOWN).to_dicts()
                for side in ("before", "after")
            }
            found.append({"change": change, "uid": uid.hex(), **sides})
    return found
