"""The asset of a source that is split into its sentences."""

from recap_assets.artefacts.table import STATUS_EMPTY
from recap_assets.captions.derived import Derived, derived_node, found_rows
from recap_assets.captions.kinds.split.sentences import parts_of
from recap_assets.captions.kinds.split.spec import SplitSpec
from recap_assets.captions.rows import caption_rows
from recap_assets.captions.texts import complete, in_place, text_dependencies, texts_of_images
from recap_assets.engines.protocols import Caption
from recap_assets.graph.node import Node, Rows, Step
from recap_assets.graph.project import Project

VERSION = 1


def node_of(project: Project, name: str, spec: SplitSpec) -> Node:
    """The asset of a split source."""
    describes = f"The first {spec.keep} parts of each text of {spec.source}, cut at {spec.at}."
    derived = Derived(
        text_dependencies(project, [spec.source]),
        VERSION,
        describes,
        lambda step: split_partition(project, spec, step),
    )
    return derived_node(project, name, spec, derived)


def split_partition(project: Project, spec: SplitSpec, step: Step) -> Rows:
    """The parts of one pool partition's texts."""
    images = texts_of_images(project, [spec.source], step.partition)
    whole, lost = complete(images, [spec.source])
    parts = [list(parts_of(text, spec.at)) for text in whole[f"text.{spec.source}"]]
    written = [_captions(found[: spec.keep]) for found in parts]
    facts = {
        "parts": sum(map(len, parts)),
        "parts_beyond_keep": sum(max(len(found) - spec.keep, 0) for found in parts),
    }
    return found_rows(caption_rows(images, in_place(lost, written), None), facts)


def _captions(parts: list[str]) -> list[Caption]:
    return [Caption(part) for part in parts] or [Caption("", STATUS_EMPTY, reason="no_words")]
