"""YAML as people mean it: what is written is what is read.

YAML 1.1, which PyYAML reads, takes `no` for false, `010` for 8, `1:30` for 90 and `2001-01-01` for
a date. Here YAML 1.2's core schema holds: true and false, null, decimal numbers; everything else is
text. `${NAME}` and `${NAME:-default}` stand for a value of the environment inside of a value: one
in a comment asks for nothing, and no value becomes more than one value. `$${NAME}` is the text
`${NAME}`: before such braces, two dollars stand for one.
"""

import os
import re
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import Any

import yaml

from recap_assets.untrusted.decoding import decode_text
from recap_assets.untrusted.errors import UntrustedError
from recap_assets.untrusted.showing import one_line

MAX_BYTES = 2**20
"""Of an experiment file; ours have 10 kB."""

MAX_VALUES = 100_000
"""Keys and values, counted as often as an alias repeats them."""

MAX_DEPTH = 64
"""Lists and mappings in each other; an experiment has about eight."""

_BRACES = r"\{\w+(?::-[^}]*)?\}"
VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
"""What is filled in from the environment."""

# Variables are set aside under a mark of such characters while YAML is parsed, and so is the
# first of them where a text has it.
_OPEN, _CLOSE = "\ue000", "\ue001"
_MARK = re.compile(f"{_OPEN}(\\d+){_CLOSE}")
_DOLLARS = rf"(?<!\$)(?:\$\$)+(?=\$?{_BRACES})"
_SET_ASIDE = re.compile(f"{_DOLLARS}|{VARIABLE.pattern}|{_OPEN}")


def read_yaml(data: bytes) -> object:
    """The value of a YAML file.

    Raises:
        UntrustedError: It is no UTF-8 or no YAML, larger, deeper or longer than the bounds, has a
            key twice or one that is no text, or the environment lacks a variable.
    """
    if len(data) > MAX_BYTES:
        msg = f"it has {len(data):,} bytes; an experiment file has at most {MAX_BYTES:,}"
        raise UntrustedError(msg)
    return parse_yaml(_utf8(data))


def parse_yaml(text: str) -> object:
    """The value of a YAML text; raises as `read_yaml` does."""
    variables: list[re.Match[str]] = []
    marked = _SET_ASIDE.sub(partial(_set_aside, variables), text)
    try:
        return _value(marked, variables)
    except yaml.YAMLError as error:
        msg = f"not valid YAML: {_as_written(str(error), variables)}"
        raise UntrustedError(msg) from error
    except (RecursionError, ValueError) as error:
        if isinstance(error, UntrustedError):
            raise
        nests = isinstance(error, RecursionError)
        msg = f"not valid YAML: {f'deeper than {MAX_DEPTH} levels' if nests else error}"
        raise UntrustedError(msg) from error


def node_of(data: bytes) -> yaml.Node | None:
    """The nodes of a YAML file, which know their lines; None where it holds nothing.

    Raises:
        UntrustedError: It is no UTF-8, no YAML, or exceeds the bounds.
    """
    variables: list[re.Match[str]] = []
    loader = _Loader(_SET_ASIDE.sub(partial(_set_aside, variables), _utf8(data)))
    try:
        if (node := loader.get_single_node()) is not None:
            _check_bounds(node)
    except (yaml.YAMLError, RecursionError) as error:
        msg = f"not valid YAML: {error}"
        raise UntrustedError(msg) from error
    finally:
        loader.dispose()  # type: ignore[reportUnknownMemberType]
    return node


def _value(marked: str, variables: list[re.Match[str]]) -> object:
    loader = _Loader(marked)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_bounds(node)
        for one in _nodes(node):
            _check_tag(loader, one)
            if isinstance(one, yaml.ScalarNode):
                _put_back(loader, one, variables)
        return loader.construct_document(node)  # type: ignore[reportUnknownMemberType, reportUnknownVariableType]
    finally:
        loader.dispose()  # type: ignore[reportUnknownMemberType]


def dump_yaml(value: object) -> str:
    r"""A YAML text that `parse_yaml` takes for the same value, as do readers of YAML 1.1.

    Nothing in it is filled in from the environment: `${NAME}` is written as `\x24{NAME}`.
    """
    text = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    # What counts as a variable depends on the whole file, where braces of one value may close those
    # of another. `_quoted` puts all texts with such beginnings between double quotes.
    return text.replace("${", "\\x24{")


def _utf8(data: bytes) -> str:
    text, encoding = decode_text(data)
    if text is None or encoding != "utf-8":
        like = f", it looks like {encoding}" if encoding else ""
        msg = f"it is not UTF-8{like}; save it as UTF-8"
        if encoding and encoding.startswith("utf-16"):
            msg += " (PowerShell: `recap init --stdout | Out-File -Encoding utf8 mine.yaml`)"
        raise UntrustedError(msg)
    return text


