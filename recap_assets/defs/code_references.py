"""Where an asset is written: the experiment file, and the code that computes it."""

from functools import partial
from pathlib import Path
from types import CodeType

import dagster as dg

from recap_assets.graph.node import Node

REFERENCES = "dagster/code_references"


def code_references(node: Node, file: Path | None) -> dict[str, dg.CodeReferencesMetadataValue]:
    """Links that Dagster's UI shows as "View in code" where an editor opens local files.

    Args:
        node: The asset.
        file: The experiment file; None where there is none.
    """
    found = [] if file is None else [_to(str(file.absolute()), None, file.name)]
    if (code := _code_of(node.compute)) is not None:
        label = ".".join(Path(code.co_filename).with_suffix("").parts[-3:])
        found.append(_to(code.co_filename, code.co_firstlineno, label))
    return {REFERENCES: dg.CodeReferencesMetadataValue(code_references=[*found])} if found else {}


def _to(path: str, line: int | None, label: str) -> dg.LocalFileCodeReference:
    return dg.LocalFileCodeReference(file_path=path, line_number=line, label=label)


def _code_of(function: object) -> CodeType | None:
    """The code of a function, a method, or what a partial calls."""
    while isinstance(function, partial):
        function = function.func
    code = getattr(function, "__code__", None)
    return code if isinstance(code, CodeType) else None
