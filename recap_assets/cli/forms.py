"""What each command prints with `--json`: the forms, for whoever reads it in a program.

Commands make plain dicts; a test holds them to these forms. Within a `FORMAT` keys are only added.
"""

from collections.abc import Mapping
from typing import Annotated, Any, NotRequired

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from recap_assets.cli.forget_form import Forgetting
from recap_assets.cli.forget_form import exact as _exact

FORMAT = 1
"""Raised where a key is renamed, removed or given another type."""

Partition = Annotated[str, Field(description="Empty where the asset has no partitions.")]
Counts = dict[str, int]
Record = dict[str, Any]


@_exact
class PlanRow(TypedDict):
    """A partition that is out of date, or that left the experiment."""

    asset: Annotated[str, Field(description="Its key.")]
    partition: Partition
    state: Annotated[str, Field(description="`ready`, `blocked` (reads such) or `leaving`.")]
    reason: Annotated[str, Field(description="Why, in a sentence.")]
    may_stay: Annotated[bool, Field(description="True: built only if what it reads changes.")]
    rows_to_compute: Annotated[int | None, Field(description="Null where it is not known.")]
    rows_to_reuse: Annotated[int | None, Field(description="Null where it is not known.")]
    taken_over_from: Annotated[
        str | None, Field(description="Whose result is taken over. Null: computed, or not known.")
    ]
    may_be_taken_over_from: Annotated[
        str | None, Field(description="The same, if what it reads comes out as that one's did.")
    ]
    expected_seconds: Annotated[float, Field(description="Of one worker.")]
    expected_gpu_seconds: Annotated[float, Field(description="The part that a GPU is held.")]
    expected_bytes: Annotated[int, Field(description="Bytes to write.")]
    is_guess: Annotated[bool, Field(description="True where nothing like it was built before.")]
    expected_prompt_tokens: Annotated[int | None, Field(description="Null: no server, or unknown.")]
    expected_completion_tokens: Annotated[int | None, Field(description="The same.")]
    expected_cost: Annotated[float | None, Field(description="At the prices of the file.")]


@_exact
class Accounted(TypedDict):
    """Where the rows of an asset went."""

    asset: Annotated[str, Field(description="Its key.")]
    rows: Annotated[int, Field(description="In all.")]
    usable: Annotated[int, Field(description="Of them.")]
    without_text: Annotated[int, Field(description="Usable ones that have no text.")]
    rejected: Annotated[Counts, Field(description="Set aside, by reason.")]


@_exact
class BuildDone(TypedDict):
    """What a build did."""

    experiment: Annotated[str, Field(description="Its name.")]
    data: Annotated[str, Field(description="The data folder.")]
    agreed: Annotated[bool, Field(description="False where nobody said yes, so nothing was done.")]
    built: Annotated[int, Field(description="Partitions.")]
    taken_over: Annotated[int, Field(description="Of them from earlier results.")]
    removed: Annotated[int, Field(description="Partitions that left the experiment.")]
    kept: Annotated[int, Field(description="Partitions that left it, and were not removed.")]
    failed: Annotated[dict[str, str], Field(description="What went wrong, by partition.")]
    rows: Annotated[dict[str, Counts], Field(description="By asset: rows computed and reused.")]
    accounts: list[Accounted]
    seconds: float
    report: Annotated[str | None, Field(description="Its file; null before there is one.")]


@_exact
class AssetStatus(TypedDict):
    """The state of an asset."""

    asset: str
    partitions: Annotated[int, Field(description="That there should be.")]
    built: Annotated[int, Field(description="Of them.")]
    out_of_date: Annotated[int, Field(description="Of them.")]
    rows: Annotated[int | None, Field(description="Null of a model and others that have none.")]
    rejected: Annotated[Counts, Field(description="Set aside, by reason.")]
    seconds: Annotated[float, Field(description="That computing it took.")]
    last_built: Annotated[str | None, Field(description="A time with its zone; null: never.")]
    texts: NotRequired[Annotated[Counts, Field(description="Of `raw_pool`: notes on texts.")]]
    source: NotRequired[Annotated[str, Field(description="Of captions from a server.")]]
    captions: NotRequired[int]
    prompt_tokens: NotRequired[int]
    completion_tokens: NotRequired[int]
    cost: NotRequired[float | None]


