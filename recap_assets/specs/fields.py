"""What a field of a spec is, by its mark: whether it decides, or says where, how fast, how dear.

A field without a mark decides: a change of it rebuilds what rests on it. A mark stands in the
field's type, as in `batch_size: Annotated[int, Speed]`, and all that has to be known of a spec
follows from it: `Spec.decides`, `Spec.contents`, `Spec.public`.
"""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

_WORKING_FOLDER = Path()


class Mark(Enum):
    """What a field is that decides no result."""

    SPEED = "changes the speed and no result"
    ADDRESS = "a place whose content is looked at piece by piece; where that is decides nothing"
    SECRET = "names a right to something; is shown nowhere"  # noqa: S105 - words
    PRICE = "money"
    SHORTHAND = "fills in other fields, and those decide"
    PARTITIONS = "names partitions, each of which is a result of its own"
    ROWS = "says which rows there are, and an asset of its own finds them"
    WORDS = "is only read by people"


Speed = Mark.SPEED
Address = Mark.ADDRESS
Secret = Mark.SECRET
Price = Mark.PRICE
Shorthand = Mark.SHORTHAND
Partitions = Mark.PARTITIONS
Rows = Mark.ROWS
Words = Mark.WORDS


@dataclass(frozen=True)
class Content:
    """A file or folder of this machine: its bytes decide, and the place where it is does not.

    Attributes:
        names: Values that are no place but a name of something that comes with a library.
        or_name: Whether a value that is no place is a name: of a model on a hub, or a tag.
        prefix: What a place must begin with, where it must.
    """

    names: tuple[str, ...] = ()
    or_name: bool = False
    prefix: str = ""

    def place(self, value: object, folder: Path = _WORKING_FOLDER) -> Path | None:
        """The file or folder that a field's value names, below `folder` where it is relative.

        None where it names none.
        """
        if not isinstance(value, str) or value in self.names or not value.startswith(self.prefix):
            return None
        path = folder / value.removeprefix(self.prefix)
        is_place = not self.or_name or bool(self.prefix) or _is_a_path(value) or path.exists()
        return path if is_place else None


def _is_a_path(value: str) -> bool:
    # A hub id has one slash and no dot in front, so these are none, whether they exist or not.
    return value.startswith(("/", "~", "./", "../"))


LocalModel = Content(or_name=True)
"""A file or folder of a model, or its name on a hub, or a tag."""

LocalDir = Content(or_name=True, prefix="local-dir:")
"""A folder as open_clip names it, or one of its models."""

AnyMark = Mark | Content
