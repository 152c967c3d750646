"""Names beside the points of a chart, none on another."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from recap_assets.plots.libraries import alt
from recap_assets.plots.style import INK, inline_data


@dataclass(frozen=True)
class Plane:
    """Where points lie.

    Attributes:
        x: The column of the horizontal axis.
        y: That of the vertical axis.
        x_range: What the horizontal axis spans.
        y_range: What the vertical axis spans.
        width: Of the plot inside its axes and legends, roughly, in pixels.
        height: Likewise.
    """

    x: str
    y: str
    x_range: Sequence[float]
    y_range: Sequence[float]
    width: float
    height: float

    def places(self, points: pl.DataFrame) -> list[tuple[float, float]]:
        """Where each point is, in pixels from the left and from the top."""
        (left, right), (bottom, top) = self.x_range, self.y_range
        return [
            ((x - left) / (right - left) * self.width, (top - y) / (top - bottom) * self.height)
            for x, y in points.select(self.x, self.y).iter_rows()
        ]


def padded(values: pl.Series) -> list[float]:
    """The range of the values with a tenth on either side, for points with labels."""
    numbers: list[float] = values.to_list() or [0.0, 1.0]
    low, high = min(numbers), max(numbers)
    margin = 0.1 * (high - low) or 0.1 * abs(high) or 1.0
    return [low - margin, high + margin]


def point_labels(points: pl.DataFrame, names: str, plane: Plane) -> "list[alt.Chart]":
    """Names beside their points, those of the first rows first, on the first side that is free.

    One that would lie on another name or point wherever it is put is left out.

    Args:
        points: The columns of the axes, and the names.
        names: The column of the names.
        plane: Where the points lie.
    """
    places = plane.places(points)
    taken: list[Sequence[float]] = [(x - 12, y - 12, x + 12, y + 12) for x, y in places]
    sides: list[str] = []
    for (x, y), name in zip(places, points[names], strict=True):
        boxes = _boxes(x, y, 6.4 * len(name))
        free = [side for side, box in boxes.items() if not any(_overlap(box, t) for t in taken)]
        sides.append(free[0] if free else "")
        taken += [boxes[side] for side in free[:1]]
    placed = points.with_columns(side=pl.Series(sides, dtype=pl.String))
    return [
        alt.Chart(inline_data(placed.filter(pl.col("side") == side)))
        .mark_text(align=align, dx=dx, dy=dy, fontSize=11.5, color=INK)  # type: ignore[arg-type]
        .encode(x=f"{plane.x}:Q", y=f"{plane.y}:Q", text=f"{names}:N")
        for side, (align, dx, dy) in _SIDES.items()
        if side in sides
    ]


_SIDES = {
    "right": ("left", 16, 0),
    "above": ("center", 0, -20),
    "left": ("right", -16, 0),
    "below": ("center", 0, 20),
}


def _boxes(x: float, y: float, length: float) -> dict[str, tuple[float, ...]]:
    return {
        "right": (x + 14, y - 7, x + 16 + length, y + 7),
        "above": (x - length / 2, y - 27, x + length / 2, y - 13),
        "left": (x - 16 - length, y - 7, x - 14, y + 7),
        "below": (x - length / 2, y + 13, x + length / 2, y + 27),
    }


def _overlap(a: Sequence[float], b: Sequence[float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
