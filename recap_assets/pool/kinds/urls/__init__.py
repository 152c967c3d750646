"""A list of URLs that img2dataset fetches into shards."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from recap_assets.artefacts.pool import DOWNLOADED_SHARDS
from recap_assets.pool.kinds.urls.spec import UrlSpec
from recap_assets.shards import manifest_file
from recap_assets.shards.manifest import PoolError, Shard
from recap_assets.shards.pools import PoolProject
from recap_assets.specs.findings import Finding

if TYPE_CHECKING:
    from recap_assets.graph.account import Account
    from recap_assets.graph.node import Leaving, Node
    from recap_assets.graph.project import Project


class UrlPool(UrlSpec):
    """A list of URLs that img2dataset fetches into shards; the defaults are DataComp's."""

    plans_shards = True

    @property
    def made_by(self) -> str:
        """The asset that fetches them."""
        return DOWNLOADED_SHARDS.key()

    def known_shards(self, project: PoolProject) -> Mapping[int, Shard]:
        """Known before they are fetched, by the list; of a receipt those that it names."""
        from recap_assets.pool.kinds.urls.plan import read_plan, shards_folder

        workspace = project.workspace
        if manifest_file.is_frozen(workspace.manifest):
            return manifest_file.read(workspace.manifest)
        plan = read_plan(workspace.downloads)
        if not plan.files and not project.is_read_only:
            self.scan(project)
            plan = read_plan(workspace.downloads)
        return plan.as_shards(shards_folder(workspace, self))

    def scan(self, project: PoolProject) -> None:
        """Look at the list, and plan the shards of its rows."""
        from recap_assets.pool.kinds.urls.plan import make_plan

        workspace = project.workspace
        if not manifest_file.is_frozen(workspace.manifest):
            with workspace.claims.on_this_machine().hold("the plan of the list of URLs"):
                make_plan(self, workspace.downloads, workspace.refused)

    def nodes(self, project: "Project") -> "list[Node]":
        """The asset that fetches the shards."""
        from recap_assets.pool.kinds.urls.assets import node_of

        return [node_of(project, self)]

    def forget(self, project: "Project", numbers: Sequence[int]) -> int:
        """The rows of the list are refused from then on, and their images are zeros."""
        from recap_assets.pool.kinds.urls.forgetting import forget

        return forget(project, self, numbers)

    @classmethod
    def gone(cls, project: "Project") -> "Iterator[Leaving]":
        """Shards of which the list has no row any more; where the pool is none, they are left."""
        from recap_assets.pool.kinds.urls.assets import gone

        pool = project.experiment.pool
        return gone(project, pool) if isinstance(pool, cls) else iter(())

    def account(self, project: "Project") -> "Account":
        """Every row of the list that was fetched so far."""
        from recap_assets.pool.kinds.urls.assets import account_of

        return account_of(project)

    def doctor(self, where: str) -> Iterator[Finding]:
        """Whether the list can be read, and img2dataset is there."""
        yield self._list(where)
        yield self._tool(where)

    def _list(self, where: str) -> Finding:
        from recap_assets.pool.kinds.urls.lists import list_files, read_list

        try:
            files = list_files(self.urls)
            rows = read_list(files[0], self)
        except (PoolError, OSError, ValueError) as error:
            return False, f"{where}: {error}"
        refused = rows["refused"].drop_nulls().value_counts(sort=True).iter_rows()
        words = ", ".join(f"{n:,} {reason}" for reason, n in refused) or "none refused"
        is_of_use = rows["refused"].null_count() > 0
        summary = f"{len(files)} files; {files[0].name} has {rows.height:,} rows, {words}"
        return is_of_use, f"{where}: {summary}"

    def _tool(self, where: str) -> Finding:
        from recap_assets.pool.kinds.urls.tool import find_python

        try:
            return True, f"{where}: img2dataset's environment is {find_python().parent.parent}"
        except PoolError as error:
            return False, f"{where}: {error}"
