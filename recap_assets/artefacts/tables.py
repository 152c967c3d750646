"""The tables: one a kind of artefact, with every column's name, type and meaning.

This is the one vocabulary of the platform. Code refers to columns by these names; docs/tables.md
is generated from here.
"""

from dataclasses import dataclass

import polars as pl

STATUS_OK = "ok"
STATUS_REJECTED = "rejected"
STATUS_TRUNCATED = "truncated"
STATUS_EMPTY = "empty"
STATUS_REFUSED = "refused"
STATUS_DEGENERATE = "degenerate"
STATUS_ERROR = "error"

USABLE = (STATUS_OK, STATUS_TRUNCATED)
"""What goes on. A truncated caption does: the paper cuts captions at 40 tokens and keeps them."""

UID_BYTES = 16
SHA256_BYTES = 32


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        dtype: Its polars type.
        meaning: What it holds, with its unit.
        nullable: Whether it may be null.
        is_content: False for what was measured on the way (seconds): it differs from computation to
            computation of the same content, so the data version leaves it out.
    """

    dtype: pl.DataType | type[pl.DataType]
    meaning: str
    nullable: bool = False
    is_content: bool = True


@dataclass(frozen=True)
class Table:
    """One Delta table.

    Attributes:
        name: Folder below the tables' root.
        slices: Columns that name a slice, the unit that is replaced; Delta partitions by them.
        order: Columns that sort the rows of a slice; together they are unique in it.
        constraints: Delta CHECK constraints, name to SQL.
        append_only: Rows are only ever added; nothing is replaced.
    """

    name: str
    meaning: str
    columns: dict[str, Column]
    slices: tuple[str, ...]
    order: tuple[str, ...]
    constraints: tuple[tuple[str, str], ...] = ()
    append_only: bool = False

    @property
    def schema(self) -> pl.Schema:
        """Names and polars types, slice columns included."""
        return pl.Schema({name: column.dtype for name, column in self.columns.items()})

    @property
    def content(self) -> tuple[str, ...]:
        """Names of the columns that decide the data version."""
        return tuple(name for name, column in self.columns.items() if column.is_content)

    def empty(self) -> pl.DataFrame:
        """A frame with the table's schema and no rows."""
        return pl.DataFrame(schema=self.schema)


def is_usable() -> pl.Expr:
    """Whether a row of the pool or of the captions goes on, by its column `status`."""
    return pl.col("status").is_in(USABLE)


_PARTITION = Column(pl.String, "Pool partition: a fixed group of consecutive shards.")
_SHARD = Column(pl.Int32, "Number of the shard in the pool's manifest.")
_UID = Column(pl.Binary, "Sample id: 16 bytes, DataComp's 32 hex digits.")
_SOURCE = Column(pl.String, "Caption source; `raw` is the pool's own text.")
_SCORER = Column(pl.String, "Scorer.")
_CANDIDATE = Column(pl.Int16, "Number of the caption among the candidates of one image, from 0.")
_MIX = Column(pl.String, "Mix.")
_SET = Column(pl.String, "Named set of uids.")
_SEED = Column(pl.Int64, "Training seed.")
_STATUS = Column(pl.String, "`ok` or `rejected`.")
_REASON = Column(pl.String, "Why the row was set aside; null where it was not.", nullable=True)

RAW_POOL = Table(
    "raw_pool",
    "A row for every sample of the pool, the bad ones included.",
    {
        "partition": _PARTITION,
        "shard": _SHARD,
        "uid": _UID,
        "key": Column(pl.String, "Key of the sample in its shard, or its path in the folder."),
        "offset": Column(pl.Int64, "Where the image's bytes begin in the shard.", nullable=True),
        "size": Column(pl.Int64, "Length of the image's bytes.", nullable=True),
        "image_format": Column(pl.String, "JPEG, PNG, GIF or WEBP, by content.", nullable=True),
        "width": Column(pl.Int32, "Pixels.", nullable=True),
        "height": Column(pl.Int32, "Pixels.", nullable=True),
        "original_width": Column(pl.Int32, "Pixels before img2dataset resized.", nullable=True),
        "original_height": Column(pl.Int32, "Pixels before img2dataset resized.", nullable=True),
        "text": Column(pl.String, "The raw alt-text; null where there is none.", nullable=True),
        "text_note": Column(
            pl.String,
            "How the text was read where not as plain UTF-8, or why there is none, such as "
            "`text_not_utf8`, `text_from_cp1252`, `text_no_string`, `text_cut`; null otherwise.",
            nullable=True,
        ),
        "url": Column(pl.String, "Where the image was found.", nullable=True),
        "sha256": Column(pl.Binary, "Of the image's bytes, 32 bytes.", nullable=True),
        "original_sha256": Column(
            pl.Binary,
            "Of the image as it was downloaded, before img2dataset resized it, as the json or the "
            "metadata tells; 32 bytes.",
            nullable=True,
        ),
        "perceptual_hash": Column(pl.Int64, "64-bit DCT hash of the image.", nullable=True),
        "status": _STATUS,
        "reject_reason": _REASON,
    },
    slices=("partition",),
    order=("shard", "uid", "key"),
)

