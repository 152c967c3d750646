"""A pool with many score columns, ties, gaps and several candidates, and its plain contents."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property

import numpy as np
import polars as pl

from recap_assets.artefacts.uids import uid_uniform
from recap_assets.mixes.cutoffs import realise
from recap_assets.mixes.score_view import ScoreView
from recap_assets.mixes.selection import select
from recap_assets.specs.mixes import Mix

SCORERS = ("clip", "itm", "sum")
SOURCES = ("raw", "a")
NO_SETS: Mapping[str, pl.Series] = {}


class ManyScores:
    """Columns as tables give them, and as dictionaries: `texts[source][uid][candidate]`, scores.

    `clip` and `itm` are cosines with many ties, `sum` is on a scale of its own, `aesthetic` is of
    images. A tenth of the captions has no text, a tenth more no score by some scorer.
    """

    def __init__(self, n: int, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.uids = [
            hashlib.blake2b(f"{seed} {i}".encode(), digest_size=16).digest() for i in range(n)
        ]
        self.texts: dict[str, dict[bytes, dict[int, str | None]]] = {s: {} for s in SOURCES}
        self.scores: dict[tuple[str, str], dict[bytes, dict[int, float | None]]] = {}
        self.columns: dict[str, pl.DataFrame] = {}
        for source in SOURCES:
            self._add_source(source)
        values = self.random.normal(5, 1, n).astype(np.float16).astype(np.float32)
        there = self.random.random(n) > 0.1
        self.aesthetic = {
            u: float(v) for u, v, k in zip(self.uids, values, there, strict=True) if k
        }
        frame = pl.DataFrame(
            {"uid": self.uids, "shard": self._shards(np.arange(n)), "score": values}
        )
        self.columns["aesthetic"] = frame.filter(pl.Series(there))

    def _shards(self, image: np.ndarray) -> pl.Series:
        return pl.Series(image % 5, dtype=pl.Int32)

    def _add_source(self, source: str) -> None:
        n, random = len(self.uids), self.random
        most = 1 if source == "raw" else 3
        counts = np.ones(n, int) if source == "raw" else random.integers(0, most + 1, n)
        image = np.repeat(np.arange(n), counts)
        candidate = np.arange(len(image)) - np.repeat(np.cumsum(counts) - counts, counts)
        has_text = random.random(len(image)) > 0.1
        texts = [
            f"{source} {i} {c}" if k else None
            for i, c, k in zip(image, candidate, has_text, strict=True)
        ]
        keys = {
            "uid": [self.uids[i] for i in image],
            "shard": self._shards(image),
            "candidate": pl.Series(candidate, dtype=pl.Int16),
        }
        for uid, c, text in zip(keys["uid"], candidate, texts, strict=True):
            self.texts[source].setdefault(uid, {})[int(c)] = text
        for scorer in SCORERS:
            centre, width = (20.0, 9.0) if scorer == "sum" else (0.2, 0.05)
            values = random.normal(centre, width, len(image)).astype(np.float16).astype(np.float32)
            there = has_text & (random.random(len(image)) > 0.1)
            score = pl.Series(np.where(there, values, np.nan), dtype=pl.Float32).fill_nan(None)
            frame = pl.DataFrame({**keys, "score": score})
            if scorer == "clip":
                frame = frame.with_columns(text=pl.Series(texts, dtype=pl.String))
            # Tables are in the order of their shards, and no two columns need have the same rows.
            frame = frame.sort("shard", "uid", "candidate") if scorer != "sum" else frame.reverse()
            self.columns[source if scorer == "clip" else f"{scorer}.{source}"] = frame
            held = self.scores.setdefault((scorer, source), {})
            for uid, c, one in zip(keys["uid"], candidate, score, strict=True):
                held.setdefault(uid, {})[int(c)] = one

    @cached_property
    def in_three(self) -> Sequence[tuple[Mapping[str, pl.DataFrame], Mapping[str, pl.Series]]]:
        """`parts`, made once."""
        return list(self.parts())

    def parts(
        self, n: int = 3
    ) -> Iterator[tuple[Mapping[str, pl.DataFrame], Mapping[str, pl.Series]]]:
        """The pool in parts, in another order: all rows of an image are in one."""
        for part in range(n):
            mine = pl.Series(self.uids[part::n]).implode()
            yield (
                {
                    name: frame.filter(pl.col("uid").is_in(mine)).sample(
                        fraction=1, shuffle=True, seed=part
                    )
                    for name, frame in self.columns.items()
                },
                NO_SETS,
            )

    def view(self, column: str) -> ScoreView:
        """The scores in a column, as `realise` asks for them."""
        return ScoreView(lambda _: [self.columns[column]])

    def pairs(
        self, mix: Mix, sets: Mapping[str, pl.Series] = NO_SETS, *, in_parts: bool = True
    ) -> pl.DataFrame:
        """What the platform selects, part by part."""
        cutoffs = self.cutoffs(mix, sets)
        wanted = self.in_three if in_parts else [(self.columns, sets)]
        return pl.concat([select(mix, cutoffs, part, sets) for part, _ in wanted])

    def cutoffs(self, mix: Mix, sets: Mapping[str, pl.Series] = NO_SETS) -> pl.DataFrame:
        """The cut-offs that the platform finds."""
        return realise(mix, "clip", self.view, lambda: [(part, sets) for part, _ in self.in_three])

    @cache  # noqa: B019 - a pool lives as long as its module's tests
    def best(self, source: str, scorer: str = "clip") -> dict[bytes, tuple[int, float | None]]:
        """The caption with a text that a scorer likes best: its number and that score."""
        found = {}
        for uid, texts in self.texts[source].items():
            scores = self.scores[scorer, source][uid]
            there = [c for c, text in texts.items() if text is not None]
            if there:
                chosen = max(there, key=lambda c: (_or_low(scores[c]), -c))
                found[uid] = (chosen, scores[chosen])
        return found

    @cache  # noqa: B019 - as above
    def column(self, source: str, scorer: str = "clip") -> dict[bytes, float]:
        """The best score of each image that has any."""
        found = {}
        for uid, scores in self.scores[scorer, source].items():
            known = [score for score in scores.values() if score is not None]
            if known:
                found[uid] = max(known)
        return found

    def draws(self, seed: int, purpose: str) -> dict[bytes, float]:
        """One number in [0, 1) for each uid."""
        found = uid_uniform(seed, pl.Series(self.uids), purpose)
        return dict(zip(self.uids, found.tolist(), strict=True))


def _or_low(score: float | None) -> float:
    return -np.inf if score is None else score


def cutoff_of(scores: Mapping[bytes, float], fraction: float) -> np.float32:
    """DataComp's: `n = int(N * fraction); threshold = -np.sort(-scores)[n]`."""
    ranked = -np.sort(-np.array(list(scores.values()), np.float32))
    return ranked[int(len(ranked) * fraction)]


def top(scores: Mapping[bytes, float], fraction: float) -> set[bytes]:
    """The uids that DataComp's rule keeps."""
    cut = cutoff_of(scores, fraction)
    return {uid for uid, score in scores.items() if np.float32(score) >= cut}
