"""Kinds of each family: ours by the list below, those of other packages by their entry points.

A package adds a kind by an entry point of the group `recap.<family>`, named as the kind is::

    [project.entry-points."recap.captions"]
    onnx = "recap_onnx:OnnxSource"

Kinds are imported when an experiment is first checked, and no sooner: a package that cannot be
imported stops the experiments that use its kind, and nothing else.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module, metadata
from inspect import isabstract
from typing import Annotated, Any, LiteralString, TypeVar, Union, cast

from pydantic import Discriminator, Field, GetCoreSchemaHandler, Tag
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from recap_assets.specs.base import Spec, word_of
from recap_assets.untrusted.errors import RecapError
from recap_assets.untrusted.showing import one_line

T = TypeVar("T", bound=Spec)

OURS = "recap-assets"
UNKNOWN = "unknown_kind"
"""Type of the validation error that says that nobody gives a kind; `family` and `words` with it."""

NO_KIND = "no_kind"
"""Type of the one that says that what is written can name none, as where a number is."""


@dataclass(frozen=True)
class Family:
    """Kinds that stand at one place of an experiment.

    Attributes:
        called: One of them, for messages.
        base: The class that every kind is below, as `module:class`.
        field: The field whose one value is the kind's word; None where the word is the name of the
            kind's first field, as in `{top: 0.3}`.
        unsaid: The word that is meant where none is written, by a key that is; by "" for any.
        example: What else may be written, for messages.
    """

    called: str
    base: str = "recap_assets.specs.base:Spec"
    field: str | None = "kind"
    unsaid: tuple[tuple[str, str], ...] = ()
    example: str = ""

    def words_in(self, given: Mapping[str, object]) -> Sequence[str]:
        """The word of a kind as it is written; several where it may be any of some keys."""
        if self.field is None:
            return [str(key) for key in given]
        if self.field in given:
            return [str(given[self.field])]
        return [word for key, word in self.unsaid if not key or key in given][:1]


FAMILIES: Mapping[str, Family] = {
    "pools": Family("a pool", "recap_assets.pool.kind:PoolKind"),
    "corpora": Family("a corpus", "recap_assets.training.corpora.kind:CorpusKind"),
    "models": Family("a model", "recap_assets.training.models.kind:ModelKind"),
    "captions": Family("a caption source", "recap_assets.captions.kind:CaptionSource"),
    "rewriters": Family("a rewriter", "recap_assets.captions.rewriters.kind:Rewriting"),
    "scores": Family("a scorer", "recap_assets.scores.kind:Scoring"),
    "image_scorers": Family("an image scorer", "recap_assets.scores.of_images.kind:ImageScoring"),
    "languages": Family("a language identifier", "recap_assets.sets.languages.kind:IdentifierKind"),
    "sets": Family(
        "a set",
        "recap_assets.sets.kind:SetKind",
        unsaid=(("uids", "file"),),
        example="`{uids: file}`",
    ),
    "targets": Family("a target", "recap_assets.sets.targets:Target", field=None),
    "conditions": Family("a condition", "recap_assets.mixes.conditions.kind:Condition", None),
    "uses": Family(
        "a use", "recap_assets.mixes.uses.kind:Use", None, example="the name of a source"
    ),
    "exports": Family("an export", "recap_assets.exports.kind:ExportKind", "to"),
    "launchers": Family(
        "training", "recap_assets.training.kind:Launcher", "launcher", unsaid=(("", "in_process"),)
    ),
    "trackers": Family("a tracker", "recap_assets.tracking.kind:Tracker"),
    "tasks": Family("an evaluation task", "recap_assets.evalsets.kind:Task"),
}
"""All that other packages can add to, by the name of their group of entry points."""

BUILT_IN: Mapping[str, tuple[str, ...]] = {
    "pools": (
        "recap_assets.pool.kinds.embedded:EmbeddedPool",
        "recap_assets.pool.kinds.webdataset:WebDatasetPool",
        "recap_assets.pool.kinds.folder:FolderPool",
        "recap_assets.pool.kinds.urls:UrlPool",
    ),
    "corpora": (
        "recap_assets.training.corpora.kinds.embedded:EmbeddedCorpus",
        "recap_assets.training.corpora.kinds.webdataset:WebDatasetCorpus",
        "recap_assets.training.corpora.kinds.mix:MixCorpus",
        "recap_assets.training.corpora.kinds.texts:TextsCorpus",
    ),
    "captions": (
        "recap_assets.captions.kinds.trained:EmbeddedSource",
        "recap_assets.captions.kinds.transformers:TransformersSource",
        "recap_assets.captions.kinds.open_clip:OpenClipSource",
        "recap_assets.captions.kinds.openai:OpenAISource",
        "recap_assets.captions.kinds.vllm:VllmSource",
        "recap_assets.captions.kinds.imported:ImportSource",
        "recap_assets.captions.kinds.reranked:RerankedSource",
        "recap_assets.captions.kinds.template:TemplateSource",
        "recap_assets.captions.kinds.split:SplitSource",
        "recap_assets.captions.kinds.rewrite:RewriteSource",
        "recap_assets.captions.kinds.shared:SharedSource",
        "recap_assets.captions.kinds.regions:RegionsSource",
    ),
    "rewriters": (
        "recap_assets.captions.rewriters.kinds.openai:OpenAIRewriter",
        "recap_assets.captions.rewriters.kinds.trained:EmbeddedRewriter",
        "recap_assets.captions.rewriters.kinds.transformers:TransformersRewriter",
    ),
    "exports": (
        "recap_assets.exports.kinds.subset:SubsetExport",
        "recap_assets.exports.kinds.webdataset:WebDatasetExport",
        "recap_assets.exports.kinds.huggingface:HuggingFaceExport",
        "recap_assets.exports.kinds.text_to_image:TextToImageExport",
        "recap_assets.exports.kinds.conversations:ConversationsExport",
        "recap_assets.exports.kinds.llava:LlavaExport",
        "recap_assets.exports.kinds.conversation_tars:ConversationTarsExport",
        "recap_assets.exports.kinds.reinforced:ReinforcedExport",
        "recap_assets.exports.kinds.fiftyone:FiftyOneExport",
    ),
    "languages": (
        "recap_assets.sets.languages.kinds.fasttext:FastTextIdentifier",
        "recap_assets.sets.languages.kinds.cld3:Cld3Identifier",
    ),
    "sets": (
        "recap_assets.sets.kinds.file:UidFile",
        "recap_assets.sets.kinds.no_filter:NoFilter",
        "recap_assets.sets.kinds.basic:BasicFilter",
        "recap_assets.sets.kinds.laion2b:Laion2b",
        "recap_assets.sets.kinds.text_based:TextBased",
        "recap_assets.sets.kinds.image_based:ImageBased",
        "recap_assets.sets.kinds.unique:Unique",
        "recap_assets.sets.kinds.image_score:ImageScoreRule",
        "recap_assets.sets.kinds.words:WordsSet",
        "recap_assets.sets.kinds.balanced:Balanced",
        "recap_assets.sets.kinds.frequency:Frequency",
        "recap_assets.sets.kinds.entries:EntriesSet",
    ),
    "targets": (
        "recap_assets.sets.kinds.image_based.target_embeddings:TargetEmbeddings",
        "recap_assets.sets.kinds.image_based.target_images:TargetImages",
        "recap_assets.sets.kinds.image_based.target_task:TargetTask",
    ),
    "scores": (
        "recap_assets.scores.kinds.trained:EmbeddedScorer",
        "recap_assets.scores.kinds.open_clip:OpenClipScorer",
        "recap_assets.scores.kinds.reward:RewardScorer",
        "recap_assets.scores.kinds.combined:CombinedScorer",
        "recap_assets.scores.kinds.clip_loss:NegClipLossScorer",
        "recap_assets.scores.kinds.matching:ImageTextMatching",
        "recap_assets.scores.kinds.judge:ChatJudge",
        "recap_assets.scores.kinds.text_similarity:TextSimilarityScorer",
        "recap_assets.scores.kinds.words:WordsScorer",
        "recap_assets.scores.kinds.vocabulary:VocabularyScorer",
    ),
    "image_scorers": (
        "recap_assets.scores.of_images.kinds.head:EmbeddingHead",
        "recap_assets.scores.of_images.kinds.classifier:ImageClassifier",
        "recap_assets.scores.of_images.kinds.norm_sim:NormSim",
    ),
    "tasks": (
        "recap_assets.evaluation.kinds.embedded:EmbeddedTask",
        "recap_assets.evaluation.kinds.webdataset:WebDatasetTask",
        "recap_assets.evaluation.kinds.composition:CompositionTask",
        "recap_assets.evaluation.kinds.conditional:ConditionalTask",
        "recap_assets.evaluation.kinds.sentences:SentencesTask",
        "recap_assets.evaluation.kinds.languages:LanguagesTask",
        "recap_assets.evaluation.kinds.neighbours:NeighboursTask",
        "recap_assets.evaluation.kinds.bags:BagsTask",
    ),
    "models": (
        "recap_assets.training.models.kinds.clip:TrainedClip",
        "recap_assets.training.models.kinds.captioner:TrainedCaptioner",
        "recap_assets.training.models.kinds.rewriter:TrainedRewriter",
        "recap_assets.training.models.kinds.preference:PreferenceModel",
        "recap_assets.training.models.kinds.vocabulary:TrainedVocabulary",
    ),
    "launchers": (
        "recap_assets.training.kinds.in_process:InProcessTraining",
        "recap_assets.training.kinds.torchrun:TorchrunTraining",
    ),
    "trackers": (
        "recap_assets.tracking.kinds.mlflow:MlflowTracker",
        "recap_assets.tracking.kinds.wandb:WandbTracker",
        "recap_assets.tracking.kinds.trackio:TrackioTracker",
    ),
    "conditions": (
        "recap_assets.mixes.conditions.kinds.top:TopFraction",
        "recap_assets.mixes.conditions.kinds.best:TargetSize",
        "recap_assets.mixes.conditions.kinds.at_least:AtLeast",
        "recap_assets.mixes.conditions.kinds.in_set:InSet",
        "recap_assets.mixes.conditions.kinds.combined:Every",
        "recap_assets.mixes.conditions.kinds.combined:Either",
        "recap_assets.mixes.conditions.kinds.combined:Without",
    ),
    "uses": (
        "recap_assets.mixes.uses.kinds.source:SourceUse",
        "recap_assets.mixes.uses.kinds.best_of:BestOf",
        "recap_assets.mixes.uses.kinds.random_of:RandomOf",
        "recap_assets.mixes.uses.kinds.join:Join",
        "recap_assets.mixes.uses.kinds.each:Each",
    ),
}
"""One line a kind, in the order in which messages and the schema name them."""


class KindError(RecapError, ValueError):
    """A kind cannot be used. The text names it, the distribution that gives it, and what to do."""


@dataclass(frozen=True)
class Kind:
    """One kind.

    Attributes:
        family: What it is a kind of.
        name: The word after `kind:`.
        distribution: The distribution that gives it.
        version: The distribution's version.
        spec: The class; None for one that cannot be imported.
        why: Why it cannot be imported; "" for one that can.
        extras: Extras that its entry point asks for.
    """

    family: str
    name: str
    distribution: str
    version: str
    spec: type[Spec] | None
    why: str = ""
    extras: tuple[str, ...] = ()

    @property
    def needs(self) -> str:
        """What must be installed beside the distribution: an extra of it, or a command; or ""."""
        extra = ",".join(self.extras) or (self.spec.extra if self.spec else "")
        if extra:
            return f"{self.distribution}[{extra}]"
        return self.spec.installed_by if self.spec else ""

    @property
    def is_ours(self) -> bool:
        """Whether this distribution gives it."""
        return self.distribution == OURS

    @property
    def summary(self) -> str:
        """The first line of the class's docstring."""
        doc = (self.spec.__doc__ or "") if self.spec else f"cannot be imported: {self.why}"
        return one_line(doc.strip().partition("\n")[0])


