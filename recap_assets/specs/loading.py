"""Reading an experiment file: YAML in, a checked `Experiment` out, errors a person can act on."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TypeGuard

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from recap_assets.specs.experiment import FULL, Experiment
from recap_assets.specs.file_places import located
from recap_assets.specs.kinds import NO_KIND, UNKNOWN
from recap_assets.specs.searches import Search, Settings
from recap_assets.specs.setting_keys import SettingKeyError, set_at
from recap_assets.specs.sweeps import (
    SECTIONS,
    SweepError,
    expanded,
    read_sweeps,
    with_scorers_named,
)
from recap_assets.specs.yaml_lines import RULES, Source
from recap_assets.specs.yaml_text import MAX_BYTES, MAX_DEPTH, parse_yaml, read_yaml
from recap_assets.untrusted.errors import RecapError, UntrustedError
from recap_assets.untrusted.files import read_bounded
from recap_assets.untrusted.showing import one_line

SHIPPED = Path(str(resources.files("recap_assets") / "experiments"))
DEMO = SHIPPED / "demo.yaml"
OWN = Path("experiment.yaml")
"""What `recap init` writes, and what is taken where no file is named."""
MAX_VALUE_SHOWN = 200
MAX_LINE = 4_000
"""Characters of a wrong value, and of what is said of it."""


NO_FILE = Source("experiment")


class ExperimentError(RecapError, ValueError):
    """The experiment file cannot be used. The text says where, what and what is allowed."""


class UnknownKindError(ExperimentError):
    """The file names kinds that no installed package gives.

    Attributes:
        experiment: The experiment's name.
        words: Family and word of each.
    """

    def __init__(self, text: str, experiment: str, words: Sequence[tuple[str, str]]) -> None:
        super().__init__(text)
        self.experiment, self.words = experiment, words


def load_experiment(path: str | Path, overrides: Iterable[str] = ()) -> Experiment:
    """Read and check an experiment file.

    Args:
        path: The YAML file; relative places in it are below its folder, those of `overrides` below
            the working folder. `${NAME:-default}` in a value is replaced from the environment;
            `$${NAME}` is the text `${NAME}`. Where its `size` is not `full`, the settings of that
            size are laid over the file first, and the name ends in it.
        overrides: `key.path=value` settings laid over the file; the value is parsed as YAML.

    Raises:
        ExperimentError: Naming the file, the key path, the bad value and what is allowed.
    """
    path = Path(path)
    content = read_file(path)
    settings = [_parsed(setting) for setting in overrides]
    chosen = {key: value for key, value, _ in settings}
    of_size = list(_of_size(content, chosen, path))
    for key, value, shown in of_size:
        if value is None:
            _remove(content, key)
        else:
            _override(content, key, value, shown)
    for key, value, shown in settings:
        _override(content, key, value, shown)
    if of_size:
        # Nothing is left to choose: the experiment is of this size, under a name of its own.
        content |= {"size": FULL, "sizes": {}}
    laid_over = tuple(key for key, _, _ in [*of_size, *settings])
    experiment = _with_sweeps(content, Source(str(path), laid_over))
    return located(experiment, path.parent.resolve(), {key for key, _, _ in settings})


def _with_sweeps(content: dict[str, object], where: Source) -> Experiment:
    """The experiment, with the variants that its sweeps add."""
    if not content.get("sweep"):
        return parse_experiment(content, where)
    try:
        sweeps = read_sweeps(content["sweep"])
        content = with_scorers_named(content)
        # A recipe may expect something of a variant, which is not there yet.
        plain = parse_experiment({**content, "sweep": {}, "recipe": None}, where)
        parts = {name: getattr(plain, name) for name in SECTIONS}
        return parse_experiment(expanded(content, parts, sweeps), where)
    except SweepError as error:
        msg = f"{where}: {error}"
        raise ExperimentError(msg) from error


Setting = tuple[str, object, str]
"""Key path, value, and how it was written."""


def _of_size(
    content: dict[str, object], chosen: Mapping[str, object], path: Path
) -> Iterator[Setting]:
    """The settings of the size that is asked for, and the name that goes with it."""
    size, sizes = chosen.get("size", content.get("size", FULL)), content.get("sizes", {})
    if size == FULL or not isinstance(size, str):
        return
    if not _is_mapping(sizes) or not _is_mapping(settings := sizes.get(size)):
        known = ", ".join([FULL, *(sizes if _is_mapping(sizes) else ())])
        msg = f"{path}: size: there is no {one_line(size, 80)!r}; known are {known}"
        raise ExperimentError(msg)
    yield "name", f"{content.get('name', '')}_{size}", f"sizes.{size}"
    yield from ((key, value, f"sizes.{size}.{key}") for key, value in settings.items())


def read_file(path: Path) -> dict[str, object]:
    """The keys and values of an experiment file, unchecked.

    Raises:
        ExperimentError: It cannot be read, or is no YAML mapping.
    """
    try:
        content = read_yaml(read_bounded(path, MAX_BYTES))
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise ExperimentError(msg) from error
    except UntrustedError as error:
        msg = f"{path}: {error}"
        raise ExperimentError(msg) from error
    if not _is_mapping(content):
        msg = f"{path}: an experiment is a mapping of keys; see `recap init --stdout`"
        raise ExperimentError(msg)
    return content


def parse_experiment(content: dict[str, object], where: Source = NO_FILE) -> Experiment:
    """Check a parsed experiment; `where` names it in errors.

    Raises:
        ExperimentError: As `load_experiment`.
    """
    try:
        experiment = Experiment.model_validate(content)
    except ValidationError as error:
        text = "\n".join(_lines(content, error.errors(), where))
        if words := [word for detail in error.errors() for word in _unknown_words(detail)]:
            raise UnknownKindError(text, str(content.get("name", "")), words) from error
        raise ExperimentError(text) from error
    for name, search in experiment.searches.items():
        _refuse_unfit(experiment, f"{where}: searches.{name}.over", search)
    return experiment


def _refuse_unfit(experiment: Experiment, where: str, search: Search) -> None:
    """Refuse a search of which neither the first values make a mix nor the last."""
    first, last = search.ends
    try:
        with_settings(experiment, search, first)
    except ExperimentError as error:
        try:
            with_settings(experiment, search, last)
        except ExperimentError:
            msg = f"{where}: with its first values: {error}"
            raise ExperimentError(msg) from error


def with_settings(experiment: Experiment, search: Search, settings: Settings) -> Experiment:
    """The experiment with other settings of a search's mix, and without searches and a recipe.

    Raises:
        ExperimentError: They make no mix, or one that does not fit the experiment.
    """
    content = experiment.model_dump(mode="json")
    # Without what is not there: a setting below it can be written then.
    mix = experiment.mixes[search.mix].model_dump(mode="json", exclude_none=True)
    part = {**mix, "leave_one_source_out": False}
    try:
        for key, value in zip(search.keys, settings.values(), strict=True):
            set_at(part, key.keys, value, key.path)
    except SettingKeyError as error:
        raise ExperimentError(str(error)) from error
    mixes = {**content["mixes"], search.mix: part}
    return parse_experiment(
        {**content, "mixes": mixes, "searches": {}, "recipe": None}, Source("trial")
    )


def _unknown_words(detail: ErrorDetails) -> Iterator[tuple[str, str]]:
    """Family and word of a kind that nobody gives, where that is what is wrong."""
    if detail["type"] == UNKNOWN:
        context = detail.get("ctx", {})
        yield from ((str(context["family"]), str(word)) for word in context["words"])


NEAR_BESIDE = 0.8
"""A key that the file has beside the wrong one is meant, rather than one of other parts."""
_WRONG_BRANCH = frozenset(
    {"model_type", "float_type", "string_type", "dict_type", "missing", NO_KIND}
)
"""What the branches of a union say that the value was not meant for."""


def _lines(content: object, details: list[ErrorDetails], where: Source) -> list[str]:
    placed = [(_key_path(content, detail["loc"]), detail) for detail in details]
    # A mapping whose parts were refused is also called too short.
    placed = [(p, d) for p, d in placed if d["type"] != "too_short" or not _deeper(placed, p)]
    meant = {p for p, d in placed if d["type"] not in _WRONG_BRANCH}
    meaningful = [
        (p, d)
        for p, d in placed
        if d["type"] not in _WRONG_BRANCH or (p not in meant and not _deeper(placed, p))
    ]
    lines: list[str] = []
    for path, detail in meaningful or placed:
        line = _line(".".join(path), detail, _beside(content, path))
        # What is wrong between parts is said by the experiment, whose message begins with the key.
        lines.append(f"{where.at(path or line.partition(':')[0].split('.'))}: {line}")
    return list(dict.fromkeys(lines))


def _deeper(placed: list[tuple[tuple[str, ...], ErrorDetails]], path: tuple[str, ...]) -> bool:
    return any(len(other) > len(path) and other[: len(path)] == path for other, _ in placed)


def _is_mapping(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list)


def _key_path(content: object, loc: tuple[str | int, ...]) -> tuple[str, ...]:
    """The keys of the file that lead to the value; pydantic's own also names union branches."""
    kept: list[str] = []
    at = content
    for i, part in enumerate(loc):
        if _is_mapping(at) and part in at:
            if _is_word(at, loc[i : i + 2]):
                continue
            at = at[str(part)]
        elif _is_list(at) and isinstance(part, int) and part < len(at):
            at = at[part]
        elif _is_list(at) and part == RULES and i < len(loc) - 1:
            pass  # a mix may be its list of rules, which are called the same then
        elif i < len(loc) - 1 or not _is_mapping(at) or (i and _is_branch(part, loc[i - 1])):
            continue
        kept.append(str(part))
    return tuple(kept)