@_exact
class Lineage(TypedDict):
    """Where an asset comes from."""

    asset: str
    version: Annotated[str, Field(description="Hash over its partitions' data versions.")]
    ancestors: Annotated[list[Record], Field(description="It and all it reads, with receipts.")]
    pool: Annotated[list[Record], Field(description="The shards of each partition of the pool.")]


@_exact
class OfImage(TypedDict):
    """Why an image is in a mix with this caption, or what dropped it (`lineage --uid`)."""

    uid: Annotated[str, Field(description="32 hex digits.")]
    usable: bool
    samples: Annotated[list[Record], Field(description="Where the image is in the pool.")]
    captions: Annotated[list[Record], Field(description="With the score of each scorer.")]
    mixes: Annotated[list[Record], Field(description="Rules, what each made of it, stored rows.")]


@_exact
class PinDone(TypedDict):
    """A receipt that was written."""

    asset: str
    name: str
    version: str
    receipt: Annotated[str, Field(description="Its file.")]


@_exact
class Verified(TypedDict):
    """Whether tables and files hold what the receipts say."""

    asset: str
    equal: bool
    checked: Annotated[int, Field(description="Partitions that were hashed.")]
    unchecked: Annotated[dict[str, str], Field(description="Why not, by asset.")]
    differences: list[Record]


@_exact
class ReproducedAsset(TypedDict):
    """How the partitions of an asset compare with those of the receipt."""

    asset: str
    equal: int
    differ: int
    causes: Annotated[Counts, Field(description="Partitions by the probable cause.")]


@_exact
class Reproduced(TypedDict):
    """What building a pinned version again gave."""

    asset: str
    data: Annotated[str, Field(description="The new data folder.")]
    equal: Annotated[bool, Field(description="Of the asset itself, with the same partitions.")]
    failed: Annotated[dict[str, str], Field(description="What went wrong, by partition.")]
    assets: list[ReproducedAsset]


@_exact
class InitDone(TypedDict):
    """A starting file that was written."""

    path: str
    pool: Annotated[str, Field(description="What it is for, in words.")]


@_exact
class Found(TypedDict):
    """What doctor found of one part."""

    verdict: Annotated[str, Field(description="`ok`, `wrong` or `note`.")]
    text: str


@_exact
class DoctorDone(TypedDict):
    """What stands between an experiment and a build."""

    experiment: Annotated[str | None, Field(description="Its name; null: the file is unusable.")]
    wrong: Annotated[int, Field(description="Findings that a build would fail for.")]
    notes: Annotated[int, Field(description="Findings worth a look.")]
    findings: list[Found]


@_exact
class CollectedTable(TypedDict):
    """What goes from a table."""

    table: str
    files: Annotated[int, Field(description="Data files that no kept version needs.")]
    bytes: int
    log_files: int
    log_bytes: int
    merged_files: Annotated[int, Field(description="Small ones.")]
    young_files: Annotated[int, Field(description="Needed by nothing, but too young to go.")]
    reusable_rows: Annotated[int, Field(description="That no build can take over then.")]
    refused: Annotated[str | None, Field(description="Why nothing was touched.")]


@_exact
class LeftOver(TypedDict):
    """What crashes and old builds left, of one kind."""

    kind: str
    files: int
    bytes: int


@_exact
class CollectionDone(TypedDict):
    """What goes, or would go."""

    removed: Annotated[bool, Field(description="Whether it went; false of a dry run.")]
    pinned: Annotated[dict[str, dict[str, list[str]]], Field(description="Receipts by version.")]
    tables: list[CollectedTable]
    leftovers: list[LeftOver]


