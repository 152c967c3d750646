"""Amounts as people read them."""


def in_time(seconds: float) -> str:
    """Seconds as `0.4 s`, `42 s`, `3 min 5 s` or `2 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min"


def in_bytes(n: float) -> str:
    """Bytes as `512 B`, `1.5 MB` or `12 GB`, with powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if n < 1_000:
            return f"{n:.0f} {unit}" if unit == "B" or n >= 10 else f"{n:.1f} {unit}"
        n /= 1_000
    return f"{n:,.1f} TB"