def _is_word(at: dict[str, object], parts: tuple[str | int, ...]) -> bool:
    """Whether the first of two parts is a kind's word, which is also its first field's name."""
    below = at[str(parts[0])]
    found_below = _is_mapping(below) and parts[-1] in below
    return len(parts) == 2 and parts[1] in at and not found_below


def _is_branch(part: str | int, before: str | int) -> bool:
    """Whether pydantic means a branch of a union: a type, or a kind's word before its field."""
    return part == before or not str(part).isidentifier()


def _beside(content: object, path: tuple[str, ...]) -> list[str]:
    """The keys that the file has beside the last one of a path."""
    at = content
    for part in path[:-1]:
        if _is_mapping(at) and part in at:
            at = at[part]
        elif _is_list(at) and part.isdecimal():
            at = at[int(part)]
        elif part != RULES:
            return []
    return [key for key in at if key not in path[-1:]] if _is_mapping(at) else []


_NO_ENTRIES = frozenset({"dict_type", "list_type", "model_attributes_type", "model_type"})
"""What is said of a null where entries must be."""


def _line(key_path: str, detail: ErrorDetails, beside: Sequence[str] = ()) -> str:
    given: object = detail["input"]
    shown = one_line(repr(given), MAX_VALUE_SHOWN)
    value = "" if isinstance(given, dict | list) else f" (it is {shown})"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        message, value = f"unknown key{_suggestion(str(detail['loc'][-1]), beside)}", ""
    elif detail["type"] == UNKNOWN:
        value = ""
    elif given is None and detail["type"] in _NO_ENTRIES:
        message, value = "it has no entries", ""
    elif detail["type"] == "union_tag_not_found":
        message = "the key `kind` is missing"
    elif detail["type"] == "string_type" and isinstance(given, bool | int | float):
        message += "; put it in quotes"
    elif detail["type"] == "value_error":
        value = ""
    line = f"{key_path}: {message}{value}" if key_path else message
    return one_line(line, MAX_LINE)