@_exact
class ImportReport(TypedDict):
    """How an import fits the pool; each import is a line of its own."""

    source: str
    files: Annotated[dict[str, Record], Field(description="`n` and examples by what was counted.")]
    pool: Annotated[dict[str, Record], Field(description="The same, of the pool.")]


@_exact
class SourceShare(TypedDict):
    """The part of a mix's pairs that a source gives."""

    source: str
    share: Annotated[float, Field(description="Between 0 and 1.")]


@_exact
class CutOff(TypedDict):
    """A realised cut-off."""

    path: Annotated[str, Field(description="In the mix, such as `rules.0.where`.")]
    source: str
    value: float


@_exact
class Overlap(TypedDict):
    """Images that two mixes share."""

    mix: str
    jaccard: Annotated[float, Field(description="Images of both / images of either.")]


@_exact
class MixTried(TypedDict):
    """What a mix would hold."""

    mix: str
    n_pairs: int
    n_images: int
    n_copies: Annotated[int, Field(description="Copies of all pairs together.")]
    mean_score: float | None
    source_shares: list[SourceShare]
    thresholds: list[CutOff]
    overlap: list[Overlap]
    sample_size: Annotated[int | None, Field(description="Captions that trigrams are counted in.")]
    unique_trigrams: int | None


@_exact
class Standing(TypedDict):
    """A mix's results on a task."""

    mix: str
    task: Annotated[str, Field(description="`average` is over all tasks.")]
    metric: str
    mean: Annotated[float, Field(description="Over seeds, between 0 and 1.")]
    deviation: Annotated[float | None, Field(description="Over seeds; null of one.")]
    seeds: Annotated[int, Field(description="How many there are.")]
    pairs: Annotated[int, Field(description="Of the mix.")]


@_exact
class OfCaptioner(TypedDict):
    """A reference metric of a captioner."""

    source: str
    task: str
    metric: str
    value: float


@_exact
class Aggregate(TypedDict):
    """A mix's DataComp aggregates, one value per seed."""

    mix: str
    groups: Annotated[dict[str, list[float]], Field(description="By group of tasks.")]
    missing: Annotated[list[str], Field(description="Tasks without results.")]


@_exact
class Leaderboard(TypedDict):
    """Every mix side by side."""

    mixes: Annotated[list[Standing], Field(description="Empty with --datacomp or --captions.")]
    captions: Annotated[list[OfCaptioner], Field(description="With --captions.")]
    datacomp: Annotated[list[Aggregate], Field(description="With --datacomp.")]
    files: Annotated[list[str], Field(description="Written with --jsonl.")]


@_exact
class Difference(TypedDict):
    """What differs between two mixes."""

    before: Record
    after: Record
    images: Annotated[Counts, Field(description="By what became of them.")]
    changed_captions: Annotated[Record, Field(description="Their scores before and after.")]
    diversity: Counts
    samples: Annotated[list[Record], Field(description="Images with their pairs on both sides.")]


@_exact
class PushDone(TypedDict):
    """What a dataset of the Hub was sent, or with --dry-run would be."""

    target: Annotated[str, Field(description="As `hf://datasets/OWNER/NAME@BRANCH`.")]
    page: Annotated[str, Field(description="Its address.")]
    new: Annotated[bool, Field(description="True where the dataset was not there.")]
    dry_run: bool
    sent: Annotated[int, Field(description="Files that it did not have as they are.")]
    bytes: Annotated[int, Field(description="Of them.")]
    unchanged: Annotated[int, Field(description="Files that it had.")]
    removed: Annotated[int, Field(description="Files of an earlier push that left.")]
    commits: int


