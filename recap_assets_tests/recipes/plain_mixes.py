"""What a mix takes, image by image in plain Python: for the uses and conditions of some recipes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from recap_assets.artefacts import (
    CLIP_SCORES,
    RAW_POOL,
    SYNTHETIC_CAPTIONS,
    UID_SETS,
    is_usable,
    is_within,
)
from recap_assets.specs.mixes import Mix
from recap_assets.storage.tables import TableStore

Pair = tuple[bytes, str]
"""Uid and text."""


@dataclass
class PlainPool:
    """The usable texts of each source, best first, with their scores: by source, by uid."""

    texts: dict[str, dict[bytes, list[tuple[str, float]]]] = field(default_factory=dict)
    sets: dict[str, set[bytes]] = field(default_factory=dict)

    @classmethod
    def of(cls, tables: TableStore, scorer: str) -> "PlainPool":
        """The tables' rows."""
        raw = tables.read(RAW_POOL).with_columns(source=pl.lit("raw"), candidate=0)
        captions = tables.read(SYNTHETIC_CAPTIONS)
        columns = ("source", "uid", "candidate", "text")
        scores = {
            row[:3]: row[3]
            for row in tables.read(CLIP_SCORES, scorer=scorer)
            .select("source", "uid", "candidate", "score")
            .iter_rows()
        }
        pool = cls()
        for frame in (raw, captions):
            rows = frame.filter(is_usable() & pl.col("text").is_not_null()).select(columns)
            for source, uid, candidate, text in rows.sort("candidate").iter_rows():
                by_uid = pool.texts.setdefault(source, {})
                by_uid.setdefault(uid, []).append((text, scores[source, uid, candidate]))
        for by_uid in pool.texts.values():
            for candidates in by_uid.values():
                candidates.sort(key=lambda one: -one[1])
        for row in tables.read(UID_SETS).iter_rows(named=True):
            pool.sets.setdefault(row["set"], set()).add(row["uid"])
        return pool

    def best(self, source: str) -> Mapping[bytes, float]:
        """The score of each image's best text."""
        return {uid: found[0][1] for uid, found in self.texts.get(source, {}).items()}


@dataclass(frozen=True)
class Rule:
    """One rule of a mix on a pool."""

    use: Any
    where: Mapping[str, Any]
    candidates: Any
    pool: PlainPool
    exists: frozenset[bytes]

    def takes(self, uid: bytes) -> list[str]:
        """The texts that it takes of an image, whatever its condition."""
        of_source = {name: texts.get(uid, []) for name, texts in self.pool.texts.items()}
        match self.use:
            case str():
                there = [text for text, _ in of_source[self.use]]
                return there if self.candidates == "all" else there[: self.candidates]
            case {"best_of": [*sources]}:
                first = [of_source[name][0] for name in sources if of_source[name]]
                return [max(first, key=lambda one: one[1])[0]] if first else []
            case {"join": [*sources]}:
                parts = [of_source[name][0][0] for name in sources if of_source[name]]
                return [" ".join(parts)] if len(parts) == len(sources) else []
            case {"each": {**sources}}:
                return [of_source[name][0][0] for name in sources if of_source[name]]
        raise AssertionError(self.use)

    def column(self, of: str | None) -> Mapping[bytes, float]:
        """The scores that a condition means."""
        if of != "used" and (of is not None or isinstance(self.use, str)):
            return self.pool.best(of or self.use)
        of_sources = [self.pool.best(name) for name in self.use["best_of"]]
        uids = {uid for scores in of_sources for uid in scores}
        return {uid: max(s[uid] for s in of_sources if uid in s) for uid in uids}

    def cut(self, top: float, of: str | None) -> float:
        """DataComp's: the score at rank int(n x top) of the images that exist for the mix."""
        scores = sorted((s for u, s in self.column(of).items() if u in self.exists), reverse=True)
        return scores[min(int(len(scores) * top), len(scores) - 1)]

    def accepts(self, uid: bytes, where: Mapping[str, Any]) -> bool:
        """Whether a condition holds of an image; a missing score is below every cut-off."""
        match where:
            case {"all": [*parts]}:
                return all(self.accepts(uid, part) for part in parts)
            case {"in_set": name}:
                return uid in self.pool.sets.get(name, set())
            case {"at_least": {"top": top, "of": of}}:
                least = self.cut(top, of)
            case {"top": top}:
                least = self.cut(top, where.get("of"))
            case _:
                raise AssertionError(where)
        return self.column(where.get("of")).get(uid, -np.inf) >= least


def plain_pairs(mix: Mix, pool: PlainPool, uids: pl.Series) -> set[Pair]:
    """The pairs of a mix whose first rule wins, with the scores of its scorer."""
    assert mix.combine == "first"
    content = mix.model_dump(mode="json", exclude_none=True)
    exists = uids if mix.within is None else uids.filter(is_within(mix.within, uids))
    rules = [
        Rule(one["use"], one.get("where", {}), one["candidates"], pool, frozenset(exists))
        for one in content["rules"]
    ]
    return {pair for uid in exists for pair in _of_image(rules, uid)}


def _of_image(rules: list[Rule], uid: bytes) -> Iterator[Pair]:
    for rule in rules:
        texts = rule.takes(uid)
        if texts and (not rule.where or rule.accepts(uid, rule.where)):
            yield from ((uid, text) for text in texts)
            return
