"""Scorers learned from preferences."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from recap_assets.artefacts.scores import IMAGE_EMBEDDINGS
from recap_assets.training.models.kind import OnProgress, TrainedModel
from recap_assets.training.models.kinds.preference.spec import DRAWN, JUDGED, PreferenceSpec

if TYPE_CHECKING:
    from recap_assets.graph.outside import Outside
    from recap_assets.graph.project import Project


class PreferenceModel(PreferenceSpec):
    """Which of two texts people prefer for an image, as a score (Bradley-Terry).

    Compress & Align (arXiv 2312.06726) trains such a referee on compared captions. The probability
    that one text is preferred is the sigmoid of the difference of both scores.
    """

    def reads(self, project: "Project") -> Iterator[str]:
        """The pool's embeddings, and what the scorer was trained by."""
        from recap_assets.scores.opened import embedding_scorer

        yield IMAGE_EMBEDDINGS.key(self.scorer)
        yield from embedding_scorer(project, self.scorer).trained_by()

    def decided_by(self, project: "Project") -> Mapping[str, object]:
        """The scorer, and the world's seed where the preferences are drawn."""
        from recap_assets.scores.opened import embedding_scorer

        drawn: dict[str, object] = {}
        if self.preferences == DRAWN:
            drawn["seed"] = project.experiment.seed
            if (views := project.pool.pictures_of_a_scene) > 1:
                drawn["views"] = views
        return {"scorer": embedding_scorer(project, self.scorer).decides(), **drawn}

    def outside(self, project: "Project") -> "Outside | None":
        """The scorer's files, and the judgements where it learns from them."""
        from recap_assets.graph.outside import both, outside_of
        from recap_assets.scores.opened import embedding_scorer

        files = outside_of(project, embedding_scorer(project, self.scorer))
        return both(files, _judged(project)) if self.preferences == JUDGED else files

    def learn(self, project: "Project", on_progress: OnProgress) -> TrainedModel:
        """Train the head on the preferences whose image is in the pool."""
        from recap_assets.training.models.kinds.preference.engine import train_preference
        from recap_assets.training.models.kinds.preference.reading import compared

        return train_preference(compared(project, self), self, on_progress)


def _judged(project: "Project") -> "Outside":
    """Version of the judgements: no asset makes them."""
    from recap_assets.graph.node import ForAll
    from recap_assets.storage.content import frame_version
    from recap_assets.training.models.kinds.preference.reading import judged

    return ForAll(lambda: frame_version(judged(project)))
