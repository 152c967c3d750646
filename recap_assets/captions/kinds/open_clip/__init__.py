"""CoCa of open_clip."""

from recap_assets.captions.kinds.open_clip.spec import OpenClipSpec
from recap_assets.engines.protocols import Captioner, Places


class OpenClipSource(OpenClipSpec):
    """CoCa from open_clip."""

    def open(self, places: Places) -> Captioner:
        """The captioner."""
        from recap_assets.captions.kinds.open_clip.engine import load_coca_captioner

        return load_coca_captioner(self, places.batch_sizes)
