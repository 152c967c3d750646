"""Circles among the parts of an experiment: what would be made of itself."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

Part = tuple[str, str]
"""A section and a name in it."""


def circles(reads: Mapping[Part, Sequence[Part]], order: Sequence[str]) -> Iterator[list[Part]]:
    """One circle of each group of parts that are made of each other.

    Args:
        reads: For each part those that it is made of; all of them are keys.
        order: Sections; a circle begins at its last part by this order, and then by name.

    Yields:
        Parts, each of which is made of the next one, and the last of the first.
    """
    rank = {section: number for number, section in enumerate(order)}
    met: set[Part] = set()
    for start in sorted(reads, key=lambda part: (-rank[part[0]], part[1])):
        if start not in met and (path := _back_to(start, reads)):
            met.update(path)
            yield path


def _back_to(start: Part, reads: Mapping[Part, Sequence[Part]]) -> list[Part]:
    """The shortest way from a part to itself; empty where there is none."""
    came_from: dict[Part, Part] = {}
    waiting = [start]
    while waiting:
        here = waiting.pop(0)
        for there in reads[here]:
            if there == start:
                return _path(start, here, came_from)
            if there not in came_from:
                came_from[there] = here
                waiting.append(there)
    return []


def _path(start: Part, end: Part, came_from: Mapping[Part, Part]) -> list[Part]:
    path = [end]
    while path[-1] != start:
        path.append(came_from[path[-1]])
    return path[::-1]


def reached(reads: Mapping[str, Iterable[str]], start: str) -> set[str]:
    """What can be reached from a part, itself included, by what each reads."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        if (at := waiting.pop()) not in seen:
            seen.add(at)
            waiting += reads.get(at, ())
    return seen
