"""A model that many tests need is trained once in a process, and its files are copied.

A fingerprint names everything that decides a model, so the same fingerprint is the same files.
Only `Bench.build` of tests.tiny copies, and only where there is no model yet. Tests of training
itself call `build_partition` or the node's `compute`, and train.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from recap_assets.graph.content import StoredFiles, files_below
from recap_assets.graph.node import Node, Outcome, Rows, Step
from recap_assets.storage.files import replaced_directory
from recap_assets.training.models.assets import STAGE

MOST_MODELS = 60
"""Tiny ones, of some hundred kilobytes; the oldest goes first."""


@dataclass(frozen=True)
class Trained:
    """A model's files by name, and what training it gave."""

    files: Mapping[str, bytes]
    outcome: Outcome

    def put(self, folder: Path) -> Outcome:
        """Put the files in place, as training does."""
        with replaced_directory(folder, listed=True) as new:
            for name, content in self.files.items():
                path = new / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        return self.outcome


_trained: dict[tuple[str, str], Trained] = {}


def trained_once(node: Node) -> Node:
    """The node; a model that was trained before in this process is copied."""
    content = node.content
    if node.stage != STAGE or not isinstance(content, StoredFiles):
        return node
    folder = content.root("")

    def compute(step: Step) -> Rows | Outcome:
        known = _trained.get((node.key, step.fingerprint))
        if known is not None and not folder.exists():
            return known.put(folder)
        outcome = node.compute(step)
        if isinstance(outcome, Outcome):
            _keep(node.key, step.fingerprint, folder, outcome)
        return outcome

    return replace(node, compute=compute)


def _keep(key: str, fingerprint: str, folder: Path, outcome: Outcome) -> None:
    files = {str(path.relative_to(folder)): path.read_bytes() for path in files_below(folder)}
    _trained[key, fingerprint] = Trained(files, outcome)
    if len(_trained) > MOST_MODELS:
        del _trained[next(iter(_trained))]
