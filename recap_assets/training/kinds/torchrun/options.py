"""What an experiment file may give torchrun: where the machines meet, and nothing that runs.

torchrun starts whatever program it is given, and writes logs wherever it is instructed to. An
experiment file and a receipt pass from hand to hand, so its options are taken by list.
"""

import re
from collections.abc import Iterator, Sequence

from recap_assets.untrusted.showing import one_line

_NUMBER = r"\d{1,9}"
_ADDRESS = r"[A-Za-z0-9\[:][A-Za-z0-9._:\[\]-]{0,254}"
_WORD = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"
_FLAG = ""

OPTIONS = {
    "standalone": _FLAG,
    # A range would let the number of processes change, and with it the batch that the recipe fixes.
    "nnodes": r"[1-9]\d{0,8}",
    "node-rank": _NUMBER,
    "master-addr": _ADDRESS,
    "master-port": _NUMBER,
    "local-addr": _ADDRESS,
    "rdzv-backend": "c10d|static|etcd|etcd-v2",
    "rdzv-endpoint": _ADDRESS,
    "rdzv-id": _WORD,
    "rdzv-conf": rf"\w+={_WORD}(,\w+={_WORD})*",
    "max-restarts": _NUMBER,
    "monitor-interval": r"\d{1,6}(\.\d{1,6})?",
}
"""Options and what their values look like; underscores may stand for the dashes."""


def check_torchrun_arguments(arguments: Sequence[str]) -> None:
    """Refuse what is not in `OPTIONS`, and values of another form than stated there.

    Raises:
        ValueError: Naming the argument and the list.
    """
    for given, name, value in _paired(arguments):
        form = OPTIONS.get(name)
        if form is None:
            msg = f"{one_line(given, 80)!r} is not taken here; torchrun may be given {_known()}"
            raise ValueError(msg)
        if (value is None) != (form == _FLAG) or not re.fullmatch(form, value or ""):
            said = "nothing" if value is None else repr(one_line(value, 80))
            msg = f"--{name} takes {_expected(form)}; it is given {said}"
            raise ValueError(msg)


def value_of(arguments: Sequence[str], name: str) -> str | None:
    """The value that an option has in the end; None where it is not given."""
    given = [value for _, option, value in _paired(arguments) if option == name]
    return given[-1] if given else None


def _paired(arguments: Sequence[str]) -> Iterator[tuple[str, str, str | None]]:
    """Each argument as it is given, its option's name, and its value: `--x=1` or `--x`, `1`."""
    rest = iter(arguments)
    for given in rest:
        option, separator, value = given.partition("=")
        name = option.removeprefix("--").replace("_", "-") if option.startswith("--") else given
        if separator or OPTIONS.get(name, _FLAG) == _FLAG:
            yield given, name, value if separator else None
        else:
            yield given, name, next(rest, None)


def _known() -> str:
    return ", ".join(f"--{name}" for name in OPTIONS)


def _expected(form: str) -> str:
    return f"a value of the form {form}" if form else "no value"
