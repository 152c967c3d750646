"""An acyclic graph in columns: what is read on the left of what reads it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from statistics import fmean

BOX_WIDTH, BOX_HEIGHT = 152, 46
GAP_ACROSS, GAP_DOWN = 28, 14


@dataclass(frozen=True)
class Box:
    """A node in the picture, by its upper left corner."""

    name: str
    x: int
    y: int


@dataclass(frozen=True)
class Layout:
    """A picture of a graph.

    Attributes:
        width: In pixels.
        height: In pixels.
        boxes: The nodes.
        edges: An SVG path for each edge.
    """

    width: int
    height: int
    boxes: tuple[Box, ...]
    edges: tuple[str, ...]


def layout(reads: Mapping[str, Sequence[str]]) -> Layout:
    """Place every node one column to the right of the last one that it reads.

    One that reads nothing is beside its first reader. Edges that others imply are left out.

    Args:
        reads: For each node those that it reads; all of them are keys.

    Raises:
        graphlib.CycleError: The graph has a circle.
    """
    reads = _direct(reads)
    columns = _columns(reads)
    rows = _rows(reads, columns)
    height = max(map(len, columns), default=1) * (BOX_HEIGHT + GAP_DOWN) - GAP_DOWN
    boxes = {
        name: Box(name, i * (BOX_WIDTH + GAP_ACROSS), _top(rows[name], len(column), height))
        for i, column in enumerate(columns)
        for name in column
    }
    edges = [_edge(boxes[read], boxes[name]) for name, those in reads.items() for read in those]
    width = len(columns) * (BOX_WIDTH + GAP_ACROSS) - GAP_ACROSS
    return Layout(width, height, tuple(boxes.values()), tuple(edges))


def _direct(reads: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The edges without those that a longer way implies."""
    above: dict[str, set[str]] = {}
    for name in TopologicalSorter(reads).static_order():
        above[name] = {far for one in reads[name] for far in (one, *above[one])}
    return {
        name: [one for one in those if not any(one in above[other] for other in those)]
        for name, those in reads.items()
    }


def _columns(reads: Mapping[str, Sequence[str]]) -> list[list[str]]:
    column: dict[str, int] = {}
    for name in TopologicalSorter(reads).static_order():
        column[name] = max((column[one] + 1 for one in reads[name]), default=0)
    for name in (name for name, read in reads.items() if not read):
        readers = [column[one] for one, read in reads.items() if name in read]
        column[name] = min(readers, default=1) - 1
    found: list[list[str]] = [[] for _ in range(max(column.values(), default=-1) + 1)]
    for name in sorted(column):
        found[column[name]].append(name)
    return found


def _rows(reads: Mapping[str, Sequence[str]], columns: list[list[str]]) -> dict[str, int]:
    """The place of each node in its column: beside what it reads, so that few edges cross."""
    row: dict[str, int] = {}
    for column in columns:
        column.sort(key=lambda name: (fmean([row[one] for one in reads[name]] or [0]), name))
        row |= {name: i for i, name in enumerate(column)}
    return row


def _top(row: int, n_rows: int, height: int) -> int:
    """Columns are centred."""
    own = n_rows * (BOX_HEIGHT + GAP_DOWN) - GAP_DOWN
    return (height - own) // 2 + row * (BOX_HEIGHT + GAP_DOWN)


def _edge(read: Box, reader: Box) -> str:
    x, y = read.x + BOX_WIDTH, read.y + BOX_HEIGHT // 2
    end, down = reader.x, reader.y + BOX_HEIGHT // 2
    bend = (end - x) // 2
    return f"M{x} {y}C{x + bend} {y} {end - bend} {down} {end} {down}"
