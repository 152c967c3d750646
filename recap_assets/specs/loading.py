"""Reading an experiment file: YAML in, a checked `Experiment` out, errors a person can act on."""

import difflib
import os
import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from recap_assets.specs.experiment import Experiment

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
SHIPPED = Path(str(resources.files("recap_assets") / "experiments"))
DEFAULT = SHIPPED / "demo.yaml"


class ExperimentError(ValueError):
    """The experiment file cannot be used. The text says where, what and what is allowed."""


def load_experiment(path: str | Path, overrides: Iterable[str] = ()) -> Experiment:
    """Read and check an experiment file.

    Args:
        path: The YAML file. `${NAME:-default}` in it is replaced from the environment.
        overrides: `key.path=value` settings laid over the file; the value is parsed as YAML.

    Raises:
        ExperimentError: Naming the file, the key path, the bad value and what is allowed.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise ExperimentError(msg) from error
    try:
        content = yaml.load(_expand(text, path), Loader=_UniqueKeyLoader)  # noqa: S506 - it is a SafeLoader
    except yaml.YAMLError as error:
        msg = f"{path}: not valid YAML: {error}"
        raise ExperimentError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path}: an experiment is a mapping of keys; see `recap init --stdout`"
        raise ExperimentError(msg)
    for setting in overrides:
        _override(content, setting)
    return parse_experiment(content, str(path))


def parse_experiment(content: dict[str, object], where: str = "experiment") -> Experiment:
    """Check a parsed experiment; `where` names it in errors."""
    try:
        return Experiment.model_validate(content)
    except ValidationError as error:
        lines = [f"{where}: {_line(detail)}" for detail in error.errors()]
        raise ExperimentError("\n".join(dict.fromkeys(lines))) from error


def _line(detail: ErrorDetails) -> str:
    # Union members appear in pydantic's path as tags and type names; a reader knows only keys.
    key_path = ".".join(str(part) for part in detail["loc"] if not _is_union_tag(part))
    value = "" if isinstance(detail["input"], dict | list) else f" (it is {detail['input']!r})"
    message = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "extra_forbidden":
        message = f"unknown key{_suggestion(str(detail['loc'][-1]))}"
        value = ""
    elif detail["type"] == "value_error":
        value = ""
    return f"{key_path}: {message}{value}" if key_path else message


_UNION_TAGS = frozenset(
    "embedded webdataset folder transformers open_clip clip captioner small top best at_least in_set "
    "all any without float str".split()
)


def _is_union_tag(part: str | int) -> bool:
    # A tag is also a key inside conditions (`where.top.top`): dropping both copies would lose it.
    return isinstance(part, str) and (part.startswith(("function-", "constrained-", "tagged-")))


def _suggestion(key: str) -> str:
    near = difflib.get_close_matches(key, _known_keys(Experiment.model_json_schema()), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _known_keys(schema: object) -> set[str]:
    keys: set[str] = set()
    if isinstance(schema, dict):
        keys |= set(schema.get("properties", {}))
        for value in schema.values():
            keys |= _known_keys(value)
    elif isinstance(schema, list):
        for value in schema:
            keys |= _known_keys(value)
    return keys


class _UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader keeps the last of two equal keys silently; here they are an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:  # noqa: FBT001, FBT002
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                problem = f"the key {key!r} is there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _expand(text: str, path: Path) -> str:
    def value(match: re.Match[str]) -> str:
        name, default = match.groups()
        found = os.environ.get(name, default)
        if found is None:
            msg = f"{path}: the environment has no {name}; set it or write ${{{name}:-default}}"
            raise ExperimentError(msg)
        return found

    return _VARIABLE.sub(value, text)


def _override(content: dict[str, object], setting: str) -> None:
    key_path, separator, text = setting.partition("=")
    if not separator:
        msg = f"--set {setting}: write key.path=value"
        raise ExperimentError(msg)
    *parents, last = key_path.split(".")
    at: object = content
    for key in parents:
        at = at.setdefault(key, {}) if isinstance(at, dict) else None
    if not isinstance(at, dict):
        msg = f"--set {setting}: {key_path} does not lead to a mapping"
        raise ExperimentError(msg)
    at[last] = yaml.safe_load(text)
