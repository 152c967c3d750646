"""Cut-offs and curated mixes: which caption of which image is trained on."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import polars as pl

from recap_assets.artefacts import (
    CLIP_SCORES,
    CURATED_MIXES,
    RAW_POOL,
    SCORE_HISTOGRAMS,
    THRESHOLDS,
    UID_SETS,
    has_repeats,
    is_usable,
    preview_markdown,
    texts_key,
    texts_of,
)
from recap_assets.graph.stage import (
    Check,
    Dependency,
    Node,
    Project,
    Rows,
    Step,
    StoredRows,
    Verdict,
)
from recap_assets.mixes.cutoffs import cutoffs_needed, realise
from recap_assets.mixes.score_view import ScoreView
from recap_assets.mixes.selection import select
from recap_assets.mixes.trial import Part, try_mixes
from recap_assets.sets import assets as sets
from recap_assets.specs.base import deciding, fingerprint_of
from recap_assets.specs.mixes import Mix, sets_read, sources_read
from recap_assets.storage.content import frame_version

VERSION = 2
STAGE = "mixes"
SECONDS = 0.2


def nodes(project: Project) -> list[Node]:
    """Cut-offs and pairs of each mix."""
    made = []
    for name, mix in project.experiment.mixes.items():
        made += [_thresholds_node(project, name, mix), _mix_node(project, name, mix)]
    return made


def _decides(project: Project, mix: Mix) -> str:
    fields = mix.decides("description", "leave_one_source_out")
    return deciding(mix={**fields, "scorer": project.experiment.scorer_of(mix)})


def _values_version(thresholds: pl.DataFrame) -> str:
    # Only the values decide what is selected: counts may move without a rebuild downstream.
    return frame_version(thresholds.select("path", "value"))


def _thresholds_node(project: Project, name: str, mix: Mix) -> Node:
    scorer = project.experiment.scorer_of(mix)
    ranked = dict.fromkeys(request.source for request in cutoffs_needed(mix, scorer))
    reads = [Dependency(CLIP_SCORES.key(scorer, source), "all") for source in ranked]
    return Node(
        key=THRESHOLDS.key(name),
        stage=STAGE,
        dimension="none",
        dependencies=tuple(reads),
        implementation=VERSION,
        decides=_decides(project, mix),
        compute=lambda _step: realise_cutoffs(project, name),
        description=f"The cut-offs of {name} as realised: population, value, count, ties.",
        content=StoredRows(
            project.workspace.tables, THRESHOLDS, {"mix": name}, version_of=_values_version
        ),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
        checks=(_realised_within_ties(project, name),),
    )


def realise_cutoffs(project: Project, name: str) -> Rows:
    """Turn the mix's cut-offs into numbers."""
    mix = project.experiment.mixes[name]
    scorer = project.experiment.scorer_of(mix)
    rows = realise(mix, scorer, lambda source: score_view(project, scorer, source))
    return Rows(
        rows,
        facts={row["path"]: round(row["value"], 5) for row in rows.iter_rows(named=True)},
        markdown={"thresholds": preview_markdown(rows)},
        machine=mix.given_by,
    )


def score_view(project: Project, scorer: str, source: str) -> ScoreView:
    """The pool's scores of one source by one scorer, read partition by partition."""
    tables = project.workspace.tables
    partitions = list(project.partitions)

    def read(low: float) -> Iterator[pl.DataFrame]:
        for partition in partitions:
            rows = tables.scan(CLIP_SCORES, scorer=scorer, source=source, partition=partition)
            wanted = pl.col("score").is_null() | (pl.col("score") >= low)
            yield rows.filter(wanted).select("uid", "candidate", "score").collect()

    stored = tables.scan(SCORE_HISTOGRAMS, scorer=scorer, source=source)
    of_pool = stored.filter(pl.col("partition").is_in(partitions)).select("bin", "n")
    return ScoreView(read, of_pool.collect())


