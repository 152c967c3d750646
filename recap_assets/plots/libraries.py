"""The libraries that draw, imported when something is drawn first: that takes a second.

Every command reads the graph, and few draw. Annotations with names of these stand in quotes.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt
    import vl_convert
else:

    class _Later:
        """A module that is imported when it is first asked for something."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the module has
            return getattr(import_module(self._name), name)

    alt = _Later("altair")
    vl_convert = _Later("vl_convert")

__all__ = ["alt", "vl_convert"]
