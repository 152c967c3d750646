"""The experiment: one file that declares everything, checked as a whole."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Self, cast

from pydantic import Field, ValidationInfo, field_validator, model_validator

from recap_assets.specs.automation import Automation
from recap_assets.specs.base import Name, Spec, fingerprint_of
from recap_assets.specs.circles import circles, reached
from recap_assets.specs.columns import USED, Reads, scorer_and_name
from recap_assets.specs.corpora import Corpus
from recap_assets.specs.diversity import Diversity
from recap_assets.specs.evaluation import Evaluation, TaskSpec
from recap_assets.specs.exports import (
    Export,
    ExportSpec,
    added_name,
    training_export,
    with_training_exports,
)
from recap_assets.specs.image_scorers import ImageScorer
from recap_assets.specs.languages import Identifier, IdentifierSpec, always_there
from recap_assets.specs.left_out import captions_used, left_out_name, with_left_out
from recap_assets.specs.mixes import Mix, reads_of
from recap_assets.specs.models import Model
from recap_assets.specs.needed import is_of_only, problems_of_only
from recap_assets.specs.owners import Owners
from recap_assets.specs.pool import Pool
from recap_assets.specs.prices import Prices
from recap_assets.specs.prompts import section_of
from recap_assets.specs.recipe import Recipe
from recap_assets.specs.references import EMBEDDINGS, Reference, listed, of_another_kind, unknown
from recap_assets.specs.report import Report
from recap_assets.specs.scorers import Scorer
from recap_assets.specs.searches import Search
from recap_assets.specs.sets import UidSet
from recap_assets.specs.sources import RAW, Source
from recap_assets.specs.swept import Swept, SweptOnly
from recap_assets.specs.training import Training, TrainingSpec
from recap_assets.untrusted.nested import texts_of
from recap_assets.untrusted.secrets import redacted

PARTS = (
    "corpora",
    "models",
    "sources",
    "scorers",
    "image_scorers",
    "languages",
    "sets",
    "mixes",
    "exports",
)
"""The sections whose entries have names; what each refers to is checked."""


FULL = "full"
"""The size of an experiment as its file has it."""

_AS_IF_WRITTEN: Any = {}
"""A default that is checked as a file is: no kind is imported before."""


class Experiment(Spec):
    """One experiment: pool, caption sources, scorers, mixes, training, evaluation."""

    name: Name = Field(
        description="Its results are in the folder of this name under the data folder."
    )
    seed: int = Field(
        default=0, description="Seed of the embedded world; a new number is a fresh world."
    )
    owners: Owners = Field(default=(), exclude_if=lambda owners: not owners)
    pool: Pool
    corpora: dict[Name, Corpus] = Field(default={}, description="What the models below learn from.")
    models: dict[Name, Model] = Field(
        default={}, description="Models that the platform trains itself."
    )
    sources: dict[Name, Source] = Field(
        default={}, description="Captioners. `raw` is always there."
    )
    scorers: dict[Name, Scorer] = Field(min_length=1, description="Image-text scorers.")
    image_scorers: dict[Name, ImageScorer] = Field(
        default={},
        description="Scorers of the image alone: aesthetics, unsafe content, watermarks.",
    )
    languages: dict[Name, Identifier] = Field(
        default={}, description="Language identifiers. `fasttext` and `cld3` are always there."
    )
    sets: dict[Name, UidSet] = Field(default={}, description="Named sets of uids for `in_set`.")
    mixes: dict[Name, Mix] = Field(min_length=1, description="Curated training sets.")
    diversity: Diversity = Diversity()
    training: Training = Field(default=_AS_IF_WRITTEN)
    evaluation: Evaluation = Field(
        default=_AS_IF_WRITTEN,
        description="What trained CLIPs are measured on. Without it mixes are built and exported,"
        " and nothing is trained.",
    )
    exports: dict[Name, Export] = Field(
        default={}, description="Mixes written out in the forms that other tools read."
    )
    report: Report = Report()
    automation: Automation = Automation()
    prices: Prices = Field(default=Prices(), exclude_if=lambda prices: prices == Prices())
    recipe: Recipe | None = Field(
        default=None, description="Of a recipe: the paper that it follows, and what it found."
    )
    sweep: dict[str, tuple[Swept, ...] | SweptOnly] = Field(
        default={},
        description="Settings to vary: for each key of a part's setting its values, as "
        "`mixes.best.rules.0.where.top: [0.1, 0.2]`. Adds the part, and what uses it up to the "
        "mixes, once for each value.",
    )
    searches: dict[Name, Search] = Field(
        default={}, description="Settings of mixes to search for, with small trainings."
    )
    size: str = Field(
        default=FULL, description="Which of `sizes` is built; `full` is the file as it is."
    )
    sizes: dict[Name, dict[str, Any]] = Field(
        default={},
        description="Other sizes of the same experiment: for each the settings laid over the file, "
        "as `pool.samples: 300`; null takes a part out. Its results are in a folder of their own, "
        "NAME_SIZE.",
    )

    @property
    def source_names(self) -> tuple[str, ...]:
        """`raw` and the declared sources."""
        return (RAW, *self.sources)

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns of the pool that are declared."""
        return tuple(self.pool.columns)

    @property
    def text_names(self) -> tuple[str, ...]:
        """What a prompt may name in braces: the sources, and the columns of the pool."""
        return (*self.source_names, *self.pool.columns)

    @property
    def tasks(self) -> Mapping[str, TaskSpec]:
        """The evaluation tasks by name."""
        return self.evaluation.tasks

    @property
    def task_names(self) -> tuple[str, ...]:
        """Every evaluation task, DataComp's included."""
        return self.evaluation.task_names

    @property
    def trains(self) -> bool:
        """Whether a CLIP is trained on each mix: where there is a task to measure it on."""
        return bool(self.task_names)

    @property
    def identifiers(self) -> Mapping[str, IdentifierSpec]:
        """The language identifiers by name; a declared one replaces the one of its name."""
        return {**always_there(), **self.languages}

    @property
    def version(self) -> str:
        """Hash of the whole experiment."""
        return fingerprint_of(self)

    def scorer_of(self, mix: Mix) -> str:
        """The scorer whose scores decide this mix."""
        return mix.scorer or next(iter(self.scorers))

    def reads(self, mix: Mix) -> Reads:
        """The sources, scores and image scorers that decide this mix."""
        return reads_of(mix, self.source_names)

    @property
    def left_out(self) -> dict[str, dict[str, str]]:
        """For each mix that says `leave_one_source_out`, the mix without each of its sources."""
        return {
            name: {source: left_out_name(name, source) for source in captions_used(mix)}
            for name, mix in self.mixes.items()
            if mix.leave_one_source_out
        }

    @property
    def added_mixes(self) -> frozenset[str]:
        """The mixes that stand for another one without a source."""
        return frozenset(name for names in self.left_out.values() for name in names.values())

    @field_validator("mixes")
    @classmethod
    def _leave_one_source_out(cls, mixes: dict[str, Mix]) -> dict[str, Mix]:
        return with_left_out(mixes)

    @field_validator("exports")
    @classmethod
    def _exports_for_training(
        cls, exports: dict[str, ExportSpec], info: ValidationInfo
    ) -> dict[str, ExportSpec]:
        mixes, training = info.data.get("mixes", {}), info.data.get("training")
        evaluation = info.data.get("evaluation")
        trains = isinstance(evaluation, Evaluation) and bool(evaluation.task_names)
        reads = trains and _reads_exports(training)
        return with_training_exports(exports, mixes) if reads else exports

    def training_export(self, mix: str) -> str:
        """The export that a trainer reads for a mix, where the launcher reads exports."""
        return training_export(self.exports, mix) or added_name(mix)

    @model_validator(mode="before")
    @classmethod
    def _null_is_left_out(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        given = cast("dict[str, object]", value)
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        return {k: v for k, v in given.items() if v is not None or k not in optional}

    @model_validator(mode="before")
    @classmethod
    def _holds_no_secret(cls, value: object) -> object:
        # The file is kept with what it decides: in lineage, receipts and events.
        for path, text in texts_of(value):
            if redacted(text) != text:
                msg = (
                    f"{path}: a password, key or token has no place in this file; name a key "
                    "by api_key_env, or put it where the storage's own library looks for it (the "
                    "environment, ~/.aws, ~/.netrc)"
                )
                raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _names_resolve(self) -> Self:
        problems = [
            *self._reference_problems(),
            *self._named_by_parts(),
            *self._crossing_circles(),
            *self._set_problems(),
            *self._mix_problems(),
            *self._report_problems(),
            *self._export_problems(),
            *self._recipe_problems(),
            *self._search_problems(),
        ]
        problems = problems or list(problems_of_only(self, self._named_by, PARTS))
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _reference_problems(self) -> Iterator[str]:
        if RAW in self.sources:
            yield "sources.raw: `raw` is the pool's own text and cannot be declared"
        if USED in self.sources:
            yield f"sources.{USED}: `{USED}` is the text that a rule takes; choose another name"
        yield from self._circles("models", "the models start from each other in a circle")
        yield from self._source_problems()
        yield from self._evaluation_problems()

    def _evaluation_problems(self) -> Iterator[str]:
        yield from self._prefix_problems()
        for name, task in self.tasks.items():
            yield from self.problems_of(f"evaluation.tasks.{name}", task)
        for name in self.evaluation.average:
            yield from unknown("evaluation.average", name, self.evaluation.task_names)
        if captions := self.evaluation.captions:
            for name in captions.sets:
                yield from unknown("evaluation.captions.sets", name, self.evaluation.task_names)
            # By default the first.
            scorer = captions.scorer or next(iter(self.scorers))
            one = Reference("scorer", scorer, "scorers", gives=EMBEDDINGS)
            yield from self._reference_of("evaluation.captions.scorer", one)

    def _prefix_problems(self) -> Iterator[str]:
        prefix = self.evaluation.prefix
        if prefix is not None:
            yield from unknown("evaluation.prefix", prefix, self.source_names)
        if self.training.marks_sources and prefix is None:
            known = listed(self.source_names)
            yield f"evaluation.prefix: training.prefix is set; name the source for prompts: {known}"
        if prefix is not None and not self.training.marks_sources:
            yield "evaluation.prefix: no text that is trained on has one; set training.prefix"

    def _source_problems(self) -> Iterator[str]:
        for name, source in self.sources.items():
            where = f"sources.{name}"
            yield from (f"{where}.{problem}" for problem in source.problems(self.models))
        yield from self._circles("sources", "the sources are made of each other in a circle")
        for name in self.pool.columns:
            if name in self.source_names:
                yield f"pool.columns.{name}: a source has this name; give the column another"

    def _named_by_parts(self) -> Iterator[str]:
        for where, part in self._parts():
            yield from self.problems_of(where, part)

    def problems_of(self, where: str, part: Spec) -> Iterator[str]:
        """What a part names that this experiment does not have."""
        for one in part.refers():
            yield from self._reference_of(f"{where}.{one.field}", one)

    def _parts(self) -> Iterator[tuple[str, Spec]]:
        yield "pool", self.pool
        # What is wrong with a mix without a source is wrong with the whole mix.
        for section in PARTS:
            for name, part in getattr(self, section).items():
                if section != "mixes" or name not in self.added_mixes:
                    yield f"{section}.{name}", part

    def _reference_of(self, where: str, one: Reference) -> Iterator[str]:
        known: Collection[str] = getattr(self, one.section)
        also: Collection[str] = () if one.also is None else getattr(self, one.also)
        yield from unknown(where, one.name, (*known, *also))
        if one.kind is not None and one.name in known:
            words = {name: self._word_of(one.section, name) for name in known}
            if words[one.name] != one.kind:
                fitting = [name for name, word in words.items() if word == one.kind]
                yield of_another_kind(where, one.name, fitting)
        if one.gives is not None and one.name in known:
            yield from self._lacks(where, one, one.gives)

    def _lacks(self, where: str, one: Reference, what: str) -> Iterator[str]:
        parts: Mapping[str, Spec] = getattr(self, one.section)
        if what not in parts[one.name].gives:
            kind = parts[one.name].word
            fitting = [name for name, part in parts.items() if what in part.gives]
            yield (
                f"{where}: {one.section}.{one.name} is of the kind {kind}, which has no {what}; "
                f"of those that have are {listed(fitting)}"
            )

    def _word_of(self, section: str, name: str) -> str:
        parts: Mapping[str, Spec] = getattr(self, section)
        return parts[name].word

    def _circles(self, section: str, what: str) -> Iterator[str]:
        parts: Mapping[str, Spec] = getattr(self, section)
        # Some sections name those of another and more: sources, `raw` and columns of the pool.
        # Those by `only`, which makes no text, are in `problems_of_only`.
        named = {
            name: [
                one
                for one in part.refers()
                if one.name in parts and section_of(one) == section and not is_of_only(one)
            ]
            for name, part in parts.items()
        }
        reads = {name: [one.name for one in ones] for name, ones in named.items()}
        for name, ones in named.items():
            into = next((one for one in ones if name in reached(reads, one.name)), None)
            if into is not None:
                yield f"{section}.{name}.{into.field}: {what}"

    def _crossing_circles(self) -> Iterator[str]:
        """What is made of itself by way of other parts, such as a mix of its own model.

        Those among models alone and among sources alone have words of their own.
        """
        names = {(section, name) for section in PARTS for name in getattr(self, section)}
        reads = {at: [to for to in self._named_by(*at) if to in names] for at in names}
        for circle in circles(reads, PARTS):
            if {section for section, _ in circle} not in ({"models"}, {"sources"}):
                path = " → ".join(f"{section}.{name}" for section, name in (*circle, circle[0]))
                section, name = circle[0]
                yield f"{section}.{name}: it is made of itself: {path}"

    def _named_by(self, section: str, name: str) -> Iterator[tuple[str, str]]:
        part: Spec = getattr(self, section)[name]
        for one in part.refers():
            other = one.also if one.name not in self.source_names else None
            yield other or section_of(one), one.name
        if isinstance(part, Mix):
            yield "scorers", self.scorer_of(part)

    def _set_problems(self) -> Iterator[str]:
        for name, spec in self.sets.items():
            for field, _ in spec.metadata_columns():
                if not self._has_metadata:
                    where = f"sets.{name}.{field}"
                    yield f"{where}: `pool.metadata`, which would hold them, is not set"

    @property
    def _has_metadata(self) -> bool:
        return self.pool.metadata_folder is not None

    def _mix_problems(self) -> Iterator[str]:
        for name, mix in self.mixes.items():
            if name in self.added_mixes:
                continue
            if mix.scorer is None and len(self.scorers) > 1:
                yield f"mixes.{name}.scorer: name one of {listed(self.scorers)}"
            problems = [*mix.problems(), *self._bound_problems(mix)]
            yield from (f"mixes.{name}.{problem}" for problem in problems)

    def _bound_problems(self, mix: Mix) -> Iterator[str]:
        """Fixed cut-offs that no score of a scorer within [-1, 1] can be compared with."""
        for path, column, value in mix.numbers():
            scorer, name = scorer_and_name(column)
            is_of_image = scorer is None and name != USED and name not in self.source_names
            spec = self.scorers.get(scorer or self.scorer_of(mix))
            if abs(value) > 1 and spec is not None and spec.bounded and not is_of_image:
                of = scorer or self.scorer_of(mix)
                yield f"{path}: {value:g} is no score of {of}, whose scores are in [-1, 1]"

    def _report_problems(self) -> Iterator[str]:
        yield from self.report.problems(self.mixes, self.evaluation.task_names)

    def _export_problems(self) -> Iterator[str]:
        folders: dict[str, str] = {}
        for name, export in self.exports.items():
            if export.folder is not None:
                first = folders.setdefault(export.folder.rstrip("/"), name)
                if first != name:
                    yield f"exports.{name}.folder: exports.{first} goes to {export.folder} already"

    def _recipe_problems(self) -> Iterator[str]:
        # `load_experiment` takes the file's settings of another size, and then there are none.
        if self.size != FULL:
            yield f"size: there is no {self.size!r}; known are {listed([FULL, *self.sizes])}"
        if self.recipe is not None:
            yield from self.recipe.problems(
                {
                    "mixes": self.mixes,
                    "sources": self.source_names,
                    "tasks": self.evaluation.task_names,
                    "scorers": self.scorers,
                }
            )

    def _search_problems(self) -> Iterator[str]:
        training = self.training
        if self.searches and not self.trains:
            yield "searches: a search trains and measures; name a task in `evaluation.tasks`"
        if self.searches and not training.trains_here:
            yield (
                f"searches: a search trains in the process of the build, and the launcher "
                f"{training.word} does not; write `training.launcher: in_process`"
            )
        for name, search in self.searches.items():
            found = search.problems(self.mixes, self.evaluation.task_names, training.samples_seen)
            yield from (f"searches.{name}.{problem}" for problem in found)


def _reads_exports(training: object) -> bool:
    return isinstance(training, TrainingSpec) and training.reads_exports
