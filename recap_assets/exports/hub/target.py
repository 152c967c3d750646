"""Where on the Hub an export goes."""

import re
from dataclasses import dataclass
from typing import Self

from recap_assets.untrusted.errors import RecapError
from recap_assets.untrusted.showing import one_line

BRANCH = "main"
FORM = "hf://datasets/OWNER/NAME, with @BRANCH behind it where it is not main"

_PLACE = re.compile(
    r"hf://datasets/([\w.-]{1,96}/[\w.-]{1,96})(?:@([\w.-]{1,100}(?:/[\w.-]{1,100}){0,3}))?/?",
    re.ASCII,
)
_OTHER_KIND = re.compile(r"hf://(models|spaces|buckets|kernels)/", re.ASCII)


class HubError(RecapError, RuntimeError):
    """An export cannot be pushed to the Hub; the text says why and what to do."""


@dataclass(frozen=True)
class Target:
    """A branch of a dataset on the Hub.

    Attributes:
        repo: Owner and name.
        branch: The branch that is written to.
    """

    repo: str
    branch: str = BRANCH

    @classmethod
    def parse(cls, text: str) -> Self:
        """The target that a user names.

        Raises:
            HubError: It names none, or a repository of another kind.
        """
        if found := _PLACE.fullmatch(text):
            return cls(found[1], found[2] or BRANCH)
        shown = one_line(text, 200)
        if other := _OTHER_KIND.match(text):
            msg = f"{shown} is one of the Hub's {other[1]}, and an export is a dataset: name {FORM}"
            raise HubError(msg)
        msg = f"{shown} names no dataset of the Hub: name {FORM}"
        raise HubError(msg)

    def __str__(self) -> str:
        at = "" if self.branch == BRANCH else f"@{self.branch}"
        return f"hf://datasets/{self.repo}{at}"
