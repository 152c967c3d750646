"""What colours mean, the same in every chart.

Raw text is vermilion, synthetic sources are cool, what joins or mixes both is amber. Neighbours
stay apart under deuteranopia and protanopia.
"""

from collections.abc import Iterable, Mapping

RAW = "raw"
RAW_COLOUR = "#c8502d"
SYNTHETIC_COLOURS = ("#1d6fa5", "#6cb4e0", "#0e8f7e", "#5a62c4", "#a487c9", "#93cfc1")
MIXED_COLOUR = "#e3a21a"
KIND_COLOURS = {"raw": RAW_COLOUR, "synthetic": SYNTHETIC_COLOURS[0], "mixed": MIXED_COLOUR}
_SHADES = {
    "raw": (RAW_COLOUR, "#e8977a", "#8c3217"),
    "synthetic": SYNTHETIC_COLOURS,
    "mixed": (MIXED_COLOUR, "#9c6c06", "#f1cd7b", "#6b5a2e"),
}


def palette(sources: Iterable[str]) -> dict[str, str]:
    """A colour for every caption source, in the order given; joined sources (a+b) share one."""
    colours: dict[str, str] = {}
    n_synthetic = 0
    for source in dict.fromkeys(sources):
        if source == RAW:
            colours[source] = RAW_COLOUR
        elif "+" in source:
            colours[source] = MIXED_COLOUR
        else:
            colours[source] = SYNTHETIC_COLOURS[n_synthetic % len(SYNTHETIC_COLOURS)]
            n_synthetic += 1
    return colours


def mix_colours(kinds: Mapping[str, str]) -> dict[str, str]:
    """A colour for every mix: a shade of its kind's, in the order given.

    Args:
        kinds: `raw`, `synthetic` or `mixed` of each mix.
    """
    n_before = dict.fromkeys(_SHADES, 0)
    colours: dict[str, str] = {}
    for mix, kind in kinds.items():
        colours[mix] = _SHADES[kind][n_before[kind] % len(_SHADES[kind])]
        n_before[kind] += 1
    return colours


def kind_of(raw_share: float) -> str:
    """`raw`, `synthetic` or `mixed`, by the share of the pairs with raw text."""
    return {1.0: "raw", 0.0: "synthetic"}.get(raw_share, "mixed")
