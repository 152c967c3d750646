"""What a card says of how its mix came about, and of whom the captions are."""

import hashlib
from collections.abc import Mapping
from pathlib import PurePath

from recap_assets.artefacts.mixes import THRESHOLDS
from recap_assets.exports.ancestors import ancestors_of
from recap_assets.exports.facts import Curation
from recap_assets.exports.kind import ExportKind, ShardedExport
from recap_assets.exports.languages import languages_of
from recap_assets.graph.project import Project
from recap_assets.specs.base import Spec
from recap_assets.specs.sources import RAW
from recap_assets.storage.content import VERSION_DIGITS


def curation_of(project: Project, export: ExportKind, versions: Mapping[str, str]) -> Curation:
    """How the mix of an export came about."""
    cutoffs = project.workspace.tables.read(THRESHOLDS, mix=export.mix).sort("path")
    text = "\n".join(f"{partition} {version}" for partition, version in sorted(versions.items()))
    mix_version = hashlib.sha256(text.encode()).hexdigest()[:VERSION_DIGITS]
    description = description_of(project, export)
    return Curation(
        experiment=project.experiment.name,
        mix=export.mix,
        rules=description["mix"],
        cutoffs=cutoffs.to_dicts(),
        sources=description["sources"],  # type: ignore[arg-type] - built so below
        scorer=description["scorer"],
        versions={f"curated_mixes/{export.mix}": mix_version},
        is_drawn=project.experiment.pool.is_drawn,
        languages=languages_of(project, export.mix) if export.describes_texts else (),
        ancestors=ancestors_of(project, export.mix, versions) if export.describes_texts else (),
    )


def description_of(project: Project, export: ExportKind) -> dict[str, Mapping[str, object]]:
    """What the card says of the experiment, in JSON values."""
    experiment = project.experiment
    mix = experiment.mixes[export.mix]
    scorer = experiment.scorer_of(mix)
    read = experiment.reads(mix)
    names = [*read.sources, *(source for _, source in read.scores)]
    if isinstance(export, ShardedExport):
        names += export.sources_along(experiment.source_names)
    sources = {n: _public(experiment.sources[n]) for n in dict.fromkeys(names) if n != RAW}
    return {
        # It adds mixes beside this one, and decides nothing of it.
        "mix": mix.model_dump(mode="json", exclude_defaults=True, exclude={"leave_one_source_out"}),
        "sources": sources,
        "scorer": {
            **{
                name: _public(experiment.scorers[name])
                for name in dict.fromkeys([scorer, *(name for name, _ in read.scores)])
            },
            **{name: _public(experiment.image_scorers[name]) for name in read.images},
        },
    }


_FIRST = (
    "kind", "model", "revision", "pretrained", "precision", "quantization", "prompt", "system",
    "decoding", "candidates", "max_pixels", "preset", "source", "scorer", "keep",
)  # fmt: skip
"""The order in which a card describes captioners and scorers; what else they have comes after."""


def _public(spec: Spec) -> Mapping[str, object]:
    values = spec.public()
    names = [*(name for name in _FIRST if name in values), *sorted(values.keys() - set(_FIRST))]
    # A server may list a model by its path, too.
    return {name: _without_place(values[name]) for name in names}


def _without_place(value: object) -> object:
    if not isinstance(value, str):
        return value
    head, colon, path = value.rpartition("local-dir:")
    is_path = path.startswith(("/", "~", "./", "../")) or bool(colon)
    return f"{head}{colon}{PurePath(path).name}" if is_path else value
