"""The prices of an experiment: of machines, and of the tokens of servers that are asked."""

from recap_assets.artefacts.captions import SYNTHETIC_CAPTIONS
from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.captions.kind import CaptionSource
from recap_assets.captions.served import Served
from recap_assets.captions.servers.spec import ServerSpec
from recap_assets.graph.project import Project
from recap_assets.lineage.costs import Charges
from recap_assets.specs.experiment import Experiment


def charges_of(project: Project) -> Charges:
    """The prices by which what an experiment computes is charged."""
    experiment = project.experiment

    def of_tokens(asset: str, prompt: int, completion: int) -> float | None:
        served = _served(experiment, asset)
        return None if served is None else served.cost_of(prompt, completion)

    return Charges(experiment.prices, of_tokens)


def _served(experiment: Experiment, asset: str) -> Served | ServerSpec | None:
    """What is asked for an asset at a server; None for any other."""
    table, _, rest = asset.partition("/")
    if table == SYNTHETIC_CAPTIONS.name:
        source = experiment.sources.get(rest)
        return source.served if isinstance(source, CaptionSource) else None
    if table == CLIP_SCORES.name:
        scorer = experiment.scorers.get(rest.partition("/")[0])
        return scorer if isinstance(scorer, ServerSpec) else None
    return None
