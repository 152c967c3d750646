"""A cheap check of whether a file is there and as long as it was written."""

import os


def is_whole(path: str | os.PathLike[str], n_bytes: int) -> bool:
    """Whether a file is there and has this many bytes."""
    try:
        return os.stat(path).st_size == n_bytes  # noqa: PTH116 - a path object takes longer to make
    except (FileNotFoundError, NotADirectoryError):
        return False
