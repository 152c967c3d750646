"""Image classifiers of the Hugging Face hub."""

from recap_assets.engines.protocols import ImageScorer, Places
from recap_assets.scores.of_images.kinds.classifier.spec import ImageClassifierSpec


class ImageClassifier(ImageClassifierSpec):
    """An image classifier of the Hugging Face hub; the score is the probability of one label."""

    def open(self, places: Places) -> ImageScorer:  # noqa: ARG002 - of all kinds
        """The classifier."""
        from recap_assets.scores.of_images.kinds.classifier.engine import load_image_classifier

        return load_image_classifier(self)