DOWNLOAD_FAILURES = Table(
    "download_failures",
    "A row for every row of the list of URLs that gave no image.",
    {
        "partition": _PARTITION,
        "shard": _SHARD,
        "uid": _UID,
        "repeat": Column(pl.Int32, "0 for the first row of the uid in its file, then 1, ..."),
        "url": Column(pl.String, "As listed, cut at 2,048 characters.", nullable=True),
        "status": Column(
            pl.String,
            "`refused` (never asked for), `failed_to_download`, `opted_out` or `failed_to_resize`.",
        ),
        "reject_reason": Column(pl.String, "The kind of failure: http_404, timeout, ..."),
        "message": Column(pl.String, "What img2dataset said, cut at 200 characters."),
    },
    slices=("partition",),
    order=("shard", "uid", "repeat"),
)

SYNTHETIC_CAPTIONS = Table(
    "synthetic_captions",
    "A row for every caption that a captioner wrote, the unusable ones included.",
    {
        "source": _SOURCE,
        "partition": _PARTITION,
        "shard": _SHARD,
        "uid": _UID,
        "candidate": _CANDIDATE,
        "text": Column(pl.String, "The caption; null where the captioner failed.", nullable=True),
        "log_probability": Column(pl.Float32, "Sum over the tokens, natural log.", nullable=True),
        "n_tokens": Column(pl.Int16, "Tokens written, without the end mark.", nullable=True),
        "n_prompt_tokens": Column(
            pl.Int32, "Tokens of the request, as a server counted them.", nullable=True
        ),
        "status": Column(
            pl.String,
            "`ok`; `truncated` (max_tokens ended it; used like ok); `empty`, `refused`, "
            "`degenerate` (a loop, no words) or `error`, which are set aside.",
        ),
        "reject_reason": _REASON,
        "seconds": Column(
            pl.Float32,
            "Its share of the batch's time, or its request's.",
            nullable=True,
            is_content=False,
        ),
    },
    slices=("source", "partition"),
    order=("shard", "uid", "candidate"),
)

IMPORTED_CAPTIONS = Table(
    "imported_captions",
    "Third-party captions as their files have them, a row for each different one of a key, whether "
    "or not the pool has the key.",
    {
        "source": _SOURCE,
        "bucket": Column(pl.String, "First hex digits of the key; `all` where there are few rows."),
        "key": Column(
            pl.Binary, "uid (16 bytes), sha256 (32 bytes), or blake2b of the url (16 bytes)."
        ),
        "number": Column(pl.Int32, "Place among the rows of the key in the files' order, from 0."),
        "text": Column(pl.String, "The caption; null where it is empty.", nullable=True),
        "expected_text": Column(
            pl.String, "The file's own copy of the raw text, where it has one.", nullable=True
        ),
        "n": Column(pl.Int32, "How often the files have this very row."),
    },
    slices=("source", "bucket"),
    order=("key", "number"),
)

IMPORT_REPORTS = Table(
    "import_reports",
    "How third-party captions and the pool fit together.",
    {
        "source": _SOURCE,
        "partition": Column(
            pl.String,
            "Pool partition; `files`: what the files alone tell; `pool`: the whole pool.",
        ),
        "what": Column(pl.String, "What was counted; `recap imports` says each in words."),
        "n": Column(pl.Int64, "How many."),
        "examples": Column(
            pl.List(
                pl.Struct(
                    {
                        "key": pl.String,
                        "caption": pl.String,
                        "expected_text": pl.String,
                        "raw_text": pl.String,
                    }
                )
            ),
            "Some of them: key in hex or as the file has it, caption, and both copies of the text.",
        ),
    },
    slices=("source", "partition"),
    order=("what",),
)

