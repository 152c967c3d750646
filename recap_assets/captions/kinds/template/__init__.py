"""A text that is put together from other texts of an image, without a model."""

from typing import TYPE_CHECKING

from recap_assets.captions.kinds.template.spec import TemplateSpec

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project


class TemplateSource(TemplateSpec):
    """Texts put together from other sources and columns of the pool, without a model.

    An image that lacks one of the texts is set aside with the reason `without_NAME`.
    """

    def nodes(self, name: str, project: "Project") -> "list[Node]":
        """One asset."""
        from recap_assets.captions.kinds.template.assets import node_of

        return [node_of(project, name, self)]
