"""Small captioners that are trained here."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from recap_assets.engines.protocols import Places, Scorer
from recap_assets.specs.models import ModelSpec
from recap_assets.training.models.kind import ImageTextModel, OnProgress, TrainedModel
from recap_assets.training.models.kinds.captioner.spec import TrainedCaptionerSpec

if TYPE_CHECKING:
    from recap_assets.graph.outside import Outside
    from recap_assets.graph.project import Project
    from recap_assets.scores.kind import ByEmbeddings
    from recap_assets.training.engine.pairs import TrainingPairs


class TrainedCaptioner(TrainedCaptionerSpec):
    """A small decoder with cross-attention on the frozen image tower of a CLIP trained here."""

    def image_side(self, models: Mapping[str, ModelSpec]) -> int:
        """The backbone's."""
        backbone = models[self.backbone]
        assert isinstance(backbone, ImageTextModel), "the registry takes no others"  # noqa: S101
        return backbone.image_side(models)

    def reads(self, project: "Project") -> Iterator[str]:
        """The corpus, what its scorers were trained by, and what says whose texts are whose."""
        from recap_assets.training.corpora.assets import image_corpus_of

        yield from super().reads(project)
        for scorer in self._scorers_in(project):
            yield from scorer.trained_by()
        made_by = image_corpus_of(project, self.corpus).sources_made_by()
        if self.control and self.control.tag and made_by:
            yield made_by

    def decided_by(self, project: "Project") -> Mapping[str, object]:
        """The corpus and the scorers."""
        by = [scorer.decides() for scorer in self._scorers_in(project)]
        return {**super().decided_by(project), **({"scorers": by} if by else {})}

    def outside(self, project: "Project") -> "Outside | None":
        """The corpus, where no asset makes it, and the scorers' files."""
        from recap_assets.graph.outside import both, outside_of

        return both(super().outside(project), outside_of(project, *self._scorers_in(project)))

    def _scorers_in(self, project: "Project") -> "list[ByEmbeddings]":
        from recap_assets.scores.opened import embedding_scorer

        return [embedding_scorer(project, name) for name in self.scorers]

    def learn(self, project: "Project", on_progress: OnProgress) -> TrainedModel:
        """Train it on the corpus, by the scorers that it names."""
        from recap_assets.scores.opened import embedder_of

        scorers = {name: embedder_of(project, name) for name in self.scorers}
        return self._trained(self.pairs(project), project.workspace, on_progress, scorers)

    def train(
        self, pairs: "TrainingPairs", places: Places, on_progress: OnProgress
    ) -> TrainedModel:
        """Train the decoder, from its seed or from another captioner; for one without scorers."""
        return self._trained(pairs, places, on_progress, {})

    def _trained(
        self,
        pairs: "TrainingPairs",
        places: Places,
        on_progress: OnProgress,
        scorers: Mapping[str, Scorer],
    ) -> TrainedModel:
        from recap_assets.engines.devices import resolve_device
        from recap_assets.training.models.kinds.captioner.engine import train_captioner

        start_from = places.models / self.start_from if self.start_from else None
        return train_captioner(
            pairs,
            self,
            places.models / self.backbone,
            start_from,
            scorers=scorers,
            on_progress=on_progress,
            device=resolve_device("auto"),
        )