IMAGE_EMBEDDINGS = Table(
    "image_embeddings",
    "Unit-length image embeddings, once for each scorer.",
    {
        "scorer": _SCORER,
        "partition": _PARTITION,
        "shard": _SHARD,
        "uid": _UID,
        "embedding": Column(pl.Binary, "float16, little-endian, L2-normalised."),
    },
    slices=("scorer", "partition"),
    order=("shard", "uid"),
)

CLIP_SCORES = Table(
    "clip_scores",
    "How well each caption fits its image.",
    {
        "scorer": _SCORER,
        "source": _SOURCE,
        "partition": _PARTITION,
        "shard": _SHARD,
        "uid": _UID,
        "candidate": _CANDIDATE,
        "score": Column(
            pl.Float32, "Cosine in [-1, 1]; null where there is no caption.", nullable=True
        ),
    },
    slices=("scorer", "source", "partition"),
    order=("shard", "uid", "candidate"),
    constraints=(("score_is_a_cosine", "score IS NULL OR (score >= -1.001 AND score <= 1.001)"),),
)

IMAGE_SCORES = Table(
    "image_scores",
    "What a scorer of images makes of each image: aesthetics, unsafe content, watermarks.",
    {
        "scorer": Column(pl.String, "Scorer of images."),
        "partition": _PARTITION,
        "shard": _SHARD,
        "uid": _UID,
        "score": Column(pl.Float32, "On the scorer's own scale."),
    },
    slices=("scorer", "partition"),
    order=("shard", "uid"),
)

SCORE_HISTOGRAMS = Table(
    "score_histograms",
    "Counts of scores in bins of 1e-4; they add up over partitions.",
    {
        "scorer": _SCORER,
        "source": _SOURCE,
        "partition": _PARTITION,
        "bin": Column(pl.Int32, "floor((score + 1) / 1e-4)."),
        "n": Column(pl.Int64, "Scores in the bin (the best candidate of each image)."),
    },
    slices=("scorer", "source", "partition"),
    order=("bin",),
)

TEXT_LANGUAGES = Table(
    "text_languages",
    "The language of every text of a source (its first candidate), by an identifier.",
    {
        "identifier": Column(pl.String, "Language identifier."),
        "source": _SOURCE,
        "partition": _PARTITION,
        "uid": _UID,
        "language": Column(pl.String, "Code of the language, as the identifier's model has it."),
        "probability": Column(pl.Float32, "Of this language, by the model."),
    },
    slices=("identifier", "source", "partition"),
    order=("uid",),
)

CLUSTER_CENTROIDS = Table(
    "cluster_centroids",
    "Clusters of the pool's image embeddings, for an image-based set.",
    {
        "set": _SET,
        "cluster": Column(pl.Int32, "Number of the cluster, from 0."),
        "centroid": Column(pl.Binary, "float32, little-endian; a mean, not of unit length."),
    },
    slices=("set",),
    order=("cluster",),
)

TARGET_CLUSTERS = Table(
    "target_clusters",
    "The clusters that an image-based set consists of.",
    {
        "set": _SET,
        "cluster": Column(pl.Int32, "Number of the cluster."),
        "n_images": Column(pl.Int64, "Target images that it is the nearest to; at least one."),
    },
    slices=("set",),
    order=("cluster",),
)

DUPLICATES = Table(
    "duplicates",
    "Samples that share their image with others, for every set of unique images.",
    {
        "set": _SET,
        "uid": _UID,
        "kept": Column(pl.Binary, "uid of the sample of its group that is kept; its own or not."),
    },
    slices=("set",),
    order=("uid",),
)

UID_SETS = Table(
    "uid_sets",
    "The members of every computed set of uids.",
    {"set": _SET, "partition": _PARTITION, "uid": _UID},
    slices=("set", "partition"),
    order=("uid",),
)

