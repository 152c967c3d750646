"""The image scorers of an experiment."""

from recap_assets.graph.project import Project
from recap_assets.scores.of_images.kind import (
    ImageScoring,
    OfEmbeddings,
    OfImages,
    OwnImageScores,
)
from recap_assets.specs.kinds import KindError, fitting

Kinds = OfImages | OfEmbeddings | OwnImageScores
"""What every kind of image scorer is below one of."""


def image_scorer_named(project: Project, name: str) -> Kinds:
    """The spec of an image scorer.

    Raises:
        KindError: A kind of another package is none.
    """
    where = f"image_scorers.{name}"
    spec = fitting(where, project.experiment.image_scorers[name], ImageScoring)
    if not isinstance(spec, Kinds):
        of = f"{type(spec).__name__} of {spec.distribution}"
        msg = f"{where}: {of} is none of OfImages, OfEmbeddings and OwnImageScores"
        raise KindError(msg)
    return spec
