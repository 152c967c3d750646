"""What a search reads: all that the stages read for each mix that it may train on."""

from collections.abc import Iterator
from dataclasses import dataclass

from recap_assets.artefacts import (
    CURATED_MIXES,
    EVALUATION_RESULTS,
    THRESHOLDS,
    TRAINED_CLIP,
    TRAINING_PAIRS,
)
from recap_assets.evaluation import assets as evaluation
from recap_assets.graph.stage import Dependency, Node, Outside, Project, both
from recap_assets.mixes import assets as mixes
from recap_assets.specs.loading import ExperimentError, with_settings
from recap_assets.specs.searches import Search
from recap_assets.training import assets as training
from recap_assets.training import seen

OWN = (THRESHOLDS, CURATED_MIXES, TRAINING_PAIRS, TRAINED_CLIP, EVALUATION_RESULTS)
"""What a search makes of a mix itself, in memory."""

DECIDING = (CURATED_MIXES, TRAINED_CLIP, EVALUATION_RESULTS)
"""What has settings that decide a training of the search, beside its own."""


@dataclass(frozen=True)
class Reads:
    """What a search reads.

    Attributes:
        dependencies: Edges to all partitions.
        decides: What decides the nodes that do for one mix what the search does, and the number of
            their implementation.
        outside: Version of what they read from outside the graph.
    """

    dependencies: tuple[Dependency, ...]
    decides: dict[str, object]
    outside: Outside | None


def reads_of(project: Project, search: Search) -> Reads:
    """What a search reads for its proposals, and for the hand-made mixes."""
    stages = [dict(_stages(one, search.mix)) for one in _proposable(project, search)]
    read = [dep.asset for one in stages for node in one.values() for dep in node.dependencies]
    own = {table.key(search.mix) for table in OWN}
    hand_made = [
        table.key(name)
        for name in search.hand_made
        for table in (CURATED_MIXES, EVALUATION_RESULTS)
    ]
    keys = dict.fromkeys([*(key for key in read if key not in own), *hand_made])
    first = stages[0]
    return Reads(
        tuple(Dependency(key, "all") for key in keys),
        {
            one.name: [node.implementation, node.decides_value]
            for one in DECIDING
            for node in [first[one.name]]
        },
        both(*_outside(stages)),
    )


def _proposable(project: Project, search: Search) -> list[Project]:
    """The experiment as it is, and with each combination of words that makes a mix."""
    found = [project]
    if any(isinstance(one, str) for values in search.over.values() for one in values.choices):
        for settings in search.wordings:
            try:
                experiment = with_settings(project.experiment, search, settings)
            except ExperimentError:
                continue
            found.append(Project(experiment, project.workspace, project.is_read_only))
    return found


def _stages(project: Project, mix: str) -> Iterator[tuple[str, Node]]:
    """The nodes that select the pairs of a mix, train on them and evaluate, by their table."""
    names = {table.key(mix): table.name for table in OWN}
    for stage in (mixes, seen, training, evaluation):
        for node in stage.nodes(project):
            if node.key in names:
                yield names[node.key], node


def _outside(stages: list[dict[str, Node]]) -> Iterator[Outside]:
    """Each version that another one is not the same as: what is not of the mix is of all alike."""
    for number, one in enumerate(stages):
        for name, node in one.items():
            of_mix = name in (THRESHOLDS.name, CURATED_MIXES.name)
            if node.outside is not None and (of_mix or not number):
                yield node.outside