DIVERSITY_STATISTICS = Table(
    "diversity_statistics",
    "Mergeable statistics of one source's captions in one partition.",
    {
        "source": _SOURCE,
        "partition": _PARTITION,
        "n_captions": Column(pl.Int64, "Captions with text."),
        "n_words": Column(pl.Int64, "Words in all."),
        "n_nondescript": Column(pl.Int64, "Captions such as file names, numbers and dates."),
        "length_histogram": Column(
            pl.List(pl.Int64), "Captions by words: 0, 1, ... 99, 100 or more."
        ),
        "words_sketch": Column(pl.Binary, "HyperLogLog of distinct words."),
        "trigrams_sketch": Column(pl.Binary, "HyperLogLog of distinct word trigrams."),
        "nouns_sketch": Column(pl.Binary, "HyperLogLog of distinct nouns."),
        "captions_sketch": Column(pl.Binary, "HyperLogLog of distinct captions."),
        "sample_texts": Column(
            pl.List(pl.String), "The partition's share of the equal-sized sample, by hash of uid."
        ),
        "sample_keys": Column(
            pl.List(pl.Int64),
            "Hash of (seed, uid) of each sample text as signed 64 bits, ascending.",
        ),
    },
    slices=("source", "partition"),
    order=("n_captions",),
)

DIVERSITY_SUMMARY = Table(
    "diversity_summary",
    "Diversity of each source over the pool, exact on the equal-sized sample.",
    {
        "source": _SOURCE,
        "n_captions": Column(pl.Int64, "Captions with text in the pool."),
        "words_per_caption": Column(pl.Float64, "Mean over the pool."),
        "nondescript_fraction": Column(pl.Float64, "File names, numbers, dates; over the pool."),
        "duplicate_fraction": Column(pl.Float64, "1 - distinct / all, over the sample."),
        "sample_size": Column(pl.Int64, "Captions of the sample; the same for every source."),
        "tokeniser": Column(pl.String, "Name and version of the word tokeniser."),
        "lexicon": Column(pl.String, "Name and content hash of the noun lexicon."),
        "unique_words": Column(pl.Int64, "Distinct words in the sample, exact."),
        "unique_trigrams": Column(pl.Int64, "Distinct word trigrams in the sample, exact."),
        "unique_nouns": Column(pl.Int64, "Distinct nouns in the sample, exact."),
        "type_token_ratio": Column(pl.Float64, "unique_words / words in the sample."),
        "pool_unique_words": Column(pl.Float64, "HyperLogLog estimate over the pool."),
        "pool_unique_trigrams": Column(pl.Float64, "HyperLogLog estimate over the pool."),
        "pool_unique_nouns": Column(pl.Float64, "HyperLogLog estimate over the pool."),
        "rarefaction": Column(
            pl.List(pl.Struct({"n": pl.Int64, "unique_trigrams": pl.Float64})),
            "Expected distinct trigrams in samples of n captions.",
        ),
    },
    slices=(),
    order=("source",),
)

THRESHOLDS = Table(
    "thresholds",
    "Cut-offs of each mix as realised.",
    {
        "mix": _MIX,
        "path": Column(pl.String, "Where in the mix the cut-off stands: rules.0.where.top, ..."),
        "kind": Column(pl.String, "absolute, quantile or size."),
        "requested": Column(pl.Float64, "The number in the spec: a cosine, a fraction or a size."),
        "scorer": _SCORER,
        "source": Column(pl.String, "The source whose scores were ranked."),
        "population": Column(pl.Int64, "Scored samples that were ranked."),
        "value": Column(pl.Float32, "The cut-off: keep score >= value.", nullable=True),
        "n_at_or_above": Column(pl.Int64, "Samples of that source at or above it."),
        "n_tied": Column(pl.Int64, "Samples exactly at it."),
    },
    slices=("mix",),
    order=("path",),
)

CURATED_MIXES = Table(
    "curated_mixes",
    "The training pairs of each mix.",
    {
        "mix": _MIX,
        "partition": _PARTITION,
        "shard": _SHARD,
        "uid": _UID,
        "source": Column(pl.String, "Where the text comes from; joined sources as a+b."),
        "candidate": _CANDIDATE,
        "text": Column(pl.String, "What is trained on."),
        "score": Column(pl.Float32, "Score of the text, the mean for joined texts.", nullable=True),
        "weight": Column(pl.Float32, "How often training draws the pair, relatively."),
        "rule": Column(pl.Int16, "Number of the rule that accepted the image."),
        "image_hash": Column(
            pl.Int64, "First 8 bytes of the image's sha256, big-endian: which image it is."
        ),
    },
    slices=("mix", "partition"),
    order=("shard", "uid", "rule", "source", "candidate"),
)