def _suggestion(key: str, beside: Sequence[str]) -> str:
    known = _known_keys(Experiment.model_json_schema())
    if key in known:
        return " here; other parts have it"
    near = difflib.get_close_matches(key, beside, n=1, cutoff=NEAR_BESIDE)
    near = near or difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _known_keys(schema: object) -> set[str]:
    keys: set[str] = set()
    if _is_mapping(schema):
        if _is_mapping(properties := schema.get("properties")):
            keys |= set(properties)
        for value in schema.values():
            keys |= _known_keys(value)
    elif _is_list(schema):
        for value in schema:
            keys |= _known_keys(value)
    return keys


def _parsed(setting: str) -> Setting:
    key_path, separator, text = setting.partition("=")
    if not separator:
        msg = f"--set {setting}: write key.path=value"
        raise ExperimentError(msg)
    try:
        return key_path, parse_yaml(text), f"--set {setting}"
    except UntrustedError as error:
        msg = f"--set {setting}: {error}"
        raise ExperimentError(msg) from error


def _override(content: dict[str, object], key_path: str, value: object, shown: str) -> None:
    *parents, last = key_path.split(".")
    if len(parents) >= MAX_DEPTH:
        msg = f"{one_line(shown, 200)}: an experiment has no key of {len(parents) + 1} parts"
        raise ExperimentError(msg)
    at: object = content
    for key in parents:
        at = _entered(at, key, shown)
    if _is_list(at):
        at[_place(at, last, shown)] = value
    elif _is_mapping(at):
        at[last] = value
    else:
        msg = f"{shown}: what holds {last} is a single value; it has no keys"
        raise ExperimentError(msg)


def _remove(content: dict[str, object], key_path: str) -> None:
    """Take a named part out; one that is not there is none to take."""
    *parents, last = key_path.split(".")
    at: object = content
    for key in parents:
        at = at.get(key) if _is_mapping(at) else None
    if _is_mapping(at):
        at.pop(last, None)


def _entered(at: object, key: str, shown: str) -> object:
    if _is_list(at) and key == RULES:
        return at
    if _is_list(at):
        return at[_place(at, key, shown)]
    if _is_mapping(at):
        return at.setdefault(key, {})
    msg = f"{shown}: what holds {key} is a single value; it has no keys"
    raise ExperimentError(msg)


def _place(at: list[object], key: str, shown: str) -> int:
    if key.isdecimal() and int(key[:9]) < len(at) and len(key) <= 9:
        return int(key)
    msg = f"{shown}: {key} is no place in a list of {len(at)}; places count from 0"
    raise ExperimentError(msg)
