"""What the present captions of sources behind a server took, in tokens and money."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.captions.kind import CaptionSource
from recap_assets.graph.project import Project
from recap_assets.specs.kinds import fitting


@dataclass(frozen=True)
class Spending:
    """Tokens of one source's captions, each counted once, however often it was asked for.

    Attributes:
        source: The source.
        captions: Rows of the table.
        prompt_tokens: Of the requests, as the server counted them.
        completion_tokens: Of the replies.
        cost: In the currency of the source's prices; None where it gives none.
    """

    source: str
    captions: int
    prompt_tokens: int
    completion_tokens: int
    cost: float | None


def spending(project: Project) -> Iterator[Spending]:
    """For each source behind a server what its present captions took."""
    for name, spec in project.experiment.sources.items():
        served = fitting(name, spec, CaptionSource).served
        if served is None:
            continue
        counts = project.workspace.tables.scan(SYNTHETIC_CAPTIONS, source=name).select(
            pl.len(),
            pl.col("n_prompt_tokens").cast(pl.Int64).sum(),
            pl.col("n_tokens").cast(pl.Int64).sum(),
        )
        n, prompt, completion = counts.collect().row(0)
        yield Spending(name, n, prompt, completion, served.cost_of(prompt, completion))
