"""What all pages of the gallery share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

from starlette.requests import Request

from recap_assets.graph.project import Project
from recap_assets.look.embeddings import Embeddings
from recap_assets.look.images import Images
from recap_assets.look.kept import Kept
from recap_assets.plots.colours import palette
from recap_assets.scores.kind import ByEmbeddings
from recap_assets.scores.opened import scorers_of
from recap_assets.specs.mixes import Mix

if TYPE_CHECKING:
    from recap_assets.graph.records import StoredRecords


@dataclass(frozen=True)
class Gallery:
    """One experiment, as its pages read it.

    Attributes:
        project: The experiment and its workspace; nothing of it is written.
        records: Opens the records of what was built, for what a plan costs.
    """

    project: Project
    records: "Callable[[], StoredRecords]"

    @cached_property
    def images(self) -> Images:
        """The pool's images."""
        return Images(self.project)

    @cached_property
    def embeddings(self) -> Embeddings:
        """The embeddings of its scorers, as far as they stay in memory."""
        return Embeddings(self.project)

    @cached_property
    def kept(self) -> Kept:
        """What was computed once."""
        return Kept(self.project.workspace.tables)

    @cached_property
    def colours(self) -> dict[str, str]:
        """A colour for each caption source, as in the report."""
        return palette(self.project.experiment.source_names)

    @cached_property
    def scorers(self) -> tuple[str, ...]:
        """Scorers of image and text."""
        return tuple(self.project.experiment.scorers)

    @cached_property
    def embedders(self) -> tuple[str, ...]:
        """Scorers whose image embeddings are stored, so that images can be searched by them."""
        kinds = scorers_of(self.project).items()
        return tuple(name for name, kind in kinds if isinstance(kind, ByEmbeddings))


def gallery_of(request: Request) -> Gallery:
    """The gallery that a request is for."""
    return cast("Gallery", request.app.state.gallery)


def with_mixes(project: Project, mixes: Mapping[str, Mix]) -> Project:
    """The project with these mixes alone."""
    experiment = project.experiment.model_copy(update={"mixes": dict(mixes)})
    return replace(project, experiment=experiment)