TRAINING_PAIRS = Table(
    "training_pairs",
    "What training sees of each mix, as hashes: another hash, another training.",
    {
        "mix": _MIX,
        "partition": _PARTITION,
        "n_pairs": Column(pl.Int64, "Pairs."),
        "n_images": Column(pl.Int64, "Distinct images."),
        "pairs": Column(pl.String, "Hash of their uid, image_hash, text and weight."),
    },
    slices=("mix",),
    order=("partition",),
)

TRAINING_CURVES = Table(
    "training_curves",
    "Loss and throughput of each training run.",
    {
        "mix": _MIX,
        "seed": _SEED,
        "step": Column(pl.Int64, "Steps done."),
        "samples_seen": Column(pl.Int64, "Pairs seen."),
        "loss": Column(pl.Float64, "Contrastive loss, mean since the last row."),
        "learning_rate_factor": Column(pl.Float64, "Schedule's factor on the peak rate."),
    },
    slices=("mix", "seed"),
    order=("step",),
)

EVALUATION_IMAGES = Table(
    "evaluation_images",
    "Every evaluation image and whether the pool has it too.",
    {
        "task": Column(pl.String, "Evaluation task."),
        "number": Column(pl.Int64, "Place of the image in its set, from 0."),
        "perceptual_hash": Column(pl.Int64, "64-bit DCT hash of the image."),
        "n_pool_matches": Column(pl.Int64, "Pool images with nearly the same hash."),
    },
    slices=(),
    order=("task", "number"),
)

EVALUATION_RESULTS = Table(
    "evaluation_results",
    "What each trained CLIP scores on each task.",
    {
        "mix": _MIX,
        "seed": _SEED,
        "task": Column(pl.String, "Evaluation task."),
        "metric": Column(pl.String, "acc1, mean_per_class_recall, image_recall@1, ..."),
        "value": Column(pl.Float64, "Between 0 and 1."),
        "is_main": Column(pl.Boolean, "True for the task's main metric."),
        "n_samples": Column(pl.Int64, "Images of the task."),
    },
    slices=("mix", "seed"),
    order=("task", "metric"),
)

CAPTION_METRICS = Table(
    "caption_metrics",
    "How well each captioner describes images that people described.",
    {
        "source": _SOURCE,
        "task": Column(pl.String, "Evaluation task whose captions are the references."),
        "metric": Column(
            pl.String,
            "CIDEr (CIDEr-D, 0 to 10), BLEU-1 to BLEU-4, ROUGE-L, CLIP-S (0 to 2.5), RefCLIP-S, "
            "self_retrieval_recall@1.",
        ),
        "value": Column(pl.Float64, "Over the whole set; an image without caption counts."),
        "n_images": Column(pl.Int64, "Images of the set."),
        "scorer": Column(
            pl.String, "What embedded images and texts; null for text metrics.", nullable=True
        ),
    },
    slices=("source",),
    order=("task", "metric"),
)

LEADERBOARD = Table(
    "leaderboard",
    "Every mix side by side: mean and deviation over seeds.",
    {
        "mix": _MIX,
        "task": Column(
            pl.String, "Evaluation task, `average`, or a group such as `datacomp/vtab`."
        ),
        "metric": Column(pl.String, "The task's main metric."),
        "mean": Column(pl.Float64, "Mean over seeds."),
        "deviation": Column(
            pl.Float64, "Standard deviation over seeds (n - 1); null for one seed.", nullable=True
        ),
        "n_seeds": Column(pl.Int64, "Seeds."),
        "n_pairs": Column(pl.Int64, "Pairs of the mix."),
        "raw_share": Column(pl.Float64, "Share of the pairs with raw text."),
    },
    slices=(),
    order=("mix", "task"),
)

