"""The images that a source with `only` does not caption, and the cut-offs that decide them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import polars as pl

from recap_assets.artefacts import (
    CLIP_SCORES,
    IMAGE_SCORES,
    RAW_POOL,
    UID_SETS,
    is_usable,
    preview_markdown,
    texts_of,
)
from recap_assets.artefacts.captions import CAPTIONS_LEFT_OUT, ONLY_CUTOFFS
from recap_assets.artefacts.facets import LEFT_OUT_FACETS, SAMPLES, TEXTS
from recap_assets.graph.stage import Dependency, Node, Project, Rows, Step, StoredRows, texts_read
from recap_assets.mixes.candidates import with_scores
from recap_assets.mixes.conditions.kind import Known
from recap_assets.mixes.cutoffs import cutoffs_needed, realise
from recap_assets.mixes.needed_images import asked_uids, needed_uids
from recap_assets.mixes.stored_scores import further_scores, score_view, scores_in
from recap_assets.sets import assets as sets
from recap_assets.specs.base import deciding
from recap_assets.specs.columns import Reads, scorer_and_name
from recap_assets.specs.needed import OF_CONDITION, Need, Needs, partly_captioned
from recap_assets.specs.sources import RAW
from recap_assets.storage.content import frame_version
from recap_assets.untrusted.errors import RecapError

VERSION = 1
STAGE = "captions"
SECONDS = 0.2
SHOWN = 3


class CaptionLeftOutError(RecapError, ValueError):
    """A mix needs captions that `only` leaves out; the text says how many, and what to do."""


def nodes(project: Project) -> list[Node]:
    """Of each source that does not caption all of the pool which images, and by which cut-offs."""
    return [
        node
        for needs in all_needs(project).values()
        for node in (_cutoffs_node(project, needs), _left_out_node(project, needs))
    ]


def all_needs(project: Project) -> Mapping[str, Needs]:
    """What mixes may take of the sources of whose captions some are left out."""
    found = {
        name: partly_captioned(project.experiment, name) for name in project.experiment.sources
    }
    return {name: needs for name, needs in found.items() if needs is not None}


def _decides(needs: Needs) -> str:
    fields = ("description", "leave_one_source_out")
    mixes = {
        name: {**need.mix.decides(*fields), "scorer": need.scorer, "rules_asked": need.rules}
        for name, need in needs.all.items()
    }
    return deciding(mixes=mixes, of_it=sorted(needs.of_it), known=sorted(needs.known))


def _cutoffs_node(project: Project, needs: Needs) -> Node:
    ranked = {key for need in needs.all.values() for key in _ranked_keys(needs, need)}
    return Node(
        key=ONLY_CUTOFFS.key(needs.source),
        stage=STAGE,
        dimension="none",
        dependencies=tuple(Dependency(key, "all") for key in sorted(ranked)),
        implementation=VERSION,
        decides=_decides(needs),
        compute=lambda _step: realise_cutoffs(project, needs),
        description=f"The cut-offs that decide which images {needs.source} captions.",
        content=StoredRows(
            project.workspace.tables,
            ONLY_CUTOFFS,
            {"only_of": needs.source},
            version_of=lambda rows: frame_version(rows.select("mix", "path", "value")),
        ),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
    )


def known_cutoffs(needs: Needs, need: Need) -> list[str]:
    """Paths of the cut-offs of columns that are known, of the rules that decide."""
    asked = {f"rules.{number}" for number in need.rules}
    return [
        one.path
        for one in cutoffs_needed(need.mix, need.scorer)
        if one.kind != "copies"
        and ".".join(one.path.split(".")[:2]) in asked
        and needs.knows(one.source)
        and not need.whole
    ]


def _ranked_keys(needs: Needs, need: Need) -> Iterator[str]:
    paths = known_cutoffs(needs, need)
    for one in cutoffs_needed(need.mix, need.scorer):
        if one.path in paths and one.kind != "absolute":
            scorer, name = scorer_and_name(one.source)
            is_of_images = scorer is None and name not in needs.names
            scored = IMAGE_SCORES.key(name) if is_of_images else None
            yield scored or CLIP_SCORES.key(scorer or need.scorer, name)


def realise_cutoffs(project: Project, needs: Needs) -> Rows:
    """Turn the cut-offs that decide which captions are needed into numbers."""
    frames = [ONLY_CUTOFFS.empty().select(*ONLY_CUTOFFS.unsliced)]
    for name, need in needs.all.items():
        view = partial(score_view, project, need.scorer)
        found = realise(need.mix, need.scorer, view, only=known_cutoffs(needs, need))
        named = found.with_columns(mix=pl.lit(name), column=pl.col("source"))
        frames.append(named.select(*ONLY_CUTOFFS.unsliced))
    rows = pl.concat(frames)
    return Rows(rows, markdown={"cutoffs": preview_markdown(rows)})


def _left_out_node(project: Project, needs: Needs) -> Node:
    files = [name for name in _sets(needs) if name not in sets.computed_sets(project)]
    return Node(
        key=CAPTIONS_LEFT_OUT.key(needs.source),
        stage=STAGE,
        dimension="pool",
        dependencies=tuple(_reads(project, needs)),
        implementation=VERSION,
        decides=_decides(needs),
        compute=lambda step: leave_out(project, needs, step),
        description=f"The images that {needs.source} does not caption: "
        + ("no mix can take a caption of them." if needs.asked is None else "`only` says so."),
        outside=(lambda _partition: sets.files_version(project, files)) if files else None,
        content=StoredRows(
            project.workspace.tables,
            CAPTIONS_LEFT_OUT,
            {"source": needs.source},
            facets=LEFT_OUT_FACETS,
        ),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
    )


def _sets(needs: Needs) -> list[str]:
    return sorted({name for need in needs.all.values() for name in needs.reads(need).sets})


def _reads(project: Project, needs: Needs) -> Iterator[Dependency]:
    yield Dependency(ONLY_CUTOFFS.key(needs.source), "all")
    yield Dependency(RAW_POOL.key(), "same", (SAMPLES, TEXTS))
    for need in needs.all.values():
        read = needs.reads(need)
        yield from (texts_read(name) for name in sorted(read.texts))
        yield from (Dependency(CLIP_SCORES.key(*one), "same") for one in sorted(read.scores))
        yield from (Dependency(IMAGE_SCORES.key(name), "same") for name in sorted(read.images))
    computed = sets.computed_sets(project)
    yield from (Dependency(UID_SETS.key(n), "same") for n in _sets(needs) if n in computed)


def leave_out(project: Project, needs: Needs, step: Step) -> Rows:
    """Decide which images of one pool partition are not captioned."""
    rows, n_images = left_out_of(project, needs, step.partition)
    return Rows(rows, facts={"images": n_images, "left_out": rows.height})


def left_out_of(
    project: Project, needs: Needs, partition: str, cutoffs: pl.DataFrame | None = None
) -> tuple[pl.DataFrame, int]:
    """The images of a partition that are not captioned, and the number of all usable ones.

    Args:
        project: Whose pool it is.
        needs: What mixes may take of the source.
        partition: The partition.
        cutoffs: Rows of ONLY_CUTOFFS; by default those that are stored.

    Returns:
        CAPTIONS_LEFT_OUT without the columns that name the slice.
    """
    tables = project.workspace.tables
    usable = tables.scan(RAW_POOL, partition=partition).filter(is_usable())
    images = usable.select("shard", "uid").collect()
    if cutoffs is None:
        cutoffs = tables.read(ONLY_CUTOFFS, only_of=needs.source)
    members = {name: sets.members_of(project, name, partition) for name in _sets(needs)}

    def ask(name: str, need: Need) -> pl.Series:
        values = dict(cutoffs.filter(mix=name).select("path", "value").iter_rows())
        read, known = _read(project, needs, need, partition), Known(values, members)
        decide = asked_uids if need is needs.asked else needed_uids
        return decide(needs, need, images["uid"], read, known)

    needed = {f"by {name}": ask(name, need) for name, need in needs.mixes.items()}
    found = images.with_columns(**needed).with_columns(needed_by=_names(list(needs.mixes)))
    if needs.asked is None:
        wanted = pl.col("needed_by").list.len() > 0
    else:
        wanted = pl.lit(ask(OF_CONDITION, needs.asked))
    rows = found.filter(~wanted).select(*CAPTIONS_LEFT_OUT.unsliced)
    return rows.sort("shard", "uid"), images.height


def _names(mixes: Sequence[str]) -> pl.Expr:
    """The mixes that may take a caption of an image."""
    if not mixes:
        return pl.lit([], pl.List(pl.String))
    return pl.concat_list(
        pl.when(f"by {name}").then(pl.lit(name)).otherwise(None) for name in mixes
    ).list.drop_nulls()


def _read(project: Project, needs: Needs, need: Need, partition: str) -> dict[str, pl.DataFrame]:
    """What decides a need in a partition, by score column."""
    asked, tables = needs.reads(need), project.workspace.tables
    own = {name for scorer, name in asked.scores if scorer == need.scorer}
    found: dict[str, pl.DataFrame] = {}
    for source in sorted(asked.texts | {RAW}):
        texts = texts_of(tables, source, partition)
        scores = scores_in(project, need.scorer, source, partition) if source in own else None
        unscored = texts.with_columns(score=pl.lit(None, pl.Float32))
        found[source] = unscored if scores is None else with_scores(texts, scores)
    further = Reads((), tuple(sorted(asked.scores)), tuple(sorted(asked.images)))
    return {**found, **dict(further_scores(project, further, partition))}


def refuse_left_out(project: Project, name: str, sources: Iterable[str], partition: str) -> None:
    """Refuse to select a mix that might take captions which are left out.

    Args:
        project: Whose mix it is.
        name: The mix.
        sources: As `sources_with_condition` gives them.
        partition: The partition that is selected.

    Raises:
        CaptionLeftOutError: It does; the message says of which sources and images.
    """
    for source in sources:
        rows = project.workspace.tables.read(CAPTIONS_LEFT_OUT, source=source, partition=partition)
        lost = rows.filter(pl.col("needed_by").list.contains(name))
        if lost.height:
            shown = ", ".join(uid.hex() for uid in lost["uid"][:SHOWN])
            msg = (
                f"mixes.{name} may take {lost.height:,} captions of {source} in {partition} that "
                f"sources.{source}.only leaves out ({shown}): write `only: used`, or a condition "
                "that holds for them too"
            )
            raise CaptionLeftOutError(msg)


def sources_with_condition(needs: Mapping[str, Needs], mix: str) -> list[str]:
    """The sources with a condition in `only` whose captions a mix may take."""
    return [name for name, one in needs.items() if one.asked is not None and mix in one.mixes]
