"""CoCa of open_clip."""

from recap_assets.captions.kinds.open_clip.spec import OpenClipSpec
from recap_assets.engines.protocols import Captioner, Places


class OpenClipSource(OpenClipSpec):
    """CoCa from open_clip."""

    @property
    def seconds_per_image(self) -> float:
        """By the name of the model, whose text towers take as much as its image tower."""
        from recap_assets.engines.guesses import image_tower, seconds_of

        operations = 2 * self.candidates * image_tower(self.model)
        return super().seconds_per_image + seconds_of(operations, self.device)

    def open(self, places: Places) -> Captioner:
        """The captioner."""
        from recap_assets.captions.kinds.open_clip.engine import load_coca_captioner

        return load_coca_captioner(self, places.batch_sizes)
