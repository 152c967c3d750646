"""Counts of entries of each partition, probabilities of the pool, and draws of a partition."""

from collections.abc import Iterator

import polars as pl

from recap_assets.artefacts import ENTRY_COUNTS, ENTRY_PROBABILITIES
from recap_assets.graph.stage import (
    Dependency,
    Node,
    Project,
    Rows,
    Step,
    StoredRows,
    outside_of,
)
from recap_assets.sets.facts import Samples, dependencies_of, facts_of
from recap_assets.sets.kinds.entries.drawing import limits, probabilities, with_draws
from recap_assets.sets.kinds.entries.lists import ALL, OTHER, EntriesError, load_lists
from recap_assets.sets.kinds.entries.spec import EntriesSpec
from recap_assets.specs.base import deciding
from recap_assets.untrusted.showing import one_line

VERSION = 1
STAGE = "sets"
SECONDS = 2.0
SHOWN = 3


def nodes_of(project: Project, name: str, spec: EntriesSpec) -> list[Node]:
    """The counts that a draw by entries rests on."""
    return [_counts_node(project, name, spec), _probabilities_node(project, name, spec)]


def _counts_node(project: Project, name: str, spec: EntriesSpec) -> Node:
    matched = {field: getattr(spec, field) for field in ("source", "by_language", "identifier")}
    identifier = project.experiment.identifiers[spec.identifier].decides()
    # Whatever its language is, a text counts for the entries that it holds.
    counted = spec.at_default("language")
    return Node(
        key=ENTRY_COUNTS.key(name),
        stage=STAGE,
        dimension="pool",
        dependencies=dependencies_of(counted),
        implementation=VERSION,
        decides=deciding(matched=matched, identifier=identifier if spec.by_language else None),
        compute=lambda step: count_partition(project, name, counted, step),
        description=f"How many texts of {spec.source} hold each entry, for {name}.",
        outside=outside_of(project, spec),
        content=StoredRows(project.workspace.tables, ENTRY_COUNTS, {"set": name}),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
    )


def count_partition(project: Project, name: str, spec: EntriesSpec, step: Step) -> Rows:
    """Match the texts of one partition with the entries."""
    held = _held(facts_of(Samples(project, name, step.partition), spec, ()), spec)
    counted = held.group_by("language", "entry").agg(n=pl.len().cast(pl.Int64))
    facts = {"matched": held["uid"].n_unique(), "matches": held.height}
    return Rows(counted.sort("language", "entry"), facts=facts)


def _held(facts: pl.DataFrame, spec: EntriesSpec) -> pl.DataFrame:
    """Which entries of its list each text holds: uid, language (of the list), entry."""
    parts = [pl.DataFrame(schema={"uid": pl.Binary, "language": pl.String, "entry": pl.String})]
    lists = load_lists(spec.entries, by_language=spec.by_language)
    listed = _with_list(facts.drop_nulls("text"), spec, list(lists))
    for (language,), texts in listed.drop_nulls("list").group_by("list"):
        held = lists[str(language)].held_by(texts.select("uid", "text"))
        parts.append(held.select("uid", pl.lit(language).alias("language"), "entry"))
    return pl.concat(parts)


def _with_list(facts: pl.DataFrame, spec: EntriesSpec, languages: list[str]) -> pl.DataFrame:
    """The facts with `list`: the list that counts for the text; null where there is none."""
    if not spec.by_language:
        return facts.with_columns(list=pl.lit(ALL))
    has_own = pl.col("language").is_in(languages)
    other = pl.lit(OTHER if OTHER in languages else None, pl.String)
    return facts.with_columns(list=pl.when(has_own).then("language").otherwise(other))


def _probabilities_node(project: Project, name: str, spec: EntriesSpec) -> Node:
    return Node(
        key=ENTRY_PROBABILITIES.key(name),
        stage=STAGE,
        dimension="none",
        dependencies=(Dependency(ENTRY_COUNTS.key(name), "all"),),
        implementation=VERSION,
        decides=deciding(t=spec.t, t_of=spec.t_of if spec.by_language else None),
        compute=lambda step: weigh_entries(project, name, spec, step),
        description=f"The entries of {name} that more than about {spec.t:,} texts hold, with the "
        "probability that one of these is drawn for it.",
        outside=outside_of(project, spec),
        content=StoredRows(project.workspace.tables, ENTRY_PROBABILITIES, {"set": name}),
        seconds=SECONDS,
        kinds=("polars", "deltalake"),
    )


def weigh_entries(project: Project, name: str, spec: EntriesSpec, step: Step) -> Rows:
    """Add up the partitions' counts.

    Raises:
        EntriesError: There is no list for the language whose t is given.
    """
    lists = load_lists(spec.entries, by_language=spec.by_language)
    sizes = {language: len(one.entries) for language, one in lists.items()}
    t_of = spec.t_of if spec.by_language else ALL
    if t_of not in sizes:
        msg = f"sets.{name}.t_of: {spec.entries} has no list for {t_of!r}"
        raise EntriesError(msg)
    rows = project.workspace.tables.scan(ENTRY_COUNTS, set=name)
    current = rows.filter(pl.col("partition").is_in(list(project.partitions)))
    counts = current.group_by("language", "entry").agg(pl.col("n").sum()).collect()
    step.progress(0.5)
    found = limits(counts, sizes, spec.t, t_of)
    common = probabilities(counts, found)
    shown = {f"t/{language}": t for language, t in found.items() if language}
    return Rows(common, facts={"entries": counts.height, "common": common.height, **shown})


def with_entries(known: pl.DataFrame, samples: Samples, spec: EntriesSpec) -> pl.DataFrame:
    """The facts with `has_list`, `n_entries`, `is_drawn` and `common`."""
    tables = samples.project.workspace.tables
    weights = tables.read(ENTRY_PROBABILITIES, set=samples.name).drop("set")
    held = _held(known, spec).join(weights, on=["language", "entry"], how="left")
    drawn = with_draws(held, spec.seed).sort("uid", "n", "entry", nulls_last=False)
    by_text = drawn.group_by("uid").agg(
        n_entries=pl.len(), is_drawn=pl.col("is_drawn").any(), entry="entry", n="n"
    )
    lists = list(load_lists(spec.entries, by_language=spec.by_language))
    listed = _with_list(known, spec, lists).with_columns(has_list=pl.col("list").is_not_null())
    facts = listed.join(by_text, on="uid", how="left", maintain_order="left")
    common = pl.Series("common", list(_common(facts)), dtype=pl.String)
    return facts.with_columns(pl.col("n_entries").fill_null(0), common).drop("list", "entry", "n")


def _common(facts: pl.DataFrame) -> Iterator[str | None]:
    """Of texts that are not drawn the entries, the rarest first."""
    for drawn, entries, counts in facts.select("is_drawn", "entry", "n").iter_rows():
        if drawn is not False:
            yield None
            continue
        pairs = list(zip(entries, counts, strict=True))[:SHOWN]
        yield ", ".join(f"{one_line(entry, 80)!r} (in {n:,} texts)" for entry, n in pairs)
