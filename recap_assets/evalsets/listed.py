"""Published lists of questions (JSON), and the folders of images that they name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

from recap_assets.evalsets.measuring import SetAside
from recap_assets.evalsets.webdatasets import MAX_MEMBER_BYTES, EvaluationSetError, SetFolder
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.json_text import parse_json
from recap_assets.untrusted.showing import one_line

MAX_LIST_BYTES = 64 * 2**20
MAX_NAME = 255
"""Characters of a file's name."""

Record = Mapping[str, object]


@dataclass(frozen=True)
class ImageFolder:
    """A folder of images, which lists name by their files."""

    folder: SetFolder

    @classmethod
    def of(cls, path: str) -> "ImageFolder":
        """The folder at a local path or an fsspec URL."""
        return cls(SetFolder.of(path))

    def picture(self, name: object, where: str) -> "Picture":
        """The image of a name from a list; whether it can be read shows when it is."""
        return Picture(self.folder, name, where)


@dataclass(frozen=True)
class Picture:
    """One image that a list names.

    Attributes:
        folder: Where it is.
        name: The name of its file, as the list has it.
        where: What names it, for messages.
    """

    folder: SetFolder
    name: object
    where: str

    @property
    def image(self) -> bytes:
        """Bytes of its file.

        Raises:
            EvaluationSetError: The name is none of a file of the folder, or that is missing, too
                large or no file.
        """
        name = self.name
        if not isinstance(name, str) or not _is_plain(name):
            msg = f"{self.where}: {one_line(repr(name), 100)} is no name of a file"
            raise EvaluationSetError(msg)
        try:
            return self.folder.content(name, MAX_MEMBER_BYTES)
        except OSError as error:
            msg = f"{self.where}: {one_line(name, 100)} cannot be read: {error.strerror}"
            raise EvaluationSetError(msg) from error


def records_of(folder: SetFolder, name: str, aside: SetAside) -> Iterator[tuple[str, Record]]:
    """Where each record of a list is, and the record: a JSON list, or an object of them by number.

    Raises:
        EvaluationSetError: The file cannot be read as one.
    """
    try:
        value = parse_json(folder.content(name, MAX_LIST_BYTES), MAX_LIST_BYTES)
    except UntrustedError as error:
        msg = f"{folder.path}: {name} cannot be read: {error}"
        raise EvaluationSetError(msg) from error
    if isinstance(value, dict):
        value = list(cast("dict[str, object]", value).values())
    if not isinstance(value, list):
        msg = f"{folder.path}: {name} is neither a list nor an object of questions"
        raise EvaluationSetError(msg)
    for number, record in enumerate(cast("list[object]", value)):
        where = f"{folder.path}/{name}, question {number}"
        if isinstance(record, dict):
            yield where, cast("Record", record)
        else:
            aside.add("question_not_readable", f"{where}: it is no object")


def _is_plain(name: str) -> bool:
    """Whether it names a file of the folder itself, and no other place."""
    parts_none = not set(name) & {"/", "\\", "\0"}
    return parts_none and 0 < len(name) <= MAX_NAME and name not in {".", ".."}
