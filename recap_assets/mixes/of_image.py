"""Why one image is in a mix with this caption, or what dropped it: from the tables as they are."""

import string
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from recap_assets.artefacts import (
    CLIP_SCORES,
    CURATED_MIXES,
    RAW_POOL,
    STATUS_OK,
    SYNTHETIC_CAPTIONS,
    THRESHOLDS,
    UID_BYTES,
    is_usable,
)
from recap_assets.graph.project import Project
from recap_assets.mixes.assets import candidates_of, sets_of
from recap_assets.mixes.cutoffs import cutoffs_needed
from recap_assets.mixes.explanation import EvaluatedClause, Explanation, explain
from recap_assets.mixes.selection import PAIR_SCHEMA
from recap_assets.sets.assets import computed_sets, why_not
from recap_assets.specs.mixes import Mix
from recap_assets.specs.sources import RAW
from recap_assets.untrusted.errors import RecapError

SHORTEST_PREFIX = 6
UIDS_LISTED = 5


class UidError(RecapError, ValueError):
    """A uid is malformed, unknown, or the beginning of several."""


@dataclass(frozen=True)
class MixAnswer:
    """What one mix makes of an image in one partition.

    Attributes:
        mix: Its name.
        partition: Pool partition of the sample.
        scorer: Whose scores decide.
        explanation: None where the mix's cut-offs are not built as the file now asks for them.
        stored: The image's rows of the table `curated_mixes`.
        problem: Why explanation and stored rows disagree; None where they agree.
    """

    mix: str
    partition: str
    scorer: str
    explanation: Explanation | None
    stored: pl.DataFrame
    problem: str | None


@dataclass(frozen=True)
class ImageAnswer:
    """Where an image is, its captions, and what every mix makes of it.

    Attributes:
        uid: 16 bytes.
        samples: `partition`, `shard`, `shard_name`, `key`, `text`, `status`, `reject_reason` of
            every sample of this uid, the usable ones first.
        captions: `source`, `candidate`, `text`, `status`, `reject_reason`, and each scorer's score
            in a column `score.X`; the raw text is a caption too.
        mixes: In the experiment's order; none where every sample was set aside.
    """

    uid: bytes
    samples: pl.DataFrame
    captions: pl.DataFrame
    mixes: tuple[MixAnswer, ...]

    @property
    def is_usable(self) -> bool:
        """Whether any sample of this uid was not set aside."""
        return bool((self.samples["status"] == STATUS_OK).any())


def explain_image(project: Project, uid: str, mix: str | None = None) -> ImageAnswer:
    """Explain what became of one image.

    Args:
        project: The experiment.
        uid: 32 hex digits, or at least the first six where they are one image's alone.
        mix: One mix; by default all of the experiment.

    Raises:
        UidError: If the uid is malformed, unknown, or the beginning of several.
        KeyError: If the experiment has no such mix.
    """
    mixes = project.experiment.mixes
    chosen = mixes if mix is None else {mix: mixes[mix]}
    samples = _samples(project, uid)
    found = samples["uid"][0]
    usable = samples.filter(is_usable())
    partitions = usable["partition"].unique(maintain_order=True).to_list()
    return ImageAnswer(
        found,
        samples.drop("uid"),
        _captions(project, found, samples["partition"].unique(maintain_order=True).to_list()),
        tuple(
            _answer(project, name, spec, partition, found)
            for name, spec in chosen.items()
            for partition in partitions
        ),
    )


def uid_range(text: str) -> tuple[bytes, bytes]:
    """The first and the last uid that begin with these hex digits.

    Raises:
        UidError: If they are not 6 to 32 hex digits.
    """
    digits = text.strip().lower()
    if not SHORTEST_PREFIX <= len(digits) <= 2 * UID_BYTES or set(digits) - set(string.hexdigits):
        msg = (
            f"a uid is {2 * UID_BYTES} hex digits, or at least its first {SHORTEST_PREFIX}; "
            f"{text!r} is not"
        )
        raise UidError(msg)
    ends = (digits.ljust(2 * UID_BYTES, filler) for filler in "0f")
    first, last = (bytes.fromhex(end) for end in ends)
    return first, last


def _samples(project: Project, text: str) -> pl.DataFrame:
    first, last = uid_range(text)
    columns = ("uid", "partition", "shard", "key", "text", "status", "reject_reason")
    found = (
        project.workspace.tables.scan(RAW_POOL)
        .filter((pl.col("uid") >= pl.lit(first)) & (pl.col("uid") <= pl.lit(last)))
        .select(columns)
        .collect(engine="streaming")
    )
    uids = found["uid"].unique().sort()
    if uids.is_empty():
        msg = (
            f"no sample of the pool has the uid {text.strip()}; `recap status` says whether all "
            "of raw_pool is built"
        )
        raise UidError(msg)
    if len(uids) > 1:
        listed = ", ".join(uid.hex() for uid in uids[:UIDS_LISTED])
        more = f" and {len(uids) - UIDS_LISTED:,} more" if len(uids) > UIDS_LISTED else ""
        msg = f"{len(uids):,} uids begin with {text.strip()}: {listed}{more}; give more digits"
        raise UidError(msg)
    names = {number: shard.name for number, shard in project.shards.items()}
    named = pl.col("shard").replace_strict(names, default=None, return_dtype=pl.String)
    is_usable_first = (~is_usable(), "partition", "shard", "key")
    return found.with_columns(shard_name=named).sort(*is_usable_first)


