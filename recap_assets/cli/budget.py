"""What `recap build --budget` says at its end: what was spent, and what is left at which cost."""

from collections.abc import Iterator

from rich.console import Console

from recap_assets.assembly.server_tokens import TokenEstimates
from recap_assets.captions.charges import charges_of
from recap_assets.cli import terminal
from recap_assets.defs.building import Build
from recap_assets.graph.budget import Budget, Spent
from recap_assets.graph.project import Project
from recap_assets.lineage.amounts import in_time
from recap_assets.specs.prices import Prices

_ANY_TOKENS = 1_000_000


def has_prices(project: Project) -> bool:
    """Whether anything has a price: an hour, or tokens."""
    experiment, charges = project.experiment, charges_of(project)
    keys = (f"synthetic_captions/{name}" for name in experiment.sources)
    of_scorers = (f"clip_scores/{name}/raw" for name in experiment.scorers)
    return experiment.prices != Prices() or any(
        charges.of_tokens(key, _ANY_TOKENS, _ANY_TOKENS) is not None for key in (*keys, *of_scorers)
    )


def print_spent(console: Console, project: Project, build: Build) -> None:
    """Print what was spent of the budget and, where it ended the build, what is left."""
    assert build.purse is not None  # noqa: S101 - the caller asked
    budget, spent = build.purse.budget, build.purse.spent
    if words := ", ".join(_spent(budget, spent)):
        console.print(f"Spent of the budget: {words}.", soft_wrap=True)
    left = build.plan(look_for_content=False).to_build
    if not left:
        return
    estimates = build.estimates
    keys = [(entry.asset, entry.partition) for entry in left]
    cost = estimates.of_all(keys)
    guess = "about " if cost.is_guess else ""
    money = project.experiment.prices.of(cost.seconds, cost.gpu_seconds)
    tokens = TokenEstimates(project, estimates).of_all(keys)
    if tokens is not None and tokens.cost:
        money = (money or 0.0) + tokens.cost
    on_gpu = f", {in_time(cost.gpu_seconds)} of it on a GPU" if cost.gpu_seconds else ""
    currency = budget.currency or "at the prices of the file"
    priced = "" if money is None else f", {money:,.2f} {currency}"
    words = (
        f"Stopped for the budget: {terminal.in_partitions(len(left))} left, {guess}"
        f"{in_time(cost.seconds)} of work{on_gpu}{priced}. `recap build` continues."
    )
    console.print(terminal.plain(words), soft_wrap=True)


def _spent(budget: Budget, spent: Spent) -> Iterator[str]:
    if budget.gpu_seconds is not None:
        yield f"{in_time(spent.gpu_seconds)} of {in_time(budget.gpu_seconds)} on a GPU"
    if budget.money is not None:
        yield f"{spent.money:,.2f} of {budget.money:,.2f} {budget.currency}"
    if budget.captions is not None:
        yield f"{spent.captions:,} of {budget.captions:,.0f} captions"