def _set_aside(variables: list[re.Match[str]], match: re.Match[str]) -> str:
    variables.append(match)
    return f"{_OPEN}{len(variables) - 1}{_CLOSE}"


def _as_written(text: str, variables: list[re.Match[str]]) -> str:
    plain = text.replace('  in "<unicode string>", line', "  at line")
    return _MARK.sub(lambda mark: variables[int(mark[1])][0], plain)


def _put_back(loader: "_Loader", scalar: yaml.ScalarNode, variables: list[re.Match[str]]) -> None:
    value = _MARK.sub(lambda mark: _of_environment(variables[int(mark[1])]), scalar.value)
    if value == scalar.value:
        return
    scalar.value = value
    if scalar.style is None:
        scalar.tag = loader.resolve(yaml.ScalarNode, value, (True, False))  # type: ignore[reportUnknownMemberType]


def _of_environment(variable: re.Match[str]) -> str:
    if variable[0] == _OPEN:
        return _OPEN
    if variable[1] is None:
        return variable[0][::2]
    name: str = variable[1]
    default: str | None = variable[2]
    found = os.environ.get(name, default)
    if found is None:
        msg = f"the environment has no {name}; set it or write ${{{name}:-default}}"
        raise UntrustedError(msg)
    return found


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _nodes(node: yaml.Node) -> Iterator[yaml.Node]:
    """Each node once, however many aliases lead to it."""
    seen: set[int] = set()
    todo = [node]
    while todo:
        at = todo.pop()
        if id(at) in seen:
            continue
        seen.add(id(at))
        yield at
        todo.extend(_children(at))


def _check_tag(loader: "_Loader", node: yaml.Node) -> None:
    """Refuse tags that say another kind than what is written: YAML's readers fail on some."""
    value = node.value if isinstance(node, yaml.ScalarNode) else None
    plain: str = loader.resolve(type(node), value, (True, False))  # type: ignore[reportUnknownMemberType]
    if node.tag not in (plain, f"{_TAGS}str" if value is not None else plain):
        shown = one_line(str(node.tag).replace(_TAGS, "!!"), 80)
        problem = f"the tag {shown} is none that is read; leave it out"
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _check_bounds(root: yaml.Node) -> None:
    """Refuse what grows without end through its aliases."""
    sizes: dict[int, int] = {}

    def size_of(node: yaml.Node, depth: int, above: frozenset[int]) -> int:
        if id(node) in above:
            msg = f"an alias holds itself,{node.start_mark}"
            raise UntrustedError(msg)
        if depth > MAX_DEPTH:
            msg = f"it nests deeper than {MAX_DEPTH} levels,{node.start_mark}"
            raise UntrustedError(msg)
        if id(node) not in sizes:
            parts = _children(node)
            inside = above | {id(node)} if parts else above
            sizes[id(node)] = 1 + sum(size_of(part, depth + 1, inside) for part in parts)
        return sizes[id(node)]

    if (size := size_of(root, 0, frozenset())) > MAX_VALUES:
        msg = f"with its aliases written out it has {size:,} values; at most {MAX_VALUES:,}"
        raise UntrustedError(msg)


_TAGS = "tag:yaml.org,2002:"
MERGE = f"{_TAGS}merge"


class _Loader(yaml.SafeLoader):
    """YAML 1.2's core schema, every key a text and there once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        construct: Callable[..., object] = self.construct_object  # type: ignore[reportUnknownMemberType]
        seen: set[object] = set()
        for key_node, _ in node.value:
            if key_node.tag == MERGE:
                continue
            written = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or not isinstance(
                key := construct(key_node, deep=True), str
            ):
                shown = f"the key {written}" if isinstance(written, str) else "a list as a key"
                problem = f"{shown} is no text; put it in quotes"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            if key in seen:
                problem = f"the key {key!r} is there twice"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9_]{0,30})$")
_FLOAT = re.compile(
    r"[-+]?(?:(?:\.[0-9]+|[0-9][0-9_]{0,30}\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+"
    r"|\.inf|\.Inf|\.INF)$|\.nan$|\.NaN$|\.NAN$"
)


class _Dumper(yaml.SafeDumper):
    """Puts in quotes what YAML 1.1 or 1.2 would take for anything but text."""


def _quoted(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = '"' if _TO_ESCAPE.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)  # type: ignore[reportUnknownMemberType]


# Line ends of YAML 1.1 would be folded into spaces between single quotes.
_TO_ESCAPE = re.compile(r"\$\{|[\x85\u2028\u2029]")
_Dumper.add_representer(str, _quoted)
_Loader.yaml_implicit_resolvers = {}
_RESOLVERS: tuple[tuple[str, re.Pattern[str], list[str]], ...] = (
    ("bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    ("int", _INTEGER, list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
    ("null", re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    ("merge", re.compile(r"<<$"), ["<"]),
)
for _tag, _pattern, _first in _RESOLVERS:
    for _kind in (_Loader, _Dumper):
        _kind.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, _first)  # type: ignore[reportUnknownMemberType]
