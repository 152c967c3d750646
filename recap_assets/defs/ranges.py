"""Run tags that name a range of partitions."""

from collections.abc import Mapping, Sequence

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"


def range_tags(group: Sequence[str]) -> Mapping[str, str]:
    """Run tags that name neighbouring partitions; none for an asset without partitions."""
    if tuple(group) == ("",):
        return {}
    return {RANGE_START: group[0], RANGE_END: group[-1]}
