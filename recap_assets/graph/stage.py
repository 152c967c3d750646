"""What a stage is written with: nodes, where their content is, the project that they are of."""

from recap_assets.graph.checks import Check, Verdict
from recap_assets.graph.content import StoredFiles, StoredRows, files_below
from recap_assets.graph.node import Dependency, ForAll, Leaving, Node, Outcome, Place, Rows, Step
from recap_assets.graph.outside import (
    Outside,
    both,
    content_outside,
    contents_version,
    metadata_outside,
    outside_of,
)
from recap_assets.graph.project import Project
from recap_assets.graph.texts import first_texts_read, texts_read

__all__ = [
    "Check",
    "Dependency",
    "ForAll",
    "Leaving",
    "Node",
    "Outcome",
    "Outside",
    "Place",
    "Project",
    "Rows",
    "Step",
    "StoredFiles",
    "StoredRows",
    "Verdict",
    "both",
    "content_outside",
    "contents_version",
    "files_below",
    "first_texts_read",
    "metadata_outside",
    "outside_of",
    "texts_read",
]
