"""Who answers for the results of an experiment, as Dagster's UI shows it."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

_OWNER = re.compile(
    r"team:[A-Za-z0-9_. -]{1,64}|[^@\s]{1,64}@[A-Za-z0-9-]{1,64}(\.[A-Za-z0-9-]{1,64}){1,8}"
)


def _checked(owner: str) -> str:
    if _OWNER.fullmatch(owner) is None:
        msg = "an owner is an email address, or a team such as `team:data`"
        raise ValueError(msg)
    return owner


Owner = Annotated[str, AfterValidator(_checked)]
Owners = Annotated[
    tuple[Owner, ...],
    Field(
        max_length=20,
        description="Who answers for the results: email addresses, or teams such as `team:data`. "
        "Dagster's UI shows them at every asset.",
    ),
]
