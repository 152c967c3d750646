"""A cut-off to drag: what a mix would hold, which images enter and leave, and what it costs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import polars as pl
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from recap_assets.artefacts.scores import CLIP_SCORES
from recap_assets.assembly.graph import build_graph
from recap_assets.graph.estimates import Cost, Estimates
from recap_assets.graph.planner import plan
from recap_assets.graph.project import Project
from recap_assets.graph.records import RememberedRecords
from recap_assets.look import asking
from recap_assets.look.cards import FOUND, cards
from recap_assets.look.gallery import Gallery, gallery_of, with_mixes
from recap_assets.look.held_scores import held_scores
from recap_assets.look.histogram import Bars, bars_of
from recap_assets.look.page import rendered
from recap_assets.mixes.cutoffs import CutoffRequest, cutoffs_needed
from recap_assets.mixes.stored_scores import score_view
from recap_assets.mixes.thresholds import Cut
from recap_assets.specs.columns import USED, scorer_and_name
from recap_assets.specs.mixes import Mix
from recap_assets.specs.setting_keys import set_at
from recap_assets.specs.yaml_text import dump_yaml

SHOWN = 12
"""Images that enter, and that leave."""

UNITS: Mapping[str, str] = {
    "quantile": "the best share",
    "size": "the best number",
    "absolute": "the score",
}


@dataclass(frozen=True)
class Setting:
    """One cut-off of a mix, and the number that is asked for.

    Attributes:
        project: The experiment.
        mix: Name of the mix.
        request: The cut-off as the experiment file asks for it.
        value: The number in its place.
    """

    project: Project
    mix: str
    request: CutoffRequest
    value: float

    @property
    def written(self) -> float | int:
        """The number as YAML has it: whole where a number of samples is asked for."""
        return round(self.value) if self.request.kind == "size" else self.value

    @cached_property
    def spec(self) -> Mix:
        """The mix with that number.

        Raises:
            AskedError: It is outside of what the setting may be.
        """
        part = self.project.experiment.mixes[self.mix].model_dump(mode="json", exclude_none=True)
        set_at(part, self.request.path.split("."), self.written, self.request.path)
        try:
            return Mix.model_validate(part)
        except ValidationError as error:
            msg = f"{self.mix}, {self.request.path}: {self.written} is no value of this setting"
            raise asking.AskedError(msg) from error

    @cached_property
    def alone(self) -> Project:
        """The experiment with this one mix, of tables that are opened once."""
        return with_mixes(self.project, {self.mix: self.spec}).fixed()

    @cached_property
    def whole(self) -> Project:
        """The experiment with all mixes, of which this one is changed."""
        return with_mixes(self.project, {**self.project.experiment.mixes, self.mix: self.spec})

    @property
    def yaml(self) -> str:
        """The mix, to paste into the experiment file."""
        written = self.spec.model_dump(mode="json", exclude_defaults=True)
        rules = written["rules"] if set(written) == {"rules"} else written
        return dump_yaml({"mixes": {self.mix: rules}})


def thresholds(request: Request) -> Response:
    """The page: histograms, the line, counts, images."""
    gallery = gallery_of(request)
    choices = list(_choices(gallery.project))
    if not choices:
        return rendered(request, "thresholds.html.jinja", title="Thresholds", choices=())
    setting, original = _setting(request, choices)
    bars = _bars(gallery, setting.request)
    return rendered(
        request,
        "thresholds.html.jinja",
        title="Thresholds",
        choices=choices,
        setting=setting,
        original=original.value,
        unit=UNITS[setting.request.kind],
        bars=bars,
        **tried(gallery, setting, original),
        limits=_limits(setting.request, bars),
        **_strips(gallery, setting, original),
    )


def counts(request: Request) -> Response:
    """The counts of `recap mix try` at a number, as JSON; `plan=1` adds what building it costs."""
    gallery = gallery_of(request)
    setting, original = _setting(request, list(_choices(gallery.project)))
    found: dict[str, Any] = {**tried(gallery, setting, original), "yaml": setting.yaml}
    if asking.text(request, "plan"):
        found |= cost_of(gallery, setting)
    return JSONResponse(found)


def strips(request: Request) -> Response:
    """The images that enter and leave, as a part of the page."""
    gallery = gallery_of(request)
    setting, original = _setting(request, list(_choices(gallery.project)))
    return rendered(request, "strips.html.jinja", **_strips(gallery, setting, original))


def uids(request: Request) -> Response:
    """The uids of the mix at a number, 32 hex digits a line."""
    gallery = gallery_of(request)
    setting, original = _setting(request, list(_choices(gallery.project)))
    taken = _decided(gallery, setting, original, pl.col("accepted.here"))
    lines = "".join(f"{uid.hex()}\n" for uid in taken["uid"].unique().sort())
    headers = {"Content-Disposition": 'attachment; filename="uids.txt"'}
    return Response(lines, media_type="text/plain; charset=utf-8", headers=headers)


def tried(gallery: Gallery, setting: Setting, original: Setting) -> dict[str, dict[str, Any]]:
    """What `recap mix try` counts of the mix `here`, and as the `file` has it.

    Returns:
        For each of both `n_pairs`, `n_images`, `mean_score`, shares, and the `cutoff`; trigrams of
        both are counted in samples of one size.
    """
    held = held_scores(gallery, setting.mix)
    rows = held.trial(_both(setting, original)).to_dicts()
    return {row["mix"]: {**row, "cutoff": _cutoff(setting, row)} for row in rows}


def _both(setting: Setting, original: Setting) -> Project:
    return with_mixes(setting.project, {"file": original.spec, "here": setting.spec}).fixed()


def _cutoff(setting: Setting, row: Mapping[str, Any]) -> float | None:
    values = {one["path"]: one["value"] for one in row["thresholds"]}
    return values[setting.request.path]


def cost_of(gallery: Gallery, setting: Setting) -> dict[str, Any]:
    """What `recap plan` says that building the changed experiment takes beyond the present one."""
    stored = gallery.records()
    now, then = (build_graph(project) for project in (gallery.project, setting.whole))
    stored.look({**now.nodes, **then.nodes})
    records = RememberedRecords(stored)
    already = {(one.asset, one.partition) for one in plan(now, records).to_build}
    wanted = [(one.asset, one.partition) for one in plan(then, records).to_build]
    changed = [one for one in wanted if one not in already]
    cost: Cost = Estimates(then, records).of_all(changed)
    return {"n_partitions": len(changed), "seconds": cost.seconds, "is_guess": cost.is_guess}


def _choices(project: Project) -> Iterator[tuple[str, CutoffRequest]]:
    """Every cut-off that can be moved: those of columns that are stored."""
    for name, mix in project.experiment.mixes.items():
        for request in cutoffs_needed(mix, project.experiment.scorer_of(mix)):
            if request.kind in UNITS and scorer_and_name(request.source)[1] != USED:
                yield name, request


def _setting(request: Request, choices: list[tuple[str, CutoffRequest]]) -> tuple[Setting, Setting]:
    """What is asked for, and the same as the experiment file has it."""
    project = gallery_of(request).project
    named = {f"{mix}:{one.path}": (mix, one) for mix, one in choices}
    mix, cutoff = named[asking.chosen(request, "at", named, next(iter(named), ""))]
    value = asking.number(request, "value", cutoff.requested)
    _refuse_outside(cutoff.kind, value)
    return Setting(project, mix, cutoff, value), Setting(project, mix, cutoff, cutoff.requested)


def _refuse_outside(kind: Literal["absolute", "quantile", "size", "copies"], value: float) -> None:
    most = {"quantile": 1.0, "size": 1e12}.get(kind)
    if most is not None and not 0 < value <= most:
        msg = f"value: {UNITS[kind]} is above 0 and at most {most:g}, not {value:g}"
        raise asking.AskedError(msg)


def _bars(gallery: Gallery, request: CutoffRequest) -> Bars:
    """The histogram of the column that is ranked, and of the other sources beside it."""
    own, name = scorer_and_name(request.source)
    scorer = own or request.scorer
    sources = gallery.project.experiment.source_names
    columns = [name, *(one for one in sources if one != name)] if name in sources else [name]

    def read() -> Bars:
        views = {one: score_view(gallery.project, scorer, one).histogram for one in columns}
        return bars_of(views, name)

    return gallery.kept.of(CLIP_SCORES, ("bars", scorer, name), read)


def _limits(request: CutoffRequest, bars: Bars) -> tuple[float, float, float]:
    """The ends of the slider and its step."""
    if request.kind == "quantile":
        return 0.001, 1.0, 0.001
    if request.kind == "size":
        return 1, max(1, bars.population), 1
    return bars.low, bars.high, round((bars.high - bars.low) / 1_000, 6) or 1e-4


def _strips(gallery: Gallery, setting: Setting, original: Setting) -> dict[str, Any]:
    """Images in one of the two alone, those nearest to the cut-off first."""
    before, after = pl.col("accepted.file"), pl.col("accepted.here")
    cut = _cut(gallery, setting).value
    found: dict[str, Any] = {}
    differing = _decided(gallery, setting, original, before != after)
    for name, which in (("entering", after), ("leaving", before)):
        alone = differing.filter(which)
        nearest = alone.sort((pl.col("score") - cut).abs(), "uid", nulls_last=True).head(SHOWN)
        noted = nearest.with_columns(
            note=pl.col("score").round(4).cast(pl.String).fill_null("no score")
        )
        found[name] = cards(gallery, noted, setting.request.scorer, "{note}")
        found[f"n_{name}"] = alone.height
    return found


def _cut(gallery: Gallery, setting: Setting) -> Cut:
    held = held_scores(gallery, setting.mix)
    view = held.view(setting.alone, setting.request.scorer, setting.request.source)
    return view.within(setting.spec.within).cut(setting.request.kind, setting.value)


def _decided(gallery: Gallery, setting: Setting, original: Setting, which: pl.Expr) -> pl.DataFrame:
    """FOUND of some images, `accepted.file`, `accepted.here`, and the `score` that is ranked."""
    score = pl.col(f"score.{setting.request.source}").alias("score")
    wanted = [*FOUND, "accepted.file", "accepted.here", score]
    types = {**FOUND, "accepted.file": pl.Boolean, "accepted.here": pl.Boolean}
    parts = held_scores(gallery, setting.mix).decided(_both(setting, original))
    found = [part.filter(which).select(wanted) for part in parts]
    return pl.concat([pl.DataFrame(schema={**types, "score": pl.Float32}), *found])


ROUTES = (
    Route("/thresholds", thresholds),
    Route("/thresholds/counts", counts),
    Route("/thresholds/strips", strips),
    Route("/thresholds/uids.txt", uids),
)
