"""A small pool with ties, gaps and several candidates, and the plain truth about it."""

import hashlib

import numpy as np
import polars as pl

from recap_assets.mixes.score_view import ScoreView

SCHEMA = {
    "uid": pl.Binary,
    "shard": pl.Int32,
    "source": pl.String,
    "candidate": pl.Int16,
    "text": pl.String,
    "score": pl.Float32,
}
SOURCES = ("raw", "blip2", "coca")


def uid_of(number):
    return hashlib.blake2b(str(number).encode(), digest_size=16).digest()


def noisy_pool(n=400, seed=0, missing=0.1):
    """Candidates of `n` images: float16 scores, a tenth of the captions missing, some unscored."""
    r = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        for source in SOURCES:
            for candidate in range(2 if source == "coca" else 1):
                text, score = f"{source} {i} {candidate}", float(np.float16(r.normal(0.2, 0.02)))
                luck = r.random()
                if luck < missing:
                    text = None
                if luck < missing * 1.5:
                    score = None
                rows.append((uid_of(i), i // 100, source, candidate, text, score))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def views_of(*partitions):
    """The function that `realise` asks for scores."""

    def view(source):
        frames = [part.filter(pl.col("source") == source) for part in partitions]
        return ScoreView(lambda low: (f.filter(pl.col("score") >= low) for f in frames))

    return view


class Truth:
    """The pool as dictionaries: text, score and candidate of the best caption by uid."""

    def __init__(self, candidates):
        self.best = {source: {} for source in SOURCES}
        self.shard = {}
        for row in candidates.iter_rows(named=True):
            self.shard[row["uid"]] = row["shard"]
            if row["text"] is None:
                continue
            caption = (row["text"], row["score"], row["candidate"])
            held = self.best[row["source"]].setdefault(row["uid"], caption)
            if _rank(caption) > _rank(held):
                self.best[row["source"]][row["uid"]] = caption
        self.pool = set(self.shard)

    def with_text(self, source):
        return set(self.best[source])

    def score(self, source, uid):
        return self.best[source][uid][1]

    def scored(self, source):
        return {uid for uid, caption in self.best[source].items() if caption[1] is not None}

    def cutoff(self, source, fraction, among=None):
        uids = self.scored(source) & (self.pool if among is None else among)
        scores = np.array([self.score(source, uid) for uid in uids], np.float32)
        return -np.sort(-scores)[min(int(len(scores) * fraction), len(scores) - 1)]

    def at_least(self, source, value):
        return {uid for uid in self.scored(source) if self.score(source, uid) >= value}

    def top(self, source, fraction):
        return self.at_least(source, self.cutoff(source, fraction))


def _rank(caption):
    return (-np.inf if caption[1] is None else caption[1], -caption[2])
