"""Sets drawn by a list of entries."""

from collections.abc import Iterator

import polars as pl

from recap_assets.artefacts import ENTRY_COUNTS, ENTRY_PROBABILITIES
from recap_assets.engines.protocols import Places
from recap_assets.graph.stage import Dependency, Node, Outside, Project, outside_of
from recap_assets.sets.facts import Samples
from recap_assets.sets.kinds.entries.lists import EntriesError, load_lists
from recap_assets.sets.kinds.entries.spec import EntriesSpec
from recap_assets.sets.rules import Requirement
from recap_assets.specs.findings import Finding


class EntriesSet(EntriesSpec):
    """MetaCLIP's curation: texts that hold an entry of a list, fewer of the common entries."""

    example = """\
curated: {kind: entries, entries: metadata.json, t: 20000}
"""

    decided_elsewhere = ("t", "t_of")

    def requirements(self) -> tuple[Requirement, ...]:
        """A text, a list for its language, an entry, and the draw."""
        found = [*self.of_text()]
        if self.by_language:
            no_list = Requirement(
                "no_list",
                pl.col("has_list"),
                lambda row: f"there is no list of entries for its language {row['language']}",
            )
            found.append(no_list)
        return (
            *found,
            Requirement("no_entry", pl.col("n_entries") > 0, lambda _: "it holds no entry"),
            Requirement(
                "not_drawn",
                pl.col("is_drawn") | (pl.col("n_entries") == 0),
                lambda row: f"it was drawn for none of its entries, such as {row['common']}",
            ),
        )

    def reads(self, name: str) -> Iterator[Dependency]:
        """The probabilities."""
        yield Dependency(ENTRY_PROBABILITIES.key(name), "all")

    def facts(self, known: pl.DataFrame, samples: Samples) -> pl.DataFrame:
        """With `has_list`, `n_entries`, `is_drawn`, and `common`, the entries of one not drawn."""
        from recap_assets.sets.kinds.entries.assets import with_entries

        return with_entries(known, samples, self)

    def is_ready(self, name: str, project: Project) -> bool:
        """Whether the pool is counted."""
        return project.workspace.tables.has(ENTRY_COUNTS, {"set": name})

    def nodes(self, name: str, project: Project) -> list[Node]:
        """The counts of each partition, and the probabilities."""
        from recap_assets.sets.kinds.entries.assets import nodes_of

        return nodes_of(project, name, self)

    def outside(self, project: Project) -> Outside | None:
        """Version of the lists."""
        return outside_of(project, self)

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:  # noqa: ARG002 - of all kinds
        """Lists that cannot be read, and a t of a language that has none."""
        try:
            lists = load_lists(self.entries, by_language=self.by_language)
        except EntriesError as error:
            yield False, f"{where}.entries: {error}"
            return
        if self.by_language and self.t_of not in lists:
            known = ", ".join(sorted(lists))
            yield False, f"{where}.t_of: there is no list for {self.t_of!r}; there are {known}"
        else:
            n = sum(len(one.entries) for one in lists.values())
            yield True, f"{where}: {n:,} entries in {len(lists):,} list(s)"
