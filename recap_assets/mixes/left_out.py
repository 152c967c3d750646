"""How many captions are not made by sources with `only`, for plans and accounts."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from recap_assets.artefacts import RAW_POOL, SYNTHETIC_CAPTIONS, is_usable
from recap_assets.artefacts.captions import CAPTIONS_LEFT_OUT, ONLY_CUTOFFS
from recap_assets.graph.counting import MOST_COUNTED
from recap_assets.graph.kept_rows import UNREADABLE
from recap_assets.graph.node import Graph
from recap_assets.graph.project import Project
from recap_assets.graph.reuse import Counts
from recap_assets.mixes.needed import left_out_of, realise_cutoffs
from recap_assets.mixes.thresholds import EmptyPopulationError, ScoresChangedError
from recap_assets.specs.needed import Needs, needs_of

UNKNOWN = (*UNREADABLE, EmptyPopulationError, ScoresChangedError)
"""What keeps images from being decided before something else is built."""


@dataclass(frozen=True)
class Part:
    """The part of the pool that a source captions.

    Attributes:
        source: The source.
        is_used: Whether its `only` is `used`.
        whole: Why nothing is left out; "" where something may be.
        n_images: Usable images of the pool, or of the partitions that could be decided.
        n_left_out: Those of them that are not captioned.
        lacking: Mixes that might take captions which are left out, with how many.
        is_known: Whether it is known: what decides it was built, or could be decided now.
    """

    source: str
    is_used: bool
    whole: str = ""
    n_images: int = 0
    n_left_out: int = 0
    lacking: Mapping[str, int] = field(default_factory=dict[str, int])
    is_known: bool = True

    @property
    def words(self) -> str:
        """The part, and why it is that, as a sentence."""
        if self.whole:
            return f"{self.source} captions all images: {self.whole}"
        if not self.is_known:
            return f"{self.source}: which captions can be saved is known once scores are built"
        share = 100 * self.n_left_out / self.n_images if self.n_images else 0
        why = "which no mix can take" if self.is_used else "by its `only`"
        made = self.n_images - self.n_left_out
        found = (
            f"{self.source} captions {made:,} of {self.n_images:,} images; "
            f"{self.n_left_out:,} captions ({share:.1f} %) are saved, {why}"
        )
        lacks = (f"mixes.{name} may take {n:,} of those" for name, n in self.lacking.items())
        return ": ".join([found, ", ".join(lacks)]) if self.lacking else found

    @property
    def note(self) -> str:
        """Over what part the source's statistics are, for who reads them."""
        why = "no mix can take one" if self.is_used else "its `only` says so"
        return (
            f"Scores, diversity and other figures of the captions of {self.source} are over "
            f"{self.n_images - self.n_left_out:,} of {self.n_images:,} images: the other "
            f"{self.n_left_out:,} have none, since {why}."
        )


def stored_parts(project: Project) -> Iterator[Part]:
    """The parts of the pool that sources with `only` caption, as they were built."""
    for name, needs in _with_only(project):
        if needs.whole:
            yield Part(name, needs.asked is None, needs.whole)
            continue
        current = pl.col("partition").is_in(list(project.partitions))
        tables = project.workspace.tables
        rows = tables.scan(CAPTIONS_LEFT_OUT, source=name).filter(current)
        usable = tables.scan(RAW_POOL).filter(current & is_usable())
        with suppress(*UNREADABLE):
            n_images = usable.select(pl.len()).collect(engine="streaming").item()
            yield _part(needs, n_images, rows.select("needed_by").collect())


def _with_only(project: Project) -> Iterator[tuple[str, Needs]]:
    for name in project.experiment.sources:
        if (needs := needs_of(project.experiment, name)) is not None:
            yield name, needs


def _part(needs: Needs, n_images: int, rows: pl.DataFrame) -> Part:
    lacking = Counter[str](rows["needed_by"].explode().drop_nulls().to_list())
    return Part(
        needs.source, needs.asked is None, "", n_images, rows.height, dict(sorted(lacking.items()))
    )


