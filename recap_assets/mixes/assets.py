"""Cut-offs and curated mixes: which caption of which image is trained on."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

import polars as pl

from recap_assets.artefacts import (
    CLIP_SCORES,
    CURATED_MIXES,
    IMAGE_SCORES,
    RAW_POOL,
    SYNTHETIC_CAPTIONS,
    THRESHOLDS,
    UID_SETS,
    has_repeats,
    is_usable,
    preview_markdown,
    texts_key,
    texts_of,
)
from recap_assets.artefacts.captions import CAPTIONS_LEFT_OUT
from recap_assets.artefacts.facets import IMAGES, MIX_FACETS, TEXTS
from recap_assets.graph.contact_sheets import sheet_of_uids
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
from recap_assets.mixes.candidates import with_scores
from recap_assets.mixes.cutoffs import Parts, cutoffs_needed, reads_parts, realise
from recap_assets.mixes.images import Candidates
from recap_assets.mixes.needed import all_needs, refuse_left_out, sources_with_condition
from recap_assets.mixes.rule_phrases import described
from recap_assets.mixes.selection import select
from recap_assets.mixes.stored_scores import further_scores, score_view, scores_in
from recap_assets.sets import assets as sets
from recap_assets.specs.base import deciding
from recap_assets.specs.columns import Reads
from recap_assets.specs.mixes import Mix, columns_read, sets_read
from recap_assets.storage.content import frame_version

VERSION = 2
STAGE = "mixes"
SECONDS = 0.2


def nodes(project: Project) -> list[Node]:
    """Cut-offs and pairs of each mix."""
    made, needs = [], all_needs(project)
    for name, mix in project.experiment.mixes.items():
        partly = sources_with_condition(needs, name)
        made += [_thresholds_node(project, name, mix), _mix_node(project, name, mix, partly)]
    return made


def _decides(project: Project, mix: Mix) -> str:
    fields = mix.decides("description", "leave_one_source_out")
    return deciding(mix={**fields, "scorer": project.experiment.scorer_of(mix)})


def _values_version(thresholds: pl.DataFrame) -> str:
    # Only the values decide what is selected: counts may move without a rebuild downstream.
    return frame_version(thresholds.select("path", "value"))


def _thresholds_node(project: Project, name: str, mix: Mix) -> Node:
    files = _files_read(project, mix) if mix.copies is not None else []
    return Node(
        key=THRESHOLDS.key(name),
        stage=STAGE,
        dimension="none",
        dependencies=tuple(_edge(key, "all") for key in _ranked_keys(project, mix)),
        implementation=VERSION,
        decides=_decides(project, mix),
        compute=lambda _step: realise_cutoffs(project, name),
        description=f"The cut-offs of {name} as realised: population, value, count, ties.",
        outside=(lambda _partition: sets.files_version(project, files)) if files else None,
        content=StoredRows(
            project.workspace.tables, THRESHOLDS, {"mix": name}, version_of=_values_version
        ),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
        checks=(_realised_within_ties(project, name),),
        needs=_needed_by_cutoffs,
    )


def _needed_by_cutoffs(decides: Mapping[str, object]) -> object:
    """The cut-offs of a mix and the part of the pool that they are of, by its settings.

    All settings where its cut-offs rank what the rules take, or another release wrote them.
    """
    try:
        mix = Mix.model_validate(decides["mix"])
        if mix.copies is not None or reads_parts(mix):
            return decides
        asked = cutoffs_needed(mix, mix.scorer or "")
    except ValueError:
        return decides
    within = None if mix.within is None else mix.within.decides()
    return [vars(one) for one in asked], within


def _ranked_keys(project: Project, mix: Mix) -> Iterable[str]:
    """What the cut-offs rest on: the columns ranked, or all that decides what the rules take."""
    if mix.copies is not None:
        return [*_read_keys(project, mix), *_computed_keys(project, mix)]
    if reads_parts(mix):
        return _read_keys(project, mix)
    ranked = [request.source for request in cutoffs_needed(mix, project.experiment.scorer_of(mix))]
    found = Reads.of(ranked, project.experiment.source_names)
    return dict.fromkeys(_score_keys(project, mix, found))


def _read_keys(project: Project, mix: Mix) -> Iterable[str]:
    """The captions and scores that decide the mix."""
    found = project.experiment.reads(mix)
    texts = [texts_key(source) for source in found.sources]
    return dict.fromkeys([*texts, *_score_keys(project, mix, found)])


def _edge(key: str, partitions: Literal["same", "all"]) -> Dependency:
    artefact, _, _ = key.partition("/")
    has_texts = artefact in (RAW_POOL.name, SYNTHETIC_CAPTIONS.name)
    return Dependency(key, partitions, (TEXTS,) if has_texts else ())


def _score_keys(project: Project, mix: Mix, found: Reads) -> Iterator[str]:
    scorer = project.experiment.scorer_of(mix)
    yield from (CLIP_SCORES.key(scorer, source) for source in found.sources)
    yield from (CLIP_SCORES.key(*one) for one in found.scores)
    yield from (IMAGE_SCORES.key(name) for name in found.images)


def _computed_keys(project: Project, mix: Mix) -> Iterator[str]:
    computed = sets.computed_sets(project)
    yield from (UID_SETS.key(name) for name in sets_read(mix) if name in computed)


def _files_read(project: Project, mix: Mix) -> list[str]:
    computed = sets.computed_sets(project)
    return [name for name in sets_read(mix) if name not in computed]


def realise_cutoffs(project: Project, name: str) -> Rows:
    """Turn the mix's cut-offs into numbers."""
    mix = project.experiment.mixes[name]
    scorer = project.experiment.scorer_of(mix)
    rows = realise(
        mix, scorer, lambda column: score_view(project, scorer, column), parts_of(project, mix)
    )
    return Rows(
        rows,
        facts={row["path"]: round(row["value"], 5) for row in rows.iter_rows(named=True)},
        markdown={"thresholds": preview_markdown(rows)},
        machine=mix.given_by,
    )


