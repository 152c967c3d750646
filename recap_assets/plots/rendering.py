"""A chart to SVG or PNG, without browser or network."""

import re
from typing import Any

from recap_assets.plots.libraries import alt, vl_convert


def chart_svg(chart: "alt.TopLevelMixin", name: str) -> str:
    """The chart as an SVG element to stand in a page beside others.

    Args:
        chart: Any chart.
        name: Unique in the page; the identifiers inside the SVG begin with it.
    """
    svg = vl_convert.vegalite_to_svg(_specification(chart), vl_version="6.4", allowed_base_urls=[])
    return re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)


def chart_png(chart: "alt.TopLevelMixin", scale: float = 2.0) -> bytes:
    """The chart as PNG on white, `scale` pixels for each unit of its size."""
    specification = _specification(chart)
    specification["background"] = "white"
    return vl_convert.vegalite_to_png(
        specification, vl_version="6.4", scale=scale, allowed_base_urls=[]
    )


def _specification(chart: "alt.TopLevelMixin") -> dict[str, Any]:
    return {key: _legible(part) for key, part in chart.to_dict(validate=False).items()}


def _legible(part: Any) -> Any:  # noqa: ANN401 - any piece of JSON
    """The piece of a specification without control characters in its strings.

    vl-convert aborts the whole process at some of them (U+0000), past any `except`.
    """
    match part:
        case str():
            return (
                part if part.isprintable() else "".join(c if c.isprintable() else " " for c in part)
            )
        case dict():
            return {_legible(key): _legible(value) for key, value in part.items()}
        case list():
            return [_legible(value) for value in part]
        case _:
            return part
