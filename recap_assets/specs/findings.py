"""What `recap doctor` finds."""

from collections.abc import Iterator

Finding = tuple[bool | None, str]
"""Whether it is in order, None where it is worth a look; and what was found."""


def unwritten(where: str, revision: str | None) -> Iterator[Finding]:
    """Whether a revision is still what an example has in its place, such as `<commit>`.

    Args:
        where: The model's part of the file.
        revision: What the file says.
    """
    if revision is not None and revision.startswith("<"):
        text = f"{where}.revision: {revision} stands for a commit; write the one that is meant"
        yield False, f"{text}, as the hub lists it under Files and versions"
