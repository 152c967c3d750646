"""What saw the samples, and cannot be rewritten: trained models, and files that are elsewhere."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from recap_assets.artefacts.exports import EXPORTS
from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.artefacts.training import MODELS, TRAINED_CLIP
from recap_assets.assembly.forgetting.finding import Found
from recap_assets.assembly.forgetting.places import Place
from recap_assets.exports.declared import folder_of


@dataclass(frozen=True)
class Saw:
    """Something that was made from a sample.

    Attributes:
        asset: The asset's key.
        where: Its folder, or its address.
    """

    asset: str
    where: str


def trained(place: Place, found: Found) -> list[Saw]:
    """Stored models that were trained on a mix with a sample, directly or through others."""
    workspace = place.workspace
    of_mixes = {TRAINED_CLIP.key(mix): workspace.trained / mix for mix in found.mixes}
    models = {MODELS.key(name): workspace.model(name) for name in _models(place, found.mixes)}
    places = {**of_mixes, **models}
    return [Saw(asset, str(path)) for asset, path in sorted(places.items()) if path.is_dir()]


def exports(place: Place, found: Found) -> tuple[list[Path], list[Saw]]:
    """Exports of mixes with a sample: folders of the experiment's own, and those elsewhere."""
    own: list[Path] = []
    elsewhere: list[Saw] = []
    for key in _reading(place, EXPORTS.name, found.mixes):
        name = key.partition("/")[2]
        where = _folder(place, name)
        path = place.workspace.exports / name
        if where is None or Path(where) == path:
            own.append(path)
        else:
            elsewhere.append(Saw(key, where))
    return [path for path in own if path.exists()], elsewhere


def pool_shards(place: Place, found: Found) -> list[str]:
    """Where the pool has the samples, if that is not ours to write to."""
    project = place.project
    if project is None or place.owns_pool:
        return []
    shards = project.shards
    return [shards[number].url for number in found.shards if number in shards]


def _folder(place: Place, name: str) -> str | None:
    return folder_of(place.project, name).url if place.project else None


def _models(place: Place, mixes: Sequence[str]) -> Iterator[str]:
    for key in _reading(place, MODELS.name, mixes):
        yield key.partition("/")[2]


def _reading(place: Place, family: str, mixes: Sequence[str]) -> Iterator[str]:
    """Assets of a family that read one of the mixes, directly or through others."""
    graph = place.graph
    wanted = {CURATED_MIXES.key(mix) for mix in mixes}
    for key in graph.nodes if graph else ():
        if key.startswith(f"{family}/") and graph and wanted & graph.ancestors([key]):
            yield key