LINEAGE = Table(
    "lineage",
    "A row for every materialization: what was built from what. Copied from Dagster's event log, "
    "and kept when an asset leaves the experiment or Dagster's storage is lost.",
    {
        "asset": Column(pl.String, "The asset's key."),
        "partition": Column(pl.String, "The partition's key; empty for an asset without any."),
        "instance": Column(pl.String, "Id of Dagster's storage, within which events are counted."),
        "event_id": Column(pl.Int64, "Number of the event; later ones have greater numbers."),
        "built_at": Column(pl.Datetime("us", "UTC"), "When."),
        "run_id": Column(pl.String, "Dagster's run."),
        "reused": Column(pl.Boolean, "True where nothing was computed: it was up to date."),
        "data_version": Column(pl.String, "Hash of the content."),
        "fingerprint": Column(pl.String, "Hash of the code version and of the inputs' versions."),
        "code_version": Column(pl.String, "Hash of `implementation` and `decides`."),
        "implementation": Column(pl.Int32, "Version of the code."),
        "decides": Column(pl.String, "JSON: what the specs said then that decides the content."),
        "inputs": Column(pl.String, "JSON: version of each input, by name."),
        "input_events": Column(pl.String, "JSON: newest event that was read, by asset."),
        "reads": Column(pl.String, "JSON: `same` (the partition of this key) or `all`, by asset."),
        "table_versions": Column(
            pl.String, "JSON: Delta version at which the slice can be read, by table."
        ),
        "n_rows": Column(pl.Int64, "Rows."),
        "n_bytes": Column(pl.Int64, "Bytes written when it was written last."),
        "seconds": Column(pl.Float64, "What computing it took."),
        "device": Column(pl.String, "What computed it."),
        "experiment": Column(pl.String, "Hash of the whole experiment; see `experiments`."),
        "provenance": Column(
            pl.String,
            "JSON: git commit, library versions; threads and processor of what torch computed.",
        ),
        "rejected": Column(pl.String, "JSON: rows set aside, by reason."),
        "facts": Column(pl.String, "JSON: realised thresholds, counts and the like."),
    },
    slices=("asset",),
    order=("asset", "partition", "instance", "event_id"),
    append_only=True,
)

EXPERIMENTS = Table(
    "experiments",
    "Every experiment that something was built for, whole.",
    {
        "experiment": Column(pl.String, "Hash of `content`."),
        "name": Column(pl.String, "Its name."),
        "content": Column(pl.String, "JSON: the experiment as parsed, every default said."),
        "first_used": Column(pl.Datetime("us", "UTC"), "When something was first built for it."),
    },
    slices=("experiment",),
    order=("name",),
)

TABLES = {
    table.name: table
    for table in (
        RAW_POOL,
        DOWNLOAD_FAILURES,
        SYNTHETIC_CAPTIONS,
        IMPORTED_CAPTIONS,
        IMPORT_REPORTS,
        IMAGE_EMBEDDINGS,
        CLIP_SCORES,
        IMAGE_SCORES,
        SCORE_HISTOGRAMS,
        TEXT_LANGUAGES,
        CLUSTER_CENTROIDS,
        TARGET_CLUSTERS,
        DUPLICATES,
        UID_SETS,
        DIVERSITY_STATISTICS,
        DIVERSITY_SUMMARY,
        THRESHOLDS,
        CURATED_MIXES,
        TRAINING_PAIRS,
        TRAINING_CURVES,
        EVALUATION_IMAGES,
        EVALUATION_RESULTS,
        CAPTION_METRICS,
        LEADERBOARD,
        LINEAGE,
        EXPERIMENTS,
    )
}


def _written(table: Table) -> str:
    if table.append_only:
        return "Append-only."
    slices = ", ".join(f"`{name}`" for name in table.slices)
    return f"Slices: {slices or 'none: it is replaced as a whole'}."


def described() -> str:
    """All tables in markdown: docs/tables.md is this text."""
    parts = [
        "# The tables\n\nMade by `recap tables`; a test holds it to the code. Every table is a "
        "Delta table under `data/<experiment>/tables/`. `pl.read_delta(path)` and DuckDB's "
        "`delta_scan('path')` open it by its path.\n"
    ]
    for table in TABLES.values():
        parts.append(f"## {table.name}\n\n{table.meaning} {_written(table)}\n")
        parts.append("| column | type | null | meaning |\n| --- | --- | --- | --- |")
        for name, column in table.columns.items():
            null = "yes" if column.nullable else ""
            dtype = table.schema[name]
            parts.append(f"| `{name}` | {dtype} | {null} | {column.meaning} |")
        parts.append("")
    return "\n".join(parts)
