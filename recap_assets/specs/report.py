"""The section `report`: what the report compares."""

from collections.abc import Collection, Iterator

from pydantic import Field

from recap_assets.specs.base import Name, Spec
from recap_assets.specs.references import unknown


class Report(Spec):
    """What the report compares; names of mixes, sources and scorers of this experiment."""

    raw: Name | None = Field(default=None, description="The mix of unfiltered raw text.")
    raw_filtered: Name | None = Field(default=None, description="The mix of filtered raw text.")
    synthetic: tuple[Name, ...] = Field(
        default=(), description="Mixes with synthetic captions only."
    )
    mixed: tuple[Name, ...] = Field(default=(), description="Mixes of raw and synthetic captions.")
    fine_task: Name | None = Field(
        default=None, description="The task of fine-grained classification."
    )
    retrieval_task: Name | None = Field(
        default=None, description="The task of image-text retrieval."
    )
    examples: int = Field(
        default=12, ge=0, le=1_000, description="Sample images shown with all their captions."
    )

    def problems(self, mixes: Collection[str], tasks: Collection[str]) -> Iterator[str]:
        """What is wrong with the names of mixes and tasks."""
        for field in ("raw", "raw_filtered", "synthetic", "mixed"):
            named = getattr(self, field)
            for name in (named,) if isinstance(named, str) else named or ():
                yield from unknown(f"report.{field}", name, mixes)
        for field in ("fine_task", "retrieval_task"):
            if task := getattr(self, field):
                yield from unknown(f"report.{field}", task, tasks)
