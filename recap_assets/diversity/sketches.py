# pyright: basic, reportAttributeAccessIssue=false
"""HyperLogLog sketches of distinct items (p = 14: 16 KiB, relative error 0.8 %)."""

from collections.abc import Iterable

import datasketches

_LG_K = 14


def sketch_of(items: Iterable[str] | Iterable[int]) -> bytes:
    """Serialise a sketch, in the datasketches format that its C++ and Java libraries read.

    Args:
        items: Distinct and sorted, so that equal content gives equal bytes. Integers have 64 bits,
            signed.
    """
    sketch = datasketches.hll_sketch(_LG_K, datasketches.tgt_hll_type.HLL_8)
    for item in items:
        sketch.update(item)
    return sketch.serialize_compact()


def estimate_of_union(sketches: Iterable[bytes]) -> float:
    """Distinct items of all sketches together; the same however the items are split over them."""
    union = datasketches.hll_union(_LG_K)
    for serialised in sketches:
        sketch = datasketches.hll_sketch.deserialize(serialised)
        # The second update changes no register, but it ends the estimate by the history of a
        # single sketch, which depends on how the items are split.
        union.update(sketch)
        union.update(sketch)
    return float(union.get_estimate())