class Planned:
    """The parts that sources with `only` will caption once what is out of date is built.

    What the records do not know yet is decided here, where the scores for that are up to date; it
    asks no model and writes nothing.

    Args:
        project: The experiment.
        graph: Its nodes.
        stale: Assets that are out of date.
    """

    def __init__(self, project: Project, graph: Graph, stale: Collection[str]) -> None:
        self._project, self._graph, self._stale = project, graph, set(stale)

    @cached_property
    def _needs(self) -> Mapping[str, Needs]:
        return dict(_with_only(self._project))

    @cached_property
    def parts(self) -> list[Part]:
        """The parts, source by source."""
        stored = {one.source: one for one in stored_parts(self._project)}
        found: list[Part] = []
        for name, needs in self._needs.items():
            if name in stored and not self._is_stale(name):
                found.append(stored[name])
            elif (decided := self._decided.get(name)) is not None:
                n_images = sum(n for _, n in decided.values())
                rows = pl.concat([rows.select("needed_by") for rows, _ in decided.values()])
                found.append(_part(needs, n_images, rows))
            else:
                found.append(Part(name, needs.asked is None, needs.whole, is_known=False))
        return found

    @property
    def counts(self) -> Mapping[tuple[str, str], Counts]:
        """Captions to make and to keep of partitions that wait for nothing but this decision."""
        found: dict[tuple[str, str], Counts] = {}
        for name, decided in self._decided.items():
            asset = SYNTHETIC_CAPTIONS.key(name)
            own = {ONLY_CUTOFFS.key(name), CAPTIONS_LEFT_OUT.key(name)}
            reads = {one.asset for one in self._graph.nodes[asset].dependencies}
            if (reads & self._stale) <= own:
                found |= {
                    (asset, key): self._count(name, key, *one) for key, one in decided.items()
                }
        return found

    def _is_stale(self, name: str) -> bool:
        return bool({ONLY_CUTOFFS.key(name), CAPTIONS_LEFT_OUT.key(name)} & self._stale)

    @cached_property
    def _decided(self) -> Mapping[str, Mapping[str, tuple[pl.DataFrame, int]]]:
        """Of the sources that could be decided: rows and images of each partition."""
        found: dict[str, Mapping[str, tuple[pl.DataFrame, int]]] = {}
        for name, needs in self._needs.items():
            if not needs.whole and self._is_stale(name) and self._can_be_decided(name):
                with suppress(*UNKNOWN):
                    found[name] = dict(self._decide(needs))
        return found

    def _can_be_decided(self, name: str) -> bool:
        own = ONLY_CUTOFFS.key(name)
        nodes = (self._graph.nodes[key] for key in (own, CAPTIONS_LEFT_OUT.key(name)))
        reads = {one.asset for node in nodes for one in node.dependencies} - {own}
        return reads.isdisjoint(self._stale)

    def _decide(self, needs: Needs) -> Iterator[tuple[str, tuple[pl.DataFrame, int]]]:
        cutoffs, seen = realise_cutoffs(self._project, needs).frame, 0
        for partition in self._project.partitions:
            if seen < MOST_COUNTED:
                one = left_out_of(self._project, needs, partition, cutoffs)
                seen += one[1]
                yield partition, one

    def _count(self, name: str, partition: str, rows: pl.DataFrame, n_images: int) -> Counts:
        tables = self._project.workspace.tables
        made = tables.scan(SYNTHETIC_CAPTIONS, source=name, partition=partition).select("uid")
        wanted = tables.scan(RAW_POOL, partition=partition).filter(is_usable()).select("uid")
        wanted = wanted.join(rows.lazy().select("uid"), on="uid", how="anti")
        n_made = wanted.join(made, on="uid", how="semi").select(pl.len()).collect().item()
        n_wanted = n_images - rows.height
        return Counts(n_wanted - n_made, n_made)