def parts_of(project: Project, mix: Mix) -> Parts:
    """The pool with all that decides the mix, a partition at a time."""

    def parts() -> Iterator[tuple[Candidates, Mapping[str, pl.Series]]]:
        for partition in project.partitions:
            yield candidates_of(project, mix, partition), sets_of(project, mix, partition)

    return parts


def _mix_node(project: Project, name: str, mix: Mix, partly: Sequence[str]) -> Node:
    """The mix; `partly` are sources that caption a part of what it may take."""
    images = Dependency(RAW_POOL.key(), "same", (IMAGES,))
    reads = [Dependency(THRESHOLDS.key(name), "all"), images]
    reads += [_edge(key, "same") for key in _read_keys(project, mix)]
    reads += [Dependency(key, "same") for key in _computed_keys(project, mix)]
    reads += [Dependency(CAPTIONS_LEFT_OUT.key(source), "same") for source in partly]
    files = _files_read(project, mix)

    tables = project.workspace.tables

    def compute(step: Step) -> Rows:
        refuse_left_out(project, name, partly, step.partition)
        return select_pairs(project, name, step)

    def members(partition: str) -> str:
        return sets.members_version(project, files, partition)

    return Node(
        key=CURATED_MIXES.key(name),
        stage=STAGE,
        dimension="pool",
        dependencies=tuple(reads),
        implementation=VERSION,
        decides=_decides(project, mix),
        compute=compute,
        description=described(mix),
        outside=members if files else None,
        content=StoredRows(tables, CURATED_MIXES, {"mix": name}, facets=MIX_FACETS),
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
        facts={
            **{f"pairs/{source}": n for source, n in counts.iter_rows()},
            **({} if mix.copies is None else {"copies": int(rows["copies"].sum())}),
        },
        markdown={
            **sheet_of_uids(project, step.partition, rows["uid"]),
            "preview": preview_markdown(rows.select("uid", "source", "text", "score")),
        },
        machine=mix.given_by,
    )