@cache
def kinds_of(family: str) -> Mapping[str, Kind]:
    """All kinds of a family by name, ours first.

    Raises:
        KindError: Two distributions give a kind of one name.
    """
    found: dict[str, list[Kind]] = defaultdict(list)
    for one in (*_built_in(family), *_of_others(family)):
        found[one.name].append(one)
    for name, claims in found.items():
        if len(claims) > 1:
            who = " and ".join(f"{one.distribution} {one.version}" for one in claims)
            msg = f"{family}: the kind {name!r} is given by {who}. Uninstall all but one"
            raise KindError(msg)
    return {name: claims[0] for name, claims in found.items()}


def why_unknown(family: str, *words: str, below: type[Spec] = Spec) -> str:
    """What to say where no kind can be had.

    Args:
        family: What it was to be a kind of.
        words: What was written; none where nothing was, several where any may be meant.
        below: What it must be besides.
    """
    for word in words:
        kind = kind_named(family, word)
        if kind is not None and kind.spec is None:
            of = f"{kind.distribution} {kind.version}"
            return f"the kind {word!r} is given by {of}, which cannot be imported: {kind.why}"
    at, known = FAMILIES[family], ", ".join(_usable(family, below))
    if at.field is None:
        also = f"{at.example}, or " if at.example else ""
        return f"{at.called} is {also}one of {known}"
    if not words:
        also = f"{at.called} is {at.example}, or " if at.example else ""
        return f"{also}the key `{at.field}` is missing; there are {known}"
    return f"no installed package gives a kind {words[0]!r}; there are {known}"


