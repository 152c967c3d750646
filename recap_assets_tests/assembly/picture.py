"""The picture of the graph in docs/architecture.md, drawn from the real one.

`python -m recap_assets_tests.assembly.picture` draws it anew.
"""

import re
import tempfile
from pathlib import Path

from recap_assets.assembly.graph import build_graph
from recap_assets.graph.project import Project
from recap_assets.storage.workspace import Workspace
from recap_assets_tests.assembly.decisions import every_kind

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"
DRAWING = re.compile(r"(?<=```mermaid\n).*?(?=```)", re.DOTALL)

Edges = dict[str, set[str]]


def picture(folder: Path) -> str:
    """Mermaid's text: an arrow from each artefact to those that read it and nothing between.

    What would close a circle is left out: reranked captions read the scores of captions.

    Args:
        folder: An empty folder, for workspaces.
    """
    reads: Edges = {}
    for experiment in every_kind():
        project = Project(experiment, Workspace(folder, experiment.name))
        for node in build_graph(project).nodes.values():
            name = _artefact(node.key)
            above = {_artefact(dependency.asset) for dependency in node.dependencies} - {name}
            new = {one for one in above if name not in _all_above(reads, one)}
            reads.setdefault(name, set()).update(new)
    arrows = sorted((above, name) for name in reads for above in _nearest(reads, name))
    return "".join(["flowchart LR\n", *(f"  {above} --> {name}\n" for above, name in arrows)])


def _artefact(key: str) -> str:
    return key.partition("/")[0]


def _nearest(reads: Edges, name: str) -> set[str]:
    """What it reads, less what it reads through something else as well."""
    return reads[name].difference(*(_all_above(reads, one) for one in reads[name]))


def _all_above(reads: Edges, name: str) -> set[str]:
    return reads[name].union(*(_all_above(reads, one) for one in reads[name]))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        drawn = picture(Path(scratch))
        PAGE.write_text(DRAWING.sub(lambda _: drawn, PAGE.read_text()))
