"""What `recap doctor` finds."""

Finding = tuple[bool | None, str]
"""Whether it is in order, None where it is worth a look; and what was found."""