def kind_named(family: str, name: str) -> Kind | None:
    """The kind of this name; None where no installed distribution gives one."""
    return kinds_of(family).get(name)


def fitting(where: str, spec: Spec, base: type[T]) -> T:
    """A part of an experiment as what it must be.

    Raises:
        KindError: It is something else, which only another package's kind can be.
    """
    if isinstance(spec, base):
        return spec
    of = f"{type(spec).__name__} of {spec.distribution or OURS}"
    msg = f"{where}: {of} is no {base.__name__}"
    raise KindError(msg)


def _built_in(family: str) -> Iterator[Kind]:
    for where in BUILT_IN.get(family, ()):
        spec = _class_at(where)
        yield Kind(family, word_of(spec), OURS, _own_version(), spec)


def _class_at(where: str) -> type[Spec]:
    module, _, name = where.partition(":")
    return cast("type[Spec]", getattr(import_module(module), name))


def _usable(family: str, below: type[Spec] = Spec) -> Mapping[str, type[Spec]]:
    found = {name: kind.spec for name, kind in kinds_of(family).items()}
    return {name: spec for name, spec in found.items() if spec and issubclass(spec, below)}


@cache
def _own_version() -> str:
    try:
        return metadata.version(OURS)
    except metadata.PackageNotFoundError:
        return "unknown"


