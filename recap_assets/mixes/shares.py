"""Shares as people read them: tenths of per cent that add up to what they are the parts of."""

from collections.abc import Sequence

TENTHS = 1_000
"""Of a whole."""


def percentages(shares: Sequence[float]) -> list[float]:
    """Shares in per cent with one decimal, which add up as the shares themselves do.

    Each is rounded down, and the tenths that are missing then go to those that lost most; of two
    that lost the same, to the first.

    Args:
        shares: Of one whole, between 0 and 1.
    """
    exact = [TENTHS * share for share in shares]
    # What a float lost must not cost a tenth.
    tenths = [int(one + 1e-6) for one in exact]
    missing = round(sum(exact)) - sum(tenths)
    by_loss = sorted(range(len(exact)), key=lambda i: tenths[i] - exact[i])
    for i in by_loss[:missing]:
        tenths[i] += 1
    return [one / 10 for one in tenths]
