"""What every mix of an experiment would hold, counted without making a single pair."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from recap_assets.mixes.images import Candidates, Images
from recap_assets.mixes.selection import Decision, decide
from recap_assets.specs.experiment import Experiment
from recap_assets.specs.mixes import Mix

TRIAL_SCHEMA = pl.Schema(
    {
        "mix": pl.String,
        "n_pairs": pl.Int64,
        "n_images": pl.Int64,
        "n_copies": pl.Int64,
        "mean_score": pl.Float64,
        "source_shares": pl.List(pl.Struct({"source": pl.String, "share": pl.Float64})),
        "thresholds": pl.List(
            pl.Struct({"path": pl.String, "source": pl.String, "value": pl.Float32})
        ),
        "overlap": pl.List(pl.Struct({"mix": pl.String, "jaccard": pl.Float64})),
    }
)


@dataclass(frozen=True)
class Part:
    """A part of the pool.

    Attributes:
        candidates: By the scorer of the mixes, as `select` takes them, or side by side already.
            Without a column `text`, which saves most of the reading, a caption counts as there
            where it has a score; a mix that looks at the captions needs it.
        sets: Binary uids by name, for `in_set`; those of this part suffice.
    """

    candidates: Mapping[str, Candidates | Images]
    sets: Mapping[str, pl.Series]


@dataclass
class _Tally:
    """Counts of one mix, added up over partitions."""

    thresholds: pl.DataFrame
    n_images: int = 0
    n_copies: int = 0
    n_scored: int = 0
    score_sum: float = 0.0
    n_by_source: dict[str, int] = field(default_factory=dict[str, int])
    n_shared: dict[str, int] = field(default_factory=dict[str, int])


def try_mixes(
    experiment: Experiment, cutoffs: Mapping[str, pl.DataFrame], parts: Iterable[Part]
) -> pl.DataFrame:
    """Count every mix of an experiment.

    Args:
        experiment: Whose mixes.
        cutoffs: What `realise` returns for each mix.
        parts: The pool; all candidates of an image are in one part.

    Returns:
        A row a mix, in the experiment's order: `n_pairs`, `n_images`, `n_copies` (of all pairs;
        their number where none is repeated), `mean_score` (over the pairs with a score; null where
        there is none), `source_shares` (of the pairs, largest first), `thresholds`, and `overlap`
        with each other mix: images in both / images in either (0 where both are empty).
    """
    mixes = {name: (mix, experiment.scorer_of(mix)) for name, mix in experiment.mixes.items()}
    tallies = {name: _Tally(cutoffs[name]) for name in mixes}
    by_scorer: dict[str, list[Mix]] = {}
    for mix, scorer in mixes.values():
        by_scorer.setdefault(scorer, []).append(mix)
    for part in parts:
        images = {
            scorer: _beside(part.candidates[scorer], of_scorer)
            for scorer, of_scorer in by_scorer.items()
        }
        index = _index(images)
        masks: dict[str, npt.NDArray[np.uint8]] = {}
        for name, (mix, scorer) in mixes.items():
            decision = decide(mix, tallies[name].thresholds, images[scorer], part.sets)
            _count(tallies[name], decision)
            masks[name] = _mask(decision, index)
        _count_shared(tallies, masks)
    rows = [_row(name, tally, tallies) for name, tally in tallies.items()]
    return pl.DataFrame(rows, schema=TRIAL_SCHEMA)


def _beside(candidates: Candidates | Images, mixes: list[Mix]) -> Images:
    is_ready = isinstance(candidates, Images)
    return candidates if is_ready else Images.for_mixes(candidates, mixes)


def _count(tally: _Tally, decision: Decision) -> None:
    counts = decision.images.select(
        pl.col("accepted").sum().alias("images"),
        *(pair.where.sum().alias(f"n.{i}") for i, pair in enumerate(decision.pairs)),
        *(
            pair.score.filter(pair.where).cast(pl.Float64).sum().alias(f"sum.{i}")
            for i, pair in enumerate(decision.pairs)
        ),
        *(
            pl.when(pair.where).then(pair.copies.cast(pl.Int64)).sum().alias(f"copies.{i}")
            for i, pair in enumerate(decision.pairs)
        ),
        *(
            (pair.where & pair.score.is_not_null()).sum().alias(f"scored.{i}")
            for i, pair in enumerate(decision.pairs)
        ),
    ).row(0, named=True)
    tally.n_images += counts["images"]
    for i, pair in enumerate(decision.pairs):
        tally.n_by_source[pair.source] = tally.n_by_source.get(pair.source, 0) + counts[f"n.{i}"]
        tally.n_copies += counts[f"copies.{i}"]
        tally.n_scored += counts[f"scored.{i}"]
        tally.score_sum += counts[f"sum.{i}"]


def _index(images: Mapping[str, Images]) -> pl.Series:
    first, *others = (each.frame["uid"] for each in images.values())
    if all(uids.equals(first) for uids in others):
        return first
    return pl.concat([first, *others]).unique()


def _mask(decision: Decision, index: pl.Series) -> npt.NDArray[np.uint8]:
    """A bit for each uid of the index: the mix takes the image."""
    accepted = decision.images["accepted"]
    if not decision.images["uid"].equals(index):
        uids = decision.images["uid"].filter(accepted)
        accepted = index.is_in(uids.implode())
    return np.packbits(accepted.to_numpy())


def _count_shared(
    tallies: Mapping[str, _Tally], masks: Mapping[str, npt.NDArray[np.uint8]]
) -> None:
    for name, mask in masks.items():
        for other, other_mask in masks.items():
            if name != other:
                shared = int(np.bitwise_count(mask & other_mask).sum())
                counted = tallies[name].n_shared.get(other, 0)
                tallies[name].n_shared[other] = counted + shared


def _row(name: str, tally: _Tally, tallies: Mapping[str, _Tally]) -> dict[str, object]:
    n_pairs = sum(tally.n_by_source.values())
    largest_first = sorted(tally.n_by_source.items(), key=lambda item: (-item[1], item[0]))
    return {
        "mix": name,
        "n_pairs": n_pairs,
        "n_images": tally.n_images,
        "n_copies": tally.n_copies,
        "mean_score": tally.score_sum / tally.n_scored if tally.n_scored else None,
        "source_shares": [
            {"source": source, "share": n / n_pairs if n_pairs else 0.0}
            for source, n in largest_first
        ],
        "thresholds": tally.thresholds.select("path", "source", "value").to_dicts(),
        "overlap": [
            {"mix": other, "jaccard": _jaccard(tally, tallies[other], tally.n_shared.get(other, 0))}
            for other in tallies
            if other != name
        ],
    }


def _jaccard(one: _Tally, other: _Tally, n_shared: int) -> float:
    n_either = one.n_images + other.n_images - n_shared
    return n_shared / n_either if n_either else 0.0
