"""The asset of a source that is made of other texts of an image, without a model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.previews import preview_markdown
from recap_assets.artefacts.table import count_rejects, is_usable
from recap_assets.captions.assets import captions_content, captions_not_empty
from recap_assets.captions.kind import CaptionSource
from recap_assets.graph.node import Dependency, Node, Rows, Step
from recap_assets.graph.project import Project
from recap_assets.specs.base import deciding

STAGE = "captions"
SECONDS = 0.3

Facts = Mapping[str, str | int | float]


@dataclass(frozen=True)
class Derived:
    """What is particular to one source that is made of other texts.

    Attributes:
        reads: The assets that it reads.
        implementation: Version of the code, raised by hand when it gives another result.
        describes: What a user needs to know of the asset.
        compute: Makes a partition.
        stage: What the UI groups it under.
        seconds: A guess for a thousand images.
    """

    reads: Sequence[Dependency]
    implementation: int
    describes: str
    compute: Callable[[Step], Rows]
    stage: str = STAGE
    seconds: float = SECONDS


def derived_node(project: Project, name: str, spec: CaptionSource, derived: Derived) -> Node:
    """The asset of a source that no model writes."""
    return Node(
        key=SYNTHETIC_CAPTIONS.key(name),
        stage=derived.stage,
        dimension="pool",
        dependencies=tuple(derived.reads),
        implementation=derived.implementation,
        decides=deciding(**{spec.word: spec}),
        compute=derived.compute,
        description=derived.describes,
        content=captions_content(project, name),
        seconds=derived.seconds,
        kinds=("polars", "deltalake"),
        checks=(captions_not_empty(project, name),),
    )


def found_rows(rows: pl.DataFrame, facts: Facts) -> Rows:
    """What a partition's captions come to, for the platform to write."""
    preview = preview_markdown(rows.filter(is_usable()).select("uid", "text"))
    return Rows(rows, rejected=count_rejects(rows), facts=facts, markdown={"preview": preview})
