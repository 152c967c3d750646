"""Rows of texts of a file: some texts, and what is to be made of them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from recap_assets.artefacts.world import corpus_key
from recap_assets.specs.base import Name
from recap_assets.specs.fields import Content
from recap_assets.specs.findings import Finding
from recap_assets.training.corpora.kind import TextCorpus, TextRow

if TYPE_CHECKING:
    from recap_assets.graph.node import Node
    from recap_assets.graph.project import Project

DRAWN = "embedded"
DRAWN_COLUMNS = ("raw", "caption", "fused")
ENDINGS = (
    ".parquet", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".jsonl", ".jsonl.gz", ".ndjson",
    ".ndjson.gz",
)  # fmt: skip


class TextsCorpus(TextCorpus):
    """Rows of a file: some texts, and what a rewriter learns to make of them.

    CapsFusion's triples (arXiv 2310.20550, section 3.2) are such rows: a web text, a caption, and
    both as a large model fused them. The embedded world draws rows of that kind: `raw` (alt-text),
    `caption` (a clean caption in which rare things have coarse names) and `fused` (the caption, but
    with the names that the alt-text has for the same things).
    """

    example = """\
triples: {kind: texts, files: capsfusion.jsonl.gz, reads: {raw: laion_2b, a: laion_coco}, writes: capsfusion}
"""  # noqa: E501 - one line of YAML

    kind: Literal["texts"]
    files: Annotated[str, Content(names=(DRAWN,))] = Field(
        description="A Parquet, CSV, TSV or JSON-lines file; `embedded`: drawn by the program."
    )
    reads: dict[Name, str] = Field(
        min_length=1,
        max_length=16,
        description="Inputs by the names that a rewriting source reads, with their columns.",
    )
    writes: str = Field(description="Column of what is to be written.")
    rows_at_most: int = Field(
        default=200_000, gt=0, le=5_000_000, description="Rows that are read, from the first on."
    )
    samples: int = Field(
        default=8_000, gt=0, le=1_000_000, description="Rows to draw, where they are drawn."
    )

    @model_validator(mode="after")
    def _is_a_table(self) -> Self:
        if self.files == DRAWN:
            if unknown := {*self.reads.values(), self.writes} - {*DRAWN_COLUMNS}:
                names = ", ".join(DRAWN_COLUMNS)
                msg = f"the drawn rows have no column {min(unknown)!r}; they have {names}"
                raise ValueError(msg)
        elif not self.files.lower().endswith(ENDINGS):
            msg = f"files: {self.files} is of no kind that is read here; use {', '.join(ENDINGS)}"
            raise ValueError(msg)
        return self

    @property
    def inputs(self) -> Sequence[str]:
        """The names in `reads`."""
        return tuple(self.reads)

    def nodes(self, name: str, project: "Project") -> "list[Node]":
        """The asset that draws the rows, where they are drawn."""
        from recap_assets.training.corpora.drawing import rows_node

        return [rows_node(project, name, self.samples)] if self.files == DRAWN else []

    def made_by(self, name: str) -> str | None:
        """The asset that draws the rows, where they are drawn."""
        return corpus_key(name) if self.files == DRAWN else None

    def version(self) -> str | None:
        """Of the file's bytes."""
        from recap_assets.storage.folder_content import content_version

        return None if self.files == DRAWN else content_version(Path(self.files), None)

    def decides_models(self) -> Mapping[str, object]:
        """Which columns are read, and how many rows."""
        return {"corpus_spec": self.decides("samples")}

    def rows(self, name: str, project: "Project") -> Iterator[TextRow]:
        """The rows in the file's order."""
        from recap_assets.training.corpora.text_rows import rows_of

        drawn = project.workspace.world / "corpora" / name / "rows.jsonl"
        return rows_of(drawn if self.files == DRAWN else Path(self.files), self)

    def doctor(self, where: str) -> Iterator[Finding]:
        """Whether the file has the columns."""
        from recap_assets.training.corpora.text_rows import findings_of

        if self.files == DRAWN:
            yield True, f"{where}: {self.samples:,} rows are drawn by the program"
        else:
            yield findings_of(where, Path(self.files), self)