def _image_hashes(project: Project, partition: str) -> pl.DataFrame:
    usable = project.workspace.tables.scan(RAW_POOL, partition=partition).filter(is_usable())
    first = pl.col("sha256").bin.head(8).bin.reinterpret(dtype=pl.Int64, endianness="big")
    return usable.select("uid", image_hash=first).collect()


def candidates_of(
    project: Project, mix: Mix, partition: str, uid: bytes | None = None
) -> Mapping[str, pl.DataFrame]:
    """What decides the mix in a partition, by score column, as `select` takes it.

    With `uid`, that of one image.
    """
    scorer = project.experiment.scorer_of(mix)
    found = project.experiment.reads(mix)
    return dict(_with_texts(project, scorer, found, partition, uid))


def candidates_of_all(
    project: Project, scorer: str, mixes: Iterable[Mix], partition: str
) -> Mapping[str, pl.DataFrame]:
    """`candidates_of` for several mixes of one scorer at once."""
    columns = dict.fromkeys(column for mix in mixes for column in columns_read(mix))
    found = Reads.of(columns, project.experiment.source_names)
    return dict(_with_texts(project, scorer, found, partition))


def _with_texts(
    project: Project, scorer: str, found: Reads, partition: str, uid: bytes | None = None
) -> Iterator[tuple[str, pl.DataFrame]]:
    for source in found.sources:
        texts = texts_of(project.workspace.tables, source, partition, uid)
        yield source, with_scores(texts, scores_in(project, scorer, source, partition))
    for column, rows in further_scores(project, found, partition):
        yield column, rows if uid is None else rows.filter(pl.col("uid") == pl.lit(uid))


def sets_of(project: Project, mix: Mix, partition: str) -> Mapping[str, pl.Series]:
    """The named sets of uids that the mix reads: of computed ones, the members in the partition."""
    return {name: sets.members_of(project, name, partition) for name in sets_read(mix)}


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
        is_ranked = pl.col("kind").is_in(["quantile", "size"])
        wrong = rows.filter(is_ranked & ~((above <= asked) & (pl.col("n_at_or_above") >= asked)))
        return Verdict(wrong.is_empty(), {"cutoffs": rows.height, "wrong": wrong.height})

    return Check(
        "cutoffs_are_realised",
        "Each cut-off keeps the share or number asked for, up to the samples tied at it.",
        evaluate,
    )


def _pairs_are_sound(project: Project, name: str) -> Check:
    first_only = project.experiment.mixes[name].combine == "first"

    def evaluate(partitions: Sequence[str]) -> Verdict:
        columns = ("uid", "source", "rule", "weight", "text", "copies")
        of_mix = project.workspace.tables.scan(CURATED_MIXES, mix=name)
        weight = pl.col("weight")
        most = 1 if (copies := project.experiment.mixes[name].copies) is None else copies.cap
        sound = weight.is_finite() & (weight > 0) & pl.col("copies").is_between(1, most)
        twice, bad, by_source = 0, 0, Counter[str]()
        for partition in partitions:
            rows = of_mix.filter(pl.col("partition") == partition)
            pairs = rows.select(columns).collect()
            twice += _of_two_rules(pairs) if first_only and has_repeats(pairs["uid"]) else 0
            bad += pairs.filter(~sound | (pl.col("text") == "")).height
            by_source.update(dict(pairs.group_by("source").len().iter_rows()))
        n = by_source.total()
        figures = {f"share/{source}": found / n for source, found in sorted(by_source.items())}
        return Verdict(not (twice or bad), {"pairs": n, "two_rules": twice, "bad": bad, **figures})

    return Check(
        "pairs_are_sound",
        "Every pair has text, a positive weight and 1 to `cap` copies; no image took two rules of "
        "a first-only mix.",
        evaluate,
    )


def _of_two_rules(pairs: pl.DataFrame) -> int:
    rules = pairs.group_by("uid").agg(pl.col("rule").n_unique())
    return rules.filter(pl.col("rule") > 1).height