@_exact
class ExportDone(TypedDict):
    """An export that was written or checked."""

    folder: str
    samples: NotRequired[Annotated[int, Field(description="Of a written one.")]]
    shards: NotRequired[int]
    bytes: NotRequired[int]
    left_out: NotRequired[Annotated[Counts, Field(description="Pairs by reason.")]]
    checked: NotRequired[Annotated[int, Field(description="Files hashed, with --verify.")]]
    problems: NotRequired[Annotated[dict[str, str], Field(description="By file.")]]
    arguments: NotRequired[Annotated[list[str], Field(description="With --arguments.")]]
    pushed: NotRequired[Annotated[PushDone, Field(description="With --push-to.")]]


@_exact
class KindRow(TypedDict):
    """A kind that an experiment may name."""

    family: str
    kind: str
    distribution: Annotated[str, Field(description="The package that gives it.")]
    version: str
    extra: Annotated[str | None, Field(description="The extra that it needs.")]
    missing: Annotated[list[str], Field(description="Packages that are not installed.")]
    usable: bool
    summary: str


@_exact
class RecipeRow(TypedDict):
    """A recipe and its last results here."""

    number: str
    name: str
    title: str
    paper: str
    found: str
    shows: str
    expects: list[Record]
    sizes: list[str]
    results: Annotated[dict[str, list[Record]], Field(description="Claims by size.")]


@_exact
class Copied(TypedDict):
    """A recipe's file that was written."""

    path: str


@_exact
class TableRow(TypedDict):
    """A table with its columns."""

    table: str
    meaning: str
    columns: Annotated[list[Record], Field(description="`name`, `type`, `nullable`, `meaning`.")]


@_exact
class Serving(TypedDict):
    """Where servers listen; printed once they do."""

    dagster: NotRequired[Annotated[str, Field(description="Of `ui`: Dagster's web server.")]]
    gallery: str


@_exact
class CostRow(TypedDict):
    """What was paid, and what was paid before and reused, of what the other keys name."""

    asset: NotRequired[str]
    source: NotRequired[Annotated[str, Field(description="Empty for none.")]]
    model: NotRequired[Annotated[str, Field(description="Empty for none.")]]
    run_id: NotRequired[Annotated[str, Field(description="Dagster's run.")]]
    day: NotRequired[Annotated[str, Field(description="YYYY-MM-DD, in UTC.")]]
    rows: int
    seconds: float
    gpu_seconds: float
    prompt_tokens: int
    completion_tokens: int
    money: Annotated[float | None, Field(description="Null where nothing has a price.")]
    rows_reused: int
    seconds_reused: float
    gpu_seconds_reused: float
    prompt_tokens_reused: int
    completion_tokens_reused: int
    money_reused: Annotated[float | None, Field(description="Null where nothing has a price.")]


@_exact
class CostsShown(TypedDict):
    """The ledger, added up."""

    rows: Annotated[list[CostRow], Field(description="By what was asked for.")]
    total: CostRow


FORMS: Mapping[str, Any] = {
    "build": BuildDone,
    "costs": CostsShown,
    "diff": Difference,
    "doctor": DoctorDone,
    "export": ExportDone,
    "forget": Forgetting,
    "gc": CollectionDone,
    "imports": ImportReport,
    "init": InitDone,
    "kinds": list[KindRow],
    "leaderboard": Leaderboard,
    "lineage": Lineage | OfImage,
    "look": Serving,
    "mix try": list[MixTried],
    "pin": PinDone,
    "plan": list[PlanRow],
    "recipes": list[RecipeRow],
    "recipes copy": Copied,
    "recipes results": list[RecipeRow],
    "recipes run": BuildDone,
    "recipes show": RecipeRow,
    "reproduce": Reproduced,
    "status": list[AssetStatus],
    "tables": list[TableRow],
    "ui": Serving,
    "verify": Verified,
}
"""By command. `build --dry-run` prints what `plan` does."""


def schema_of(command: str) -> dict[str, Any]:
    """The JSON schema of what a command prints."""
    return TypeAdapter(FORMS[command]).json_schema()
