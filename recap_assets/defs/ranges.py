"""Groups of neighbouring partitions: what one run can take."""

from collections.abc import Iterator, Mapping, Sequence

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


def neighbours(
    order: Sequence[str], wanted: Sequence[str], most: int | None = None
) -> Iterator[tuple[str, ...]]:
    """Split `wanted` into groups without a gap in `order`, each of at most `most` partitions."""
    place = {key: i for i, key in enumerate(order)}
    group: list[str] = []
    for key in sorted(wanted, key=place.__getitem__):
        if group and (place[key] != place[group[-1]] + 1 or len(group) == most):
            yield tuple(group)
            group = []
        group.append(key)
    if group:
        yield tuple(group)


def range_tags(group: Sequence[str]) -> Mapping[str, str]:
    """Run tags that name the partitions; none for an asset without partitions."""
    if tuple(group) == ("",):
        return {}
    return {RANGE_START: group[0], RANGE_END: group[-1]}
