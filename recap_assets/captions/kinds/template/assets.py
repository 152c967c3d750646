"""The asset of a source that is put together from other texts."""

from collections.abc import Mapping

from recap_assets.artefacts.table import STATUS_EMPTY, STATUS_OK, STATUS_TRUNCATED
from recap_assets.captions.derived import Derived, derived_node, found_rows
from recap_assets.captions.kinds.template.spec import TemplateSpec
from recap_assets.captions.rows import caption_rows
from recap_assets.captions.texts import (
    complete,
    in_place,
    named_texts,
    text_dependencies,
    texts_of_images,
)
from recap_assets.engines.protocols import Caption
from recap_assets.graph.node import Node, Rows, Step
from recap_assets.graph.project import Project
from recap_assets.shards.sample_texts import cleaned_text
from recap_assets.specs.prompts import filled

VERSION = 1


def node_of(project: Project, name: str, spec: TemplateSpec) -> Node:
    """The asset of a template."""
    describes = f"For every usable image: {spec.template}"
    derived = Derived(
        text_dependencies(project, spec.names),
        VERSION,
        describes,
        lambda step: fill_partition(project, spec, step),
    )
    return derived_node(project, name, spec, derived)


def fill_partition(project: Project, spec: TemplateSpec, step: Step) -> Rows:
    """The texts of one pool partition."""
    images = texts_of_images(project, spec.names, step.partition)
    whole, lost = complete(images, spec.names)
    written = [[caption_of(spec.template, row)] for row in named_texts(whole, spec.names)]
    rows = caption_rows(images, in_place(lost, written), None)
    return found_rows(rows, {"texts": len(written)})


def caption_of(template: str, texts: Mapping[str, str]) -> Caption:
    """A template with an image's texts in it; one of more than 64 kB is cut there."""
    text, note = cleaned_text(filled(template, texts))
    if text is None:
        return Caption("", STATUS_EMPTY, reason="no_words")
    return Caption(text, STATUS_OK if note is None else STATUS_TRUNCATED)