def _captions(project: Project, uid: bytes, partitions: list[str]) -> pl.DataFrame:
    tables = project.workspace.tables
    of_image = (pl.col("uid") == pl.lit(uid)) & pl.col("partition").is_in(partitions)
    kept = ("partition", "source", "candidate", "text", "status", "reject_reason")
    raw = tables.scan(RAW_POOL).with_columns(
        source=pl.lit(RAW), candidate=pl.lit(0, SYNTHETIC_CAPTIONS.schema["candidate"])
    )
    written = tables.scan(SYNTHETIC_CAPTIONS)
    rows = pl.concat([one.filter(of_image).select(kept).collect() for one in (raw, written)])
    scored = tables.scan(CLIP_SCORES).filter(of_image).collect()
    at = ["partition", "source", "candidate"]
    for scorer in project.experiment.scorers:
        its = scored.filter(pl.col("scorer") == scorer).select(*at, "score")
        # Of two samples of one uid, the score is that of the one that was not set aside.
        score = pl.when(is_usable()).then("score").alias(f"score.{scorer}")
        rows = rows.join(its, on=at, how="left").with_columns(score).drop("score")
    order = {name: i for i, name in enumerate(project.experiment.source_names)}
    # What a source that has left the experiment wrote is no caption of any mix.
    rows = rows.filter(pl.col("source").is_in(list(order)))
    number = pl.col("source").replace_strict(order, return_dtype=pl.Int64)
    usable_first = ~is_usable()
    return rows.sort("partition", number, usable_first, "candidate", "text").drop("partition")


def _answer(project: Project, name: str, mix: Mix, partition: str, uid: bytes) -> MixAnswer:
    tables = project.workspace.tables
    scorer = project.experiment.scorer_of(mix)
    stored = (
        tables.scan(CURATED_MIXES, mix=name, partition=partition)
        .filter(pl.col("uid") == pl.lit(uid))
        .select(PAIR_SCHEMA.names())
        .collect()
        .sort("shard", "uid", "rule", "source", "candidate")
    )
    cutoffs = tables.read(THRESHOLDS, mix=name)
    if missing := next(_not_realised(mix, scorer, cutoffs), None):
        problem = (
            f"the cut-off {missing} is not built as the file asks for it: run `recap build` first"
        )
        return MixAnswer(name, partition, scorer, None, stored, problem)
    candidates = candidates_of(project, mix, partition, uid)
    members = sets_of(project, mix, partition)
    computed = computed_sets(project)
    why = {
        one: why_not(project, one, partition, uid)
        for one, uids in members.items()
        if one in computed and uid not in uids
    }
    found = explain(mix, cutoffs, candidates, members, uid, why)
    problem = None if found.pairs.equals(stored) else _disagreement(name, partition)
    return MixAnswer(name, partition, scorer, found, stored, problem)


def _not_realised(mix: Mix, scorer: str, cutoffs: pl.DataFrame) -> Iterator[str]:
    """Cut-offs of the mix that are missing, or were asked for otherwise when they were built."""
    known = {row["path"]: row for row in cutoffs.iter_rows(named=True)}
    for request in cutoffs_needed(mix, scorer):
        asked = vars(request)
        built = known.get(request.path, {})
        if {field: built.get(field) for field in asked} != asked:
            yield request.path


def _disagreement(mix: str, partition: str) -> str:
    place = f"{CURATED_MIXES.key(mix)}[{partition}]"
    return (
        "the rows stored are not what the file now decides from the captions and scores stored: "
        f"{place} is not built yet or out of date (`recap plan --why '{place}'` says why)"
    )


def answer_as_json(answer: ImageAnswer) -> dict[str, object]:
    """The answer in plain types."""
    return {
        "uid": answer.uid.hex(),
        "usable": answer.is_usable,
        "samples": answer.samples.to_dicts(),
        "captions": [_caption_as_json(row) for row in answer.captions.to_dicts()],
        "mixes": [_mix_as_json(one) for one in answer.mixes],
    }


def _caption_as_json(row: dict[str, object]) -> dict[str, object]:
    scores = {k.removeprefix("score."): v for k, v in row.items() if k.startswith("score.")}
    return {**{k: v for k, v in row.items() if not k.startswith("score.")}, "scores": scores}


def _mix_as_json(answer: MixAnswer) -> dict[str, object]:
    found = answer.explanation
    fields = {
        "mix": answer.mix,
        "partition": answer.partition,
        "scorer": answer.scorer,
        "in_mix": not answer.stored.is_empty(),
        "stored": answer.stored.drop("uid", "shard").to_dicts(),
        "agrees": answer.problem is None,
        "problem": answer.problem,
    }
    if found is None:
        return fields
    rules = [
        {
            "rule": rule.rule,
            "outcome": rule.outcome,
            "accepts": rule.accepts,
            "words": rule.words,
            "use": rule.use,
            "where": None if rule.where is None else _clause_as_json(rule.where),
        }
        for rule in found.rules
    ]
    pairs = found.pairs.drop("uid", "shard").to_dicts()
    said = {"words": found.words, "within": found.within, "copies": found.copies}
    return {**fields, **said, "rules": rules, "pairs": pairs}


def _clause_as_json(clause: EvaluatedClause) -> dict[str, object]:
    return {
        "path": clause.path,
        "holds": clause.holds,
        "words": clause.words,
        "parts": [_clause_as_json(part) for part in clause.parts],
    }
