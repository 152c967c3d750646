"""The icons of the 36 fine classes: a few polygons each, in a box from -100 to 100, y down."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Slot = Literal["main", "dark", "white", "black"]
SLOTS: tuple[Slot, ...] = ("main", "dark", "white", "black")

Points = tuple[tuple[float, float], ...]
Part = tuple[Slot, Points]


@dataclass(frozen=True)
class Icon:
    """An icon as one array of corners, cut into its parts.

    Attributes:
        corners: Shape (n, 2), x and y between about -1 and 1.
        parts: Index into `SLOTS` and the range of corners of each polygon, painted in order.
    """

    corners: NDArray[np.float64]
    parts: tuple[tuple[int, int, int], ...]


def _poly(slot: Slot, *points: tuple[float, float]) -> list[Part]:
    return [(slot, points)]


def _box(slot: Slot, left: float, top: float, right: float, bottom: float) -> list[Part]:
    return [(slot, ((left, top), (right, top), (right, bottom), (left, bottom)))]


def _oval(
    slot: Slot, x: float, y: float, width: float, height: float | None = None, turn: float = 0
) -> list[Part]:
    """An ellipse by its centre and half axes, turned clockwise by `turn` degrees."""
    return [(slot, _arc_points((x, y), width, height or width, (0, 360), turn))]


def _half(slot: Slot, x: float, y: float, width: float, height: float) -> list[Part]:
    """Half an ellipse with its flat side at `y`: below it, or above it for a negative height."""
    return [(slot, _arc_points((x, y), width, height, (0, 180)))]


def _ring(
    slot: Slot, x: float, y: float, outer: float, inner: float, start: float, end: float
) -> list[Part]:
    """A piece of a ring between two angles in degrees; 0 is right, 90 is down."""
    there = _arc_points((x, y), outer, outer, (start, end))
    back = _arc_points((x, y), inner, inner, (end, start))
    return [(slot, (*there, *back))]


def _line(slot: Slot, width: float, *points: tuple[float, float]) -> list[Part]:
    """A thick line through points, as a quadrilateral for each piece."""
    made: list[Part] = []
    for (x0, y0), (x1, y1) in pairwise(points):
        length = math.hypot(x1 - x0, y1 - y0)
        dx, dy = (y0 - y1) / length * width / 2, (x1 - x0) / length * width / 2
        made += _poly(
            slot, (x0 + dx, y0 + dy), (x1 + dx, y1 + dy), (x1 - dx, y1 - dy), (x0 - dx, y0 - dy)
        )
    return made


def _arc_points(
    centre: tuple[float, float],
    width: float,
    height: float,
    angles: tuple[float, float],
    turn: float = 0,
) -> Points:
    start, end = angles
    steps = max(6, round(abs(end - start) / 18))
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    points = []
    for i in range(steps + (abs(end - start) < 360)):
        angle = math.radians(start + (end - start) * i / steps)
        x, y = width * math.cos(angle), height * math.sin(angle)
        points.append((centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos))
    return tuple(points)


def _around(count: int, radius: float, offset: float = 0) -> Iterable[tuple[float, float, float]]:
    """Points on a circle: x, y and angle in degrees."""
    for i in range(count):
        angle = offset + 360 * i / count
        radians = math.radians(angle)
        yield radius * math.cos(radians), radius * math.sin(radians), angle


def _houses() -> dict[str, list[Part]]:
    towers = [
        part
        for x in (-72, 72)
        for part in [
            *_box("main", x - 26, -50, x + 26, 85),
            *(p for dx in (-18, 0, 18) for p in _box("main", x + dx - 7, -68, x + dx + 7, -48)),
            *_box("black", x - 5, -30, x + 5, 0),
        ]
    ]
    return {
        "cottage": [
            *_box("black", 34, -80, 56, -20),
            *_box("main", -68, -5, 68, 85),
            *_poly("dark", (-95, 2), (0, -80), (95, 2)),
            *_box("black", -16, 28, 16, 85),
            *_box("white", -54, 16, -26, 44),
            *_box("white", 26, 16, 54, 44),
        ],
        "castle": [
            *_box("dark", -48, -15, 48, 85),
            *(p for x in (-36, -12, 12, 36) for p in _box("dark", x - 7, -32, x + 7, -13)),
            *towers,
            *_box("black", -22, 40, 22, 85),
            *_half("black", 0, 41, 22, -24),
        ],
        "tent": [
            *_line("black", 6, (-8, -88), (4, -68)),
            *_line("black", 6, (8, -88), (-4, -68)),
            *_poly("main", (-98, 75), (0, -75), (98, 75)),
            *_poly("dark", (0, -75), (98, 75), (62, 75)),
            *_poly("black", (-34, 75), (0, -30), (34, 75)),
            *_poly("white", (-34, 75), (0, -30), (-12, 75)),
        ],
    }


def _wheel(x: float, y: float, radius: float) -> list[Part]:
    return [*_oval("black", x, y, radius), *_oval("white", x, y, radius * 0.4)]


def _cars() -> dict[str, list[Part]]:
    return {
        "sedan": [
            *_poly(
                "main",
                (-98, 40),
                (-98, 6),
                (-62, -2),
                (-34, -46),
                (30, -46),
                (60, -2),
                (94, 8),
                (98, 40),
            ),
            *_poly("white", (-46, -4), (-26, -36), (-5, -36), (-5, -4)),
            *_poly("white", (5, -4), (5, -36), (24, -36), (44, -4)),
            *_box("dark", -98, 26, 98, 40),
            *_wheel(-54, 42, 24),
            *_wheel(54, 42, 24),
        ],
        "bus": [
            *_box("main", -98, -68, 98, 52),
            *(p for x in (-86, -50, -14, 22) for p in _box("white", x, -50, x + 28, -14)),
            *_box("black", 60, -50, 86, 52),
            *_box("dark", -98, 8, 56, 24),
            *_wheel(-58, 54, 24),
            *_wheel(34, 54, 24),
        ],
        "tractor": [
            *_box("black", 52, -64, 62, -10),
            *_box("main", -20, -16, 92, 36),
            *_box("dark", -72, -88, 8, -74),
            *_box("dark", -66, -80, 2, 20),
            *_box("white", -54, -72, -8, -24),
            *_box("dark", 80, -8, 92, 24),
            *_oval("black", -44, 34, 52),
            *_oval("main", -44, 34, 26),
            *_wheel(66, 56, 30),
        ],
    }


def _birds() -> dict[str, list[Part]]:
    return {
        "duck": [
            *_poly("main", (-50, 20), (-98, -22), (-30, -8)),
            *_oval("main", -4, 34, 76, 44),
            *_oval("main", 48, -34, 34),
            *_poly("dark", (72, -44), (99, -28), (72, -16)),
            *_oval("dark", -14, 32, 42, 22, 12),
            *_oval("black", 54, -42, 7),
        ],
        "penguin": [
            *_oval("dark", -26, 88, 24, 10),
            *_oval("dark", 26, 88, 24, 10),
            *_oval("main", -50, 20, 14, 46, 16),
            *_oval("main", 50, 20, 14, 46, -16),
            *_oval("main", 0, 24, 50, 66),
            *_oval("main", 0, -54, 36),
            *_oval("white", 0, 34, 34, 52),
            *_oval("white", -13, -58, 11),
            *_oval("white", 13, -58, 11),
            *_oval("black", -11, -58, 5),
            *_oval("black", 11, -58, 5),
            *_poly("black", (-13, -46), (13, -46), (0, -26)),
        ],
        "flamingo": [
            *_line("dark", 7, (-14, 20), (-14, 98)),
            *_line("dark", 7, (2, 20), (30, 50), (-10, 60)),
            *_poly("main", (-40, -10), (-86, 26), (-20, 22)),
            *_oval("main", -18, 4, 44, 27),
            *_ring("main", 20, -10, 34, 20, -60, 90),
            *_ring("main", 48, -62, 34, 20, 115, 350),
            *_oval("main", 68, -66, 18, 15),
            *_poly("black", (80, -74), (98, -56), (84, -40), (70, -56)),
            *_oval("white", 68, -70, 5),
            *_oval("dark", -26, 2, 28, 14, -10),
        ],
    }


def _fish() -> dict[str, list[Part]]:
    spikes = []
    for i, (x, y, _angle) in enumerate(_around(28, 1)):
        reach = 90 if i % 2 else 62
        spikes.append((x * reach + 4, y * reach))
    return {
        "goldfish": [
            *_poly("dark", (-26, 0), (-98, -64), (-76, -4), (-98, 64)),
            *_poly("dark", (-20, -34), (10, -78), (46, -36)),
            *_poly("dark", (-6, 36), (4, 72), (32, 38)),
            *_oval("main", 24, 0, 70, 48),
            *_oval("white", 62, -12, 14),
            *_oval("black", 65, -12, 7),
            *_line("black", 5, (34, -28), (28, 0), (34, 28)),
        ],
        "shark": [
            *_poly("main", (-60, -6), (-99, -62), (-80, -2), (-96, 34)),
            *_poly("main", (-16, -20), (-10, -72), (30, -18)),
            *_poly("dark", (6, 14), (-22, 64), (34, 20)),
            *_poly(
                "main",
                (-86, -4),
                (-40, -20),
                (10, -28),
                (60, -22),
                (99, 2),
                (80, 14),
                (30, 26),
                (-30, 16),
            ),
            *_poly("white", (98, 5), (78, 15), (30, 27), (-30, 17), (20, 12), (66, 8)),
            *_oval("black", 66, -8, 6),
            *_line("dark", 4, (34, -12), (30, 8)),
            *_line("dark", 4, (24, -12), (20, 8)),
        ],
        "pufferfish": [
            *_poly("dark", (-60, 0), (-98, -30), (-98, 30)),
            *_poly("main", *spikes),
            *_half("white", 4, 14, 58, 46),
            *_oval("white", 34, -22, 18),
            *_oval("black", 38, -22, 9),
            *_oval("black", 66, 8, 9),
            *_oval("dark", -14, 2, 16, 12),
        ],
    }


def _trees() -> dict[str, list[Part]]:
    fronds: list[Part] = []
    for end, bend in (
        ((-96, -18), (-52, -74)), ((96, -22), (52, -78)), ((-72, 36), (-58, -38)),
        ((76, 32), (60, -40)), ((-46, -98), (-30, -70)), ((50, -98), (34, -70)),
    ):  # fmt: skip
        fronds += _poly("main", (2, -36), bend, end, (bend[0] * 0.62, bend[1] * 0.62 - 2), (2, -58))
    return {
        "pine": [
            *_box("dark", -12, 55, 12, 98),
            *_poly("main", (-74, 66), (0, -20), (74, 66)),
            *_poly("main", (-60, 20), (0, -62), (60, 20)),
            *_poly("main", (-44, -26), (0, -98), (44, -26)),
            *_poly("dark", (-60, 20), (60, 20), (38, 30), (-38, 30)),
            *_poly("dark", (-44, -26), (44, -26), (26, -17), (-26, -17)),
        ],
        "palm": [
            *_poly("dark", (-6, -50), (8, -50), (4, 20), (14, 98), (-16, 98), (-10, 20)),
            *fronds,
            *_oval("black", -8, -34, 10),
            *_oval("black", 12, -32, 10),
        ],
        "maple": [
            *_poly("black", (-12, 98), (-8, 10), (8, 10), (12, 98)),
            *_line("black", 9, (0, 50), (34, 16)),
            *_oval("main", -44, -4, 42),
            *_oval("main", 44, -4, 42),
            *_oval("main", -28, -48, 42),
            *_oval("main", 28, -48, 42),
            *_oval("main", 0, -18, 44),
            *_oval("dark", -34, 4, 12),
            *_oval("dark", 24, -44, 14),
            *_oval("dark", 34, 6, 11),
        ],
    }


def _flowers() -> dict[str, list[Part]]:
    petals = [p for x, y, a in _around(9, 38) for p in _oval("main", x, y - 32, 29, 12, a)]
    spike: list[Part] = []
    for i in range(6):
        y, width = -84 + 22 * i, 9 + 2.2 * i
        for side in (-1, 1):
            spike += _oval("main", side * width * 0.95, y + 6, width, 12, side * -28)
    return {
        "tulip": [
            *_box("dark", -5, 0, 5, 98),
            *_poly("dark", (0, 92), (-56, 30), (-24, 94)),
            *_poly("dark", (0, 92), (56, 16), (24, 94)),
            *_half("main", 0, -30, 50, 50),
            *_poly(
                "main",
                (-50, -28),
                (-52, -94),
                (-26, -58),
                (0, -98),
                (26, -58),
                (52, -94),
                (50, -28),
            ),
            *_line("dark", 5, (-20, -46), (-10, 4)),
            *_line("dark", 5, (20, -46), (10, 4)),
        ],
        "daisy": [
            *_box("dark", -5, 0, 5, 98),
            *_oval("dark", 26, 68, 24, 10, -28),
            *petals,
            *_oval("white", 0, -32, 22),
            *_oval("black", 0, -32, 9),
        ],
        "lavender": [
            *_box("dark", -4, -60, 4, 98),
            *_line("dark", 7, (0, 96), (-44, 42)),
            *_line("dark", 7, (0, 96), (44, 42)),
            *spike,
            *_oval("main", 0, -90, 8, 10),
        ],
    }


def _dogs() -> dict[str, list[Part]]:
    paws = [
        p
        for x in (-44, -18, 26, 50)
        for p in [*_box("dark", x - 5, 30, x + 5, 80), *_oval("main", x, 82, 14)]
    ]
    return {
        "poodle": [
            *paws,
            *_line("dark", 7, (-50, 10), (-74, -34)),
            *_oval("main", -78, -42, 18),
            *_oval("main", 0, 18, 56, 28),
            *_oval("main", 34, 4, 32),
            *_oval("dark", 82, -38, 17, 11),
            *_oval("main", 56, -40, 24),
            *_oval("main", 48, -72, 25),
            *_oval("dark", 38, -34, 13, 24),
            *_oval("black", 95, -42, 6),
            *_oval("black", 64, -46, 5),
        ],
        "dachshund": [
            *_line("main", 9, (-80, 8), (-99, -28)),
            *(p for x in (-70, -48, 34, 54) for p in _box("dark", x - 8, 24, x + 8, 58)),
            *_oval("main", -10, 16, 82, 24),
            *_poly("main", (30, 10), (50, -44), (74, -30), (72, 18)),
            *_oval("main", 60, -32, 22, 20),
            *_oval("main", 80, -24, 19, 12, 10),
            *_oval("dark", 46, -18, 11, 28, 8),
            *_oval("black", 97, -26, 6),
            *_oval("black", 66, -38, 5),
        ],
        "bulldog": [
            *_poly("main", (-66, 96), (-78, 30), (-40, 0), (40, 0), (78, 30), (66, 96)),
            *_oval("white", 0, 62, 26, 34),
            *_poly("black", (-30, 97), (-16, 62), (16, 62), (30, 97)),
            *_oval("main", 0, -30, 70, 56),
            *_poly("dark", (-50, -74), (-99, -62), (-82, -14), (-58, -36)),
            *_poly("dark", (50, -74), (99, -62), (82, -14), (58, -36)),
            *_oval("white", -28, 6, 38, 28),
            *_oval("white", 28, 6, 38, 28),
            *_oval("black", 0, -14, 18, 12),
            *_oval("black", -30, -44, 9),
            *_oval("black", 30, -44, 9),
        ],
    }


def _boats() -> dict[str, list[Part]]:
    return {
        "sailboat": [
            *_box("black", -4, -96, 4, 50),
            *_poly("main", (8, -92), (8, 38), (86, 38)),
            *_poly("white", (-8, -76), (-8, 38), (-66, 38)),
            *_poly("dark", (-90, 48), (92, 48), (62, 86), (-64, 86)),
        ],
        "submarine": [
            *_line("black", 7, (10, -40), (10, -84), (34, -84)),
            *_poly("dark", (-30, -20), (-22, -56), (36, -56), (42, -20)),
            *_poly("dark", (-80, 18), (-99, -22), (-92, 18), (-99, 58)),
            *_oval("main", 6, 18, 92, 44),
            *(p for x in (-36, 4, 44) for p in _oval("white", x, 10, 14)),
            *(p for x in (-36, 4, 44) for p in _oval("black", x, 10, 7)),
        ],
        "ferry": [
            *_box("black", -44, -92, -18, -44),
            *_box("black", 14, -92, 40, -44),
            *_box("dark", -44, -78, -18, -66),
            *_box("dark", 14, -78, 40, -66),
            *_box("white", -58, -52, 62, -14),
            *_box("white", -78, -18, 76, 22),
            *(p for x in (-44, -14, 16, 44) for p in _box("black", x - 8, -42, x + 8, -26)),
            *(p for x in (-60, -30, 0, 30, 58) for p in _box("black", x - 7, -6, x + 7, 8)),
            *_poly("main", (-99, 18), (99, 18), (72, 80), (-76, 80)),
            *_poly("dark", (-86, 58), (82, 58), (72, 80), (-76, 80)),
        ],
    }


def _planes() -> dict[str, list[Part]]:
    return {
        "jet": [
            *_poly("main", (0, -30), (96, 44), (96, 62), (0, 26), (-96, 62), (-96, 44)),
            *_poly("main", (0, 56), (42, 88), (42, 98), (0, 84), (-42, 98), (-42, 88)),
            *_poly("dark", (60, 17), (96, 44), (96, 62), (60, 48)),
            *_poly("dark", (-60, 17), (-96, 44), (-96, 62), (-60, 48)),
            *_oval("main", 0, 0, 17, 97),
            *_poly("black", (-12, -62), (0, -80), (12, -62), (0, -56)),
            *_box("white", -3, -40, 3, 60),
        ],
        "glider": [
            *_oval("main", 0, -20, 99, 11),
            *_oval("main", 0, 66, 34, 8),
            *_oval("dark", 0, 10, 9, 66),
            *_oval("dark", 0, -34, 13, 32),
            *_oval("white", 0, -46, 7, 14),
            *_oval("dark", -84, -20, 14, 6),
            *_oval("dark", 84, -20, 14, 6),
        ],
        "biplane": [
            *_line("black", 6, (-60, -46), (-60, 20)),
            *_line("black", 6, (60, -46), (60, 20)),
            *_line("black", 6, (-22, -46), (-10, 0)),
            *_line("black", 6, (22, -46), (10, 0)),
            *_line("black", 7, (-14, 30), (-34, 74)),
            *_line("black", 7, (14, 30), (34, 74)),
            *_box("main", -98, -62, 98, -42),
            *_box("main", -88, 8, 88, 28),
            *_oval("dark", 0, 8, 34),
            *_oval("black", -36, 76, 11, 18),
            *_oval("black", 36, 76, 11, 18),
            *_oval("white", 0, 8, 7, 56, 32),
            *_oval("black", 0, 8, 10),
        ],
    }


def _hats() -> dict[str, list[Part]]:
    return {
        "crown": [
            *_poly(
                "main",
                (-80, 64),
                (-92, -46),
                (-44, 2),
                (0, -72),
                (44, 2),
                (92, -46),
                (80, 64),
            ),
            *_box("dark", -80, 42, 80, 72),
            *(p for x, y in ((-92, -52), (0, -80), (92, -52)) for p in _oval("white", x, y, 13)),
            *(p for x in (-46, 0, 46) for p in _oval("white", x, 57, 9)),
        ],
        "sombrero": [
            *_oval("dark", 0, 46, 99, 32),
            *_oval("main", 0, 38, 99, 28),
            *_poly("main", (-44, 40), (-24, -60), (-8, -74), (8, -74), (24, -60), (44, 40)),
            *_half("main", 0, 39, 44, 14),
            *_poly("white", (-44, 36), (-39, 12), (39, 12), (44, 36)),
            *_poly("black", (-40, 36), (-28, 14), (-14, 36), (0, 14), (14, 36), (28, 14), (40, 36)),
        ],
        "beanie": [
            *_oval("white", 0, -70, 28),
            *_half("main", 0, 38, 76, -96),
            *_box("main", -76, 30, 76, 44),
            *_box("dark", -86, 34, 86, 78),
            *(p for x in (-58, -29, 0, 29, 58) for p in _line("black", 6, (x, 38), (x, 76))),
        ],
    }


def _cups() -> dict[str, list[Part]]:
    steam = [
        p
        for x in (-30, 4)
        for p in _line("white", 7, (x, -52), (x + 12, -70), (x, -84), (x + 8, -98))
    ]
    return {
        "mug": [
            *_ring("dark", 42, 8, 48, 28, -95, 95),
            *_box("main", -72, -70, 46, 84),
            *_box("dark", -72, 68, 46, 84),
            *_oval("black", -13, -70, 59, 14),
            *_oval("white", -13, 6, 26),
        ],
        "goblet": [
            *_box("dark", -7, 10, 7, 88),
            *_oval("dark", 0, 30, 14, 10),
            *_oval("dark", 0, 88, 48, 11),
            *_half("main", 0, -50, 56, 74),
            *_box("main", -56, -84, 56, -48),
            *_oval("white", 0, -84, 56, 12),
        ],
        "teacup": [
            *steam,
            *_oval("dark", 0, 76, 98, 16),
            *_oval("white", 0, 70, 70, 9),
            *_ring("dark", 66, -2, 32, 18, -100, 130),
            *_half("main", -6, -30, 76, 100),
            *_oval("black", -6, -30, 76, 15),
        ],
    }


def _fruits() -> dict[str, list[Part]]:
    outer = _arc_points((0, -62), 98, 138, (10, 170))
    inner = _arc_points((0, -96), 92, 84, (160, 20))
    rim = _arc_points((0, -66), 95, 124, (166, 14))
    lattice = [
        p
        for k in (-2, -1, 0, 1, 2)
        for p in [
            *_line("dark", 5, (k * 22 - 28, 4), (k * 14 + 22, 86)),
            *_line("dark", 5, (k * 22 + 28, 4), (k * 14 - 22, 86)),
        ]
    ]
    leaves = [
        p
        for x, y in ((-50, -60), (50, -60), (-30, -92), (30, -92), (0, -99))
        for p in _poly("dark", (x * 0.1 - 12, -10), (x, y), (x * 0.1 + 12, -10))
    ]
    return {
        "banana": [
            ("main", (*outer, *inner)),
            ("dark", (*outer, *rim)),
            *_box("black", 82, -66, 99, -30),
            *_box("black", -98, -66, -82, -34),
        ],
        "pear": [
            *_line("black", 9, (0, -60), (12, -98)),
            *_oval("dark", 38, -80, 28, 12, -20),
            *_oval("main", 0, 38, 60, 56),
            *_oval("main", 0, -32, 34, 42),
            *_poly("main", (-33, -26), (33, -26), (54, 18), (-54, 18)),
            *_oval("white", -26, 36, 10, 22, 14),
        ],
        "pineapple": [*leaves, *_oval("main", 0, 44, 50, 54), *lattice],
    }


def _packed(parts: list[Part]) -> Icon:
    corners: list[tuple[float, float]] = []
    ranges = []
    for slot, points in parts:
        ranges.append((SLOTS.index(slot), len(corners), len(corners) + len(points)))
        corners += points
    return Icon(np.asarray(corners) / 100, tuple(ranges))


def _all() -> dict[str, Icon]:
    families = (
        _houses, _cars, _birds, _fish, _trees, _flowers, _dogs, _boats, _planes, _hats, _cups,
        _fruits,
    )  # fmt: skip
    return {name: _packed(parts) for family in families for name, parts in family().items()}


ICONS: dict[str, Icon] = _all()
"""The icon of each fine class, by name."""
