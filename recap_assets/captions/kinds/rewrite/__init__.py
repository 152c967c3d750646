"""Texts that a language model writes from other texts of an image."""

from typing import TYPE_CHECKING

from recap_assets.captions.kinds.rewrite.spec import RewriteSpec

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project


class RewriteSource(RewriteSpec):
    """Texts that a language model writes from other sources and columns; it sees no image.

    VeCLIP and CapsFusion fuse alt-text and caption so. Of a source its first usable candidate is
    read (put a `reranked` one there for the best). Each image is a request of its own; in it each
    text is on one line between « and », without marks of turns and roles, and cut at `longest`
    characters. An image that lacks a text is set aside with the reason `without_NAME`.
    """

    def nodes(self, name: str, project: "Project") -> "list[Node]":
        """One asset."""
        from recap_assets.captions.kinds.rewrite.assets import node_of

        return [node_of(project, name, self)]