def _of_others(family: str) -> Iterator[Kind]:
    points = _entry_points(tuple(sys.path)).select(group=f"recap.{family}")
    for point in sorted(points, key=lambda point: (point.name, point.value)):
        yield _loaded(family, point)


@cache
def _entry_points(_path: Sequence[str]) -> metadata.EntryPoints:
    """Those of every distribution that is installed; reading them takes a file of each."""
    return cast("metadata.EntryPoints", metadata.entry_points())


def _loaded(family: str, point: metadata.EntryPoint) -> Kind:
    dist = point.dist
    name, version = (dist.name, dist.version) if dist is not None else ("unknown", "unknown")
    try:
        spec = point.load()
        why = unfit(family, point.name, spec)
    except Exception as error:
        spec, why = None, one_line(f"{type(error).__name__}: {error}")
    if why or spec is None:
        return Kind(family, point.name, name, version, None, why, tuple(point.extras))
    spec.distribution, spec.distribution_version, spec.family = name, version, family
    return Kind(family, point.name, name, version, spec, extras=tuple(point.extras))


def unfit(family: str, name: str, spec: object) -> str:
    """Why a class cannot be the kind of this name; "" where it can."""
    base = FAMILIES[family].base
    if not (isinstance(spec, type) and issubclass(spec, _class_at(base))):
        return f"{spec!r} is no subclass of {base.replace(':', '.')}"
    if word_of(spec) != name:
        field = FAMILIES[family].field
        of = f"its field `{field}`" if field else "its first field"
        return f"{of} is {word_of(spec)!r} and not {name!r}, as its entry point says"
    if isabstract(spec):
        return f"it does not give {', '.join(sorted(spec.__abstractmethods__))}"
    return ""


@dataclass(frozen=True)
class OneOf:
    """In a field's type: one of the kinds of a family, by its word.

    Attributes:
        family: The family.
        below: Only those below this class.
    """

    family: str
    below: type[Spec] = Spec

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """The schema of all kinds that can be imported."""
        return core_schema.no_info_before_validator_function(
            self._refuse_unknown, handler.generate_schema(self._union())
        )

    def _refuse_unknown(self, given: object) -> object:
        if isinstance(given, dict) and self._word(cast("object", given)) is None:
            words = FAMILIES[self.family].words_in(cast("dict[str, object]", given))
            raise self._refusal(UNKNOWN, words)
        if not isinstance(given, dict | Spec) and FAMILIES[self.family].field is None:
            raise self._refusal(NO_KIND, ())
        return cast("object", given)

    def _refusal(self, type_: LiteralString, words: Sequence[str]) -> PydanticCustomError:
        why = why_unknown(self.family, *words, below=self.below)
        return PydanticCustomError(
            type_, "{why}", {"why": why, "family": self.family, "words": words}
        )

    def _union(self) -> Any:  # noqa: ANN401 - a type that is known only now
        family, specs = FAMILIES[self.family], _usable(self.family, self.below)
        if family.field is not None and not family.unsaid:
            named: Any = Union[tuple(specs.values())]  # noqa: UP007
            return Annotated[named, Field(discriminator=family.field)]
        tagged: Any = Union[tuple(Annotated[spec, Tag(word)] for word, spec in specs.items())]  # noqa: UP007
        return Annotated[tagged, Discriminator(self._word)]

    def _word(self, given: object) -> str | None:
        if isinstance(given, Spec):
            return given.word
        if not isinstance(given, dict):
            return None
        known = _usable(self.family, self.below)
        written = FAMILIES[self.family].words_in(cast("dict[str, object]", given))
        return next((word for word in known if word in written), None)