def _mix_node(project: Project, name: str, mix: Mix) -> Node:
    scorer = project.experiment.scorer_of(mix)
    reads = [Dependency(THRESHOLDS.key(name), "all"), Dependency(RAW_POOL.key(), "same")]
    for source in sources_read(mix):
        texts = texts_key(source)
        reads += [
            Dependency(texts, "same"),
            Dependency(CLIP_SCORES.key(scorer, source), "same"),
        ]
    computed = sets.computed_sets(project)
    named = sets_read(mix)
    files = [one for one in named if one not in computed]
    reads += [Dependency(UID_SETS.key(one), "same") for one in named if one in computed]
    return Node(
        key=CURATED_MIXES.key(name),
        stage=STAGE,
        dimension="pool",
        dependencies=tuple(dict.fromkeys(reads)),
        implementation=VERSION,
        decides=_decides(project, mix),
        compute=lambda step: select_pairs(project, name, step),
        description=mix.description or f"The training pairs of {name}.",
        outside=(lambda _partition: _files_version(project, files)) if files else None,
        content=StoredRows(project.workspace.tables, CURATED_MIXES, {"mix": name}),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
        checks=(_pairs_are_sound(project, name),),
        shows_origin=True,
    )


def select_pairs(project: Project, name: str, step: Step) -> Rows:
    """Select the pairs of one pool partition."""
    mix = project.experiment.mixes[name]
    cutoffs = project.workspace.tables.read(THRESHOLDS, mix=name)
    candidates = candidates_of(project, mix, step.partition)
    rows = select(mix, cutoffs, candidates, sets_of(project, mix, step.partition))
    rows = rows.join(_image_hashes(project, step.partition), on="uid", how="left")
    counts = rows.group_by("source").len().sort("source")
    return Rows(
        rows,
        facts={f"pairs/{source}": n for source, n in counts.iter_rows()},
        markdown={"preview": preview_markdown(rows.select("uid", "source", "text", "score"))},
        machine=mix.given_by,
    )


def _image_hashes(project: Project, partition: str) -> pl.DataFrame:
    usable = project.workspace.tables.scan(RAW_POOL, partition=partition).filter(is_usable())
    first = pl.col("sha256").bin.head(8).bin.reinterpret(dtype=pl.Int64, endianness="big")
    return usable.select("uid", image_hash=first).collect()


def candidates_of(
    project: Project, mix: Mix, partition: str, uid: bytes | None = None
) -> pl.DataFrame:
    """Texts and scores of all sources that the mix reads, as `select` takes them.

    With `uid`, those of one image.
    """
    scorer = project.experiment.scorer_of(mix)
    return _with_texts(project, scorer, sources_read(mix), partition, uid)


def _with_texts(
    project: Project, scorer: str, sources: Iterable[str], partition: str, uid: bytes | None = None
) -> pl.DataFrame:
    frames = []
    for source in sources:
        texts = texts_of(project.workspace.tables, source, partition, uid)
        scored = project.workspace.tables.read(
            CLIP_SCORES, scorer=scorer, source=source, partition=partition
        )
        frames.append(_with_scores(texts, scored).with_columns(source=pl.lit(source)))
    return pl.concat(frames)


def _with_scores(texts: pl.DataFrame, scored: pl.DataFrame) -> pl.DataFrame:
    """The texts with a column `score`, null where there is none."""
    # Both slices are in the order of shard and uid, so that row mostly stands beside row.
    if texts.select("uid", "candidate").equals(scored.select("uid", "candidate")):
        return texts.with_columns(scored["score"])
    return texts.join(
        scored.select("uid", "candidate", "score"), on=["uid", "candidate"], how="left"
    )


def sets_of(project: Project, mix: Mix, partition: str) -> Mapping[str, pl.Series]:
    """The named sets of uids that the mix reads: of computed ones, the members in the partition."""
    return {name: sets.members_of(project, name, partition) for name in sets_read(mix)}


