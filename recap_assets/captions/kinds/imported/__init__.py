"""Captions that somebody else wrote, as a caption source: which files, which columns, which rules.

The drops that are known by name need two lines::

    blip2:
      {kind: import, preset: datacomp_blip2, files: captions/large_blip2_metadata_*.csv}
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from recap_assets.captions.kinds.imported.spec import ImportSpec
from recap_assets.engines.protocols import Places
from recap_assets.specs.findings import Finding

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project


class ImportSource(ImportSpec):
    """Third-party captions joined to the pool by uid, sha256 or url."""

    has_import_report: ClassVar = True

    def nodes(self, name: str, project: "Project") -> "list[Node]":
        """The files' rows, the captions, and the report."""
        from recap_assets.captions.kinds.imported.assets import nodes_of

        return nodes_of(project, name, self)

    def doctor(self, where: str, places: Places) -> Iterator[Finding]:  # noqa: ARG002 - of all kinds
        """Whether each file is there and has the columns."""
        from recap_assets.captions.kinds.imported.files import (
            CaptionFileError,
            list_caption_files,
            look_at,
        )

        try:
            files = list_caption_files(self)
            for file in files:
                look_at(file, self)
        except (CaptionFileError, OSError) as error:
            yield False, f"{where}: {error}"
            return
        n_bytes = sum(file.size for file in files)
        yield True, f"{where}: {len(files)} files of captions, {n_bytes / 2**20:,.1f} MiB"
