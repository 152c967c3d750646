"""Where training runs are tracked: a tracker that a user names."""

from typing import Annotated

from recap_assets.specs.base import Spec
from recap_assets.specs.kinds import OneOf


class TrackerSpec(Spec):
    """A tracker; a kind is below `tracking.kind.Tracker`."""


Track = Annotated[TrackerSpec, OneOf("trackers")]
