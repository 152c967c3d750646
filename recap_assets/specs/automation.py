"""What runs by itself: none of it decides what is in a table."""

import re
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from recap_assets.specs.base import Spec

Stage = Literal[
    "world", "pool", "models", "captions", "scores", "diversity", "sets", "mixes",
    "exports", "training", "evaluation", "search", "report",
]  # fmt: skip
STAGES: tuple[Stage, ...] = get_args(Stage)
"""The stages, in the order in which they read each other."""

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FIELDS: tuple[tuple[str, int, int, list[str]], ...] = (
    ("minute", 0, 59, []),
    ("hour", 0, 23, []),
    ("day of the month", 1, 31, []),
    ("month", 1, 12, _MONTHS),
    ("day of the week", 0, 7, _DAYS),
)
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_PART = re.compile(r"(?:\*|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>[1-9]\d?))?", re.ASCII)
_NAMED = frozenset({"@hourly", "@daily", "@weekly", "@monthly"})


def _checked_cron(text: str) -> str:
    fields = text.split()
    if text in _NAMED:
        return text
    if len(fields) != len(_FIELDS):
        names = ", ".join(name for name, *_ in _FIELDS)
        msg = (
            f"a cron line has five fields ({names}), such as `0 2 * * *` for every night at two, "
            f"or is one of {', '.join(sorted(_NAMED))}; this one is {text!r}"
        )
        raise ValueError(msg)
    numbers = [
        _numbers(text, field, *limits) for field, limits in zip(fields, _FIELDS, strict=True)
    ]
    if fields[4] == "*" and min(numbers[2]) > max(_LONGEST[month - 1] for month in numbers[3]):
        msg = f"the cron line {text!r} names a day that none of its months has"
        raise ValueError(msg)
    return text


def _numbers(
    text: str, field: str, name: str, lowest: int, highest: int, words: list[str]
) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        numbers = _range(part, lowest, highest, words)
        if not numbers:
            msg = (
                f"in the cron line {text!r} the {name} is {field!r}; write `*`, `*/2`, or "
                f"numbers from {lowest} to {highest} such as `1,3` or `1-5`"
            )
            raise ValueError(msg)
        found |= set(numbers)
    return found


def _range(part: str, lowest: int, highest: int, words: list[str]) -> range:
    """The numbers of one part of a field; none where it is no such part."""
    match = _PART.fullmatch(part)
    if match is None or (match["step"] and match["first"] and not match["last"]):
        return range(0)
    first = _number(match["first"] or str(lowest), lowest, words)
    last = _number(match["last"] or match["first"] or str(highest), lowest, words)
    if not lowest <= first <= last <= highest:
        return range(0)
    return range(first, last + 1, int(match["step"] or 1))


def _number(text: str, lowest: int, words: list[str]) -> int:
    if text.lower() in words:
        return words.index(text.lower()) + lowest
    return int(text) if text.isdigit() else -1


def _checked_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        msg = f"there is no time zone {name!r}; write a name such as UTC or Europe/Berlin"
        raise ValueError(msg) from error
    return name


Cron = Annotated[str, AfterValidator(_checked_cron)]
TimeZone = Annotated[str, AfterValidator(_checked_zone)]


class Automation(Spec):
    """What the daemon does by itself. Nothing here changes what is in a table."""

    enabled: bool = Field(
        default=False,
        description="Whether the daemon brings everything up to date by itself: after an edit of "
        "this file, and when shards land in the pool.",
    )
    stages: tuple[Stage, ...] = Field(
        default=STAGES,
        description="The stages that the daemon brings up to date where `enabled` is true; leave "
        "out those that cost too much to be started by an edit.",
    )
    schedules: dict[Stage, Cron] = Field(
        default={},
        description="When a stage is brought up to date, as a cron line: `captions: 0 2 * * *` is "
        "every night at two. These schedules are on; those of the other stages can be switched on "
        "in the UI.",
    )
    timezone: TimeZone = Field(default="UTC", description="The time zone of the cron lines.")
    partitions_per_run: int = Field(
        default=64,
        gt=0,
        le=100_000,
        description="The most partitions that one run of a backfill takes.",
    )
    max_attempts: int = Field(
        default=3,
        gt=0,
        le=1_000,
        description="How often the daemon launches one partition that keeps failing; an edit that "
        "changes it restarts the count.",
    )
    interval_seconds: int = Field(
        default=60,
        gt=0,
        le=31_536_000,
        description="Seconds between two looks at the pool and at what is out of date.",
    )
