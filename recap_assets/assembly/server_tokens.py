"""What a plan's requests to servers are expected to take, by what earlier ones took."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from statistics import fmean

import polars as pl

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.lineage import LINEAGE
from recap_assets.artefacts.pool import RAW_POOL
from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.captions.kind import CaptionSource
from recap_assets.captions.servers.spec import ServerSpec
from recap_assets.graph.estimates import Estimates
from recap_assets.graph.kept_rows import UNREADABLE
from recap_assets.graph.project import Project
from recap_assets.graph.records import Record
from recap_assets.specs.kinds import fitting
from recap_assets.specs.sources import RAW

MOST_MEASURED = 16
"""Partitions of an asset, or builds of a scorer, that are measured: those that were built last."""


@dataclass(frozen=True)
class Tokens:
    """What some requests are expected to take.

    Attributes:
        prompt: Tokens of the requests.
        completion: Tokens of the replies.
        cost: In the currency of the prices; None where the file gives none.
    """

    prompt: int
    completion: int
    cost: float | None

    def __add__(self, other: "Tokens") -> "Tokens":
        has_cost = self.cost is not None and other.cost is not None
        cost = self.cost + other.cost if has_cost else None  # type: ignore[operator]
        return Tokens(self.prompt + other.prompt, self.completion + other.completion, cost)


_Rate = tuple[float, float]
"""Tokens of the request and of the reply, for an image of a source or a text of a scorer."""


@dataclass(frozen=True)
class _Asking:
    """How the tokens of an asset are estimated that has a server asked.

    Attributes:
        rate: What earlier requests took for an image or a text; None where none was measured.
        units: How many images or texts a partition has; None where nobody knows.
        cost_of: What tokens cost.
    """

    rate: Callable[[], _Rate | None]
    units: Callable[[str], float | None]
    cost_of: Callable[[int, int], float | None]


class TokenEstimates:
    """Expected tokens of the partitions for which a server is asked.

    Of a source the tokens of its present captions count, each image with all its candidates; of a
    scorer those of its last builds, as the table `lineage` has them. Replies that are cached are
    counted as if they were asked for.

    Args:
        project: Whose plan it is.
        estimates: What was built, and how many rows are computed.
    """

    def __init__(self, project: Project, estimates: Estimates) -> None:
        self._project, self._estimates = project, estimates
        self._asking = dict(self._sources()) | dict(self._scorers())
        self._rates: dict[str, _Rate | None] = {}

    def asks(self, asset: str) -> bool:
        """Whether a server is asked for it."""
        return asset in self._asking

    def of(self, asset: str, partition: str) -> Tokens | None:
        """What building one partition is expected to take; None where nothing was measured."""
        if asset not in self._asking:
            return Tokens(0, 0, 0.0)
        counts = self._estimates.counts.get((asset, partition))
        asking = self._asking[asset]
        n = asking.units(partition) if counts is None else counts.computed
        rate = self._rate(asset)
        if n is None or rate is None:
            return None
        prompt, completion = (round(n * tokens) for tokens in rate)
        return Tokens(prompt, completion, asking.cost_of(prompt, completion))

    def of_all(self, partitions: Iterable[tuple[str, str]]) -> Tokens | None:
        """What building several (asset, partition) is expected to take in all."""
        found = [self.of(asset, partition) for asset, partition in partitions]
        known = [one for one in found if one is not None]
        return sum(known, Tokens(0, 0, 0.0)) if len(known) == len(found) else None

    def _rate(self, asset: str) -> _Rate | None:
        if asset not in self._rates:
            self._rates[asset] = None
            # A plan is made though tables cannot be read; the build says what is wrong with them.
            with suppress(*UNREADABLE):
                self._rates[asset] = self._asking[asset].rate()
        return self._rates[asset]

    def _sources(self) -> Iterator[tuple[str, _Asking]]:
        for name, spec in self._project.experiment.sources.items():
            served = fitting(name, spec, CaptionSource).served
            if served is not None:
                n = _candidates_of(spec)
                rate = partial(self._rate_of_source, name, n)
                yield (
                    SYNTHETIC_CAPTIONS.key(name),
                    _Asking(rate, self._images_of, served.cost_of),
                )

    def _scorers(self) -> Iterator[tuple[str, _Asking]]:
        for name, spec in self._project.experiment.scorers.items():
            if not isinstance(spec, ServerSpec):
                continue
            rate = partial(self._rate_of_scorer, name)
            for source in self._project.experiment.source_names:
                units = partial(self._texts_of, source)
                yield CLIP_SCORES.key(name, source), _Asking(rate, units, spec.cost_of)

    def _rate_of_source(self, name: str, candidates: int | None) -> _Rate | None:
        newest = self._newest(SYNTHETIC_CAPTIONS.key(name))
        rows = self._project.workspace.tables.scan(SYNTHETIC_CAPTIONS, source=name)
        found = rows.filter(pl.col("partition").is_in(newest)).select(
            images=(pl.col("candidate") == 0).sum(),
            candidates=pl.col("candidate").max() + 1,
            measured=pl.col("n_prompt_tokens").count(),
            prompt=pl.col("n_prompt_tokens").cast(pl.Int64).sum(),
            completion=pl.col("n_tokens").cast(pl.Int64).sum(),
        )
        row = found.collect().row(0, named=True)
        if not row["measured"] or not row["images"]:
            return None
        # A file that asks for more candidates than before is about to ask so much more.
        times = candidates / row["candidates"] if candidates else 1.0
        return row["prompt"] * times / row["images"], row["completion"] * times / row["images"]

    def _rate_of_scorer(self, name: str) -> _Rate | None:
        keys = [CLIP_SCORES.key(name, one) for one in self._project.experiment.source_names]
        rows = self._project.workspace.tables.scan(LINEAGE).filter(pl.col("asset").is_in(keys))
        newest = rows.select("built_at", "facts").sort("built_at").tail(MOST_MEASURED * len(keys))
        n = prompt = completion = 0
        for facts in newest.collect()["facts"]:
            asked = json.loads(facts)
            n += asked.get("requests", 0) - asked.get("retries", 0)
            prompt += asked.get("prompt_tokens", 0)
            completion += asked.get("completion_tokens", 0)
        return (prompt / n, completion / n) if n > 0 and prompt else None

    def _newest(self, asset: str) -> list[str]:
        records = self._estimates.records.latest(asset)
        newest = sorted(records, key=lambda partition: records[partition].event_id)
        return newest[-MOST_MEASURED:]

    def _images_of(self, partition: str) -> float | None:
        """Usable images of a partition of the pool, those of the others where it is not read."""
        return self._of_partition(RAW_POOL.key(), partition, _usable)

    def _texts_of(self, source: str, partition: str) -> float | None:
        """Texts of a source in a partition; of one that was never built by its candidates."""
        images = self._images_of(partition)
        if source == RAW or images is None:
            return images
        key = SYNTHETIC_CAPTIONS.key(source)
        texts = self._of_partition(key, partition, lambda record: record.n_rows)
        candidates = _candidates_of(self._project.experiment.sources[source]) or 1
        return images * candidates if texts is None else texts

    def _of_partition(
        self, asset: str, partition: str, count: Callable[[Record], float]
    ) -> float | None:
        """What a partition's record counts; the mean of the others' where it has none."""
        records = self._estimates.records.latest(asset)
        if partition in records:
            return count(records[partition])
        return fmean(map(count, records.values())) if records else None


def _usable(record: Record) -> float:
    return max(record.n_rows - sum(n for _, n in record.rejected), 0)


def _candidates_of(spec: object) -> int | None:
    """Captions that a source writes of an image, where its own field says so."""
    return getattr(spec, "candidates", None)
