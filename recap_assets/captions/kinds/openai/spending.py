"""What the captions that stand in the table were counted and priced at."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.captions.kinds.openai.spec import OpenAISpec
from recap_assets.graph.project import Setting


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


def spending(setting: Setting) -> Iterator[Spending]:
    """For each source behind a server what its present captions took."""
    for name, spec in setting.experiment.sources.items():
        if not isinstance(spec, OpenAISpec):
            continue
        counts = setting.workspace.tables.scan(SYNTHETIC_CAPTIONS, source=name).select(
            pl.len(),
            pl.col("n_prompt_tokens").cast(pl.Int64).sum(),
            pl.col("n_tokens").cast(pl.Int64).sum(),
        )
        n, prompt, completion = counts.collect().row(0)
        yield Spending(name, n, prompt, completion, spec.cost_of(prompt, completion))
