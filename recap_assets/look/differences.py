"""What differs between two mixes, or two versions of one, with images."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from recap_assets.artefacts.mixes import CURATED_MIXES
from recap_assets.look import asking
from recap_assets.look.cards import partitions_of
from recap_assets.look.gallery import Gallery, gallery_of
from recap_assets.look.page import rendered
from recap_assets.mixes.comparing import (
    PERCENTILES,
    MixDifference,
    compare_mixes,
    difference_as_json,
    mix_version,
)
from recap_assets.mixes.difference import CHANGES, MEANINGS

SAMPLES = 12
"""Images of each change."""


def differences(request: Request) -> Response:
    """The page."""
    gallery = gallery_of(request)
    names = list(gallery.project.experiment.mixes)
    before = asking.chosen(request, "before", names, names[0])
    after = asking.chosen(request, "after", names, names[-1])
    versions = asking.text(request, "at"), asking.text(request, "to")
    found = _compared(gallery, _named(before, versions[0]), _named(after, versions[1]))
    return rendered(
        request,
        "differences.html.jinja",
        title="Differences",
        names=names,
        before=before,
        after=after,
        versions=versions,
        **found,
    )


def _named(mix: str, version: str) -> str:
    return f"{mix}@{version}" if version else mix


def _compared(gallery: Gallery, before: str, after: str) -> dict[str, Any]:
    project = gallery.project
    sides = mix_version(project, before), mix_version(project, after)
    names = tuple(map(str, sides))
    # A version stays as it is, so what was compared once holds until another mix is built.
    found = gallery.kept.of(
        CURATED_MIXES,
        ("differences", *names),
        lambda: compare_mixes(project, *sides, n_samples=SAMPLES),
    )
    written: dict[str, Any] = difference_as_json(found)
    return {
        "found": written,
        "sides": names,
        "changes": _changes(gallery, found, written["samples"]),
        "percentiles": PERCENTILES,
        "sources": sorted(
            {*written["before"]["pairs_by_source"], *written["after"]["pairs_by_source"]}
        ),
    }


def _changes(
    gallery: Gallery, found: MixDifference, samples: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """For each change its meaning, number of images and samples, each with its partition."""
    places = partitions_of(gallery, [bytes.fromhex(sample["uid"]) for sample in samples])
    shown = [{**one, "partition": places.get(bytes.fromhex(one["uid"]))} for one in samples]
    return [
        {
            "words": MEANINGS[change],
            "n": found.comparison.n_changed[change],
            "samples": [sample for sample in shown if sample["change"] == change],
        }
        for change in CHANGES
    ]


ROUTES = (Route("/mixes", differences),)