def _files_version(project: Project, names: Sequence[str]) -> str:
    members = {name: sets.members_of(project, name).sort() for name in names}
    return fingerprint_of(*(f"{n} {frame_version(m.to_frame('uid'))}" for n, m in members.items()))


def trial(project: Project) -> pl.DataFrame:
    """What every mix would hold, counted from the score tables; nothing is written."""
    experiment = project.experiment

    named = dict.fromkeys(one for mix in experiment.mixes.values() for one in sets_read(mix))

    def parts() -> Iterator[Part]:
        for partition in project.partitions:
            candidates = {
                scorer: _counted_candidates(project, scorer, partition)
                for scorer in experiment.scorers
            }
            members = {name: sets.members_of(project, name, partition) for name in named}
            yield Part(candidates, members)

    view: Callable[[str, str], ScoreView] = lambda scorer, source: score_view(  # noqa: E731
        project, scorer, source
    )
    return try_mixes(experiment, view, parts())


def _counted_candidates(project: Project, scorer: str, partition: str) -> pl.DataFrame:
    """Candidates of all mixes of a scorer, with their texts only where one of them looks there."""
    every = project.experiment.mixes.values()
    mixes = [mix for mix in every if project.experiment.scorer_of(mix) == scorer]
    if any(mix.reads_texts for mix in mixes):
        sources = dict.fromkeys(source for mix in mixes for source in sources_read(mix))
        return _with_texts(project, scorer, sources, partition)
    rows = project.workspace.tables.scan(CLIP_SCORES, scorer=scorer, partition=partition)
    return rows.select("uid", "shard", "source", "candidate", "score").collect()


def _realised_within_ties(project: Project, name: str) -> Check:
    def evaluate(_partitions: Sequence[str]) -> Verdict:
        rows = project.workspace.tables.read(THRESHOLDS, mix=name)
        asked = (
            pl.when(pl.col("kind") == "quantile")
            .then((pl.col("requested") * pl.col("population")).floor())
            .otherwise(pl.min_horizontal("requested", "population"))
        )
        # The sample at the cut-off is at or above it, and those strictly above are at most `asked`.
        above = pl.col("n_at_or_above") - pl.col("n_tied")
        wrong = rows.filter(
            pl.col("kind").ne("absolute") & ~((above <= asked) & (pl.col("n_at_or_above") >= asked))
        )
        return Verdict(wrong.is_empty(), {"cutoffs": rows.height, "wrong": wrong.height})

    return Check(
        "cutoffs_are_realised",
        "Each cut-off keeps the share or number asked for, up to the samples tied at it.",
        evaluate,
    )


def _pairs_are_sound(project: Project, name: str) -> Check:
    first_only = project.experiment.mixes[name].combine == "first"

    def evaluate(partitions: Sequence[str]) -> Verdict:
        rows = project.workspace.tables.scan(CURATED_MIXES, mix=name)
        chosen = rows.filter(pl.col("partition").is_in(partitions))
        pairs = chosen.select("uid", "source", "rule", "weight", "text").collect()
        twice = _of_two_rules(pairs) if first_only and has_repeats(pairs["uid"]) else 0
        weight = pl.col("weight")
        bad = pairs.filter(~(weight.is_finite() & (weight > 0)) | (pl.col("text") == "")).height
        shares = pairs.group_by("source").agg(share=pl.len() / pairs.height).sort("source")
        figures = {f"share/{source}": share for source, share in shares.iter_rows()}
        return Verdict(
            not (twice or bad), {"pairs": pairs.height, "two_rules": twice, "bad": bad, **figures}
        )

    return Check(
        "pairs_are_sound",
        "Every pair has text and a positive weight; no image took two rules of a first-only mix.",
        evaluate,
    )


def _of_two_rules(pairs: pl.DataFrame) -> int:
    rules = pairs.group_by("uid").agg(pl.col("rule").n_unique())
    return rules.filter(pl.col("rule") > 1).height
