"""A run as the report sees it, drawn by hand: no number in it was measured."""

import io
from datetime import UTC, datetime

import numpy as np
import polars as pl
from PIL import Image, ImageDraw

from recap_assets.artefacts.costs import COSTS
from recap_assets.artefacts.diversity import DIVERSITY_SUMMARY
from recap_assets.artefacts.mixes import THRESHOLDS
from recap_assets.artefacts.report import LEADERBOARD
from recap_assets.artefacts.scores import SCORE_HISTOGRAMS
from recap_assets.artefacts.training import TRAINING_CURVES
from recap_assets.plots.mixes import SOURCE_SHARES
from recap_assets.plots.scores import AGAINST_RAW
from recap_assets.report import contents as report
from recap_assets.report.left_out import LEFT_OUT
from recap_assets.report.standing import RUNS

SOURCES = ("raw", "a", "b")
TASKS = ("coarse", "colour", "count", "fine", "fine_among_many", "fine_shifted", "retrieval")
TASKS += ("scene", "tail", "texture")
# mix: description, average, fine, retrieval, pairs by source, mean score, unique trigrams
MIXES = {
    "raw": ("All of the pool with its own text", 0.229, 0.123, 0.013, {"raw": 5970}, 0.212, 11236),
    "raw_top30": ("The best 30 % of raw text", 0.373, 0.394, 0.091, {"raw": 1794}, 0.461, 7390),
    "b": ("Captioner B on every image", 0.503, 0.208, 0.518, {"b": 5990}, 0.402, 3127),
    "a": ("Captioner A on every image", 0.554, 0.505, 0.537, {"a": 5990}, 0.447, 4589),
    "best_of_two": ("Raw or A, by score", 0.566, 0.493, 0.530, {"raw": 702, "a": 5288}, 0.47, 5920),
    "raw_top30_a_top50": (
        "Raw top 30 %, then A's best half", 0.551, 0.533, 0.487, {"raw": 1794, "a": 1710}, 0.49,
        7804,
    ),
    "raw_top30_a": (
        "Raw top 30 %, A on the rest", 0.586, 0.531, 0.528, {"raw": 1794, "a": 4196}, 0.448, 7010,
    ),
}  # fmt: skip


def leaderboard(*, n_seeds: int = 3, sweep: bool = True) -> pl.DataFrame:
    rng = np.random.default_rng(3)
    rows = []
    for mix, (_, average, fine, retrieval, pairs, _, _) in MIXES.items():
        known = {"average": average, "fine": fine, "retrieval": retrieval}
        share = pairs.get("raw", 0) / sum(pairs.values())
        for task in ("average", *TASKS):
            mean = known.get(task, float(np.clip(average + rng.normal(0, 0.12), 0.03, 0.97)))
            deviation = float(rng.uniform(0.004, 0.028)) if n_seeds > 1 else None
            metric = {"average": "mean", "retrieval": "mean_recall@1"}.get(task, "acc1")
            rows.append((mix, task, metric, mean, deviation, n_seeds, sum(pairs.values()), share))
    if sweep:
        for mix, values in {"raw_top30": (0.24, 0.31), "raw_top30_a": (0.51, 0.56)}.items():
            for fraction, mean in zip((0.25, 0.5), values, strict=True):
                row = (f"{mix}@{fraction}", "average", "mean", mean, 0.014, n_seeds, 1000, 0.5)
                rows.append(row)
    return pl.DataFrame(rows, schema=LEADERBOARD.schema, orient="row")


def runs(board: pl.DataFrame) -> pl.DataFrame:
    """Runs with the means and deviations of a leaderboard: a good seed is good for every mix."""
    rows = []
    for row in board.iter_rows(named=True):
        luck = np.arange(row["n_seeds"]) - (row["n_seeds"] - 1) / 2
        values = row["mean"] + luck * (row["deviation"] or 0)
        rows += [(row["mix"], row["task"], seed, value) for seed, value in enumerate(values)]
    return pl.DataFrame(rows, schema=RUNS, orient="row")


def mixes() -> pl.DataFrame:
    rows = [(mix, facts[0], None, facts[5], facts[6]) for mix, facts in MIXES.items()]
    return pl.DataFrame(rows, schema=report.MIX_SUMMARY, orient="row")


def shares() -> pl.DataFrame:
    rows = [(mix, source, n) for mix, facts in MIXES.items() for source, n in facts[4].items()]
    return pl.DataFrame(rows, schema=SOURCE_SHARES, orient="row")


def histograms() -> pl.DataFrame:
    rng = np.random.default_rng(1)
    drawn = {
        "raw": np.concatenate([rng.normal(0.05, 0.09, 3600), rng.normal(0.46, 0.11, 2400)]),
        "a": rng.normal(0.45, 0.1, 6000),
        "b": rng.normal(0.4, 0.08, 6000),
    }
    rows = []
    for source, scores in drawn.items():
        bins, counts = np.unique(np.floor((scores + 1) / 1e-4).astype(int), return_counts=True)
        rows += [
            ("embedded", source, "0000", int(b), int(n)) for b, n in zip(bins, counts, strict=True)
        ]
    return pl.DataFrame(rows, schema=SCORE_HISTOGRAMS.schema, orient="row")


def diversity() -> pl.DataFrame:
    counts = {"raw": (11236, 742, 1956), "a": (4589, 61, 124), "b": (3127, 40, 98)}
    rows = []
    for source, (trigrams, nouns, words) in counts.items():
        sizes = np.linspace(50, 1000, 9).astype(int)
        curve = [
            {"n": int(n), "unique_trigrams": float(trigrams * (n / 1000) ** (0.5 + trigrams / 3e4))}
            for n in sizes
        ]
        row = dict.fromkeys(DIVERSITY_SUMMARY.schema, 0) | {
            "source": source, "n_captions": 5990, "sample_size": 1000, "tokeniser": "words-1",
            "lexicon": "embedded-1", "unique_words": words, "unique_trigrams": trigrams,
            "unique_nouns": nouns, "rarefaction": curve,
        }  # fmt: skip
        rows.append(row)
    return pl.DataFrame(rows, schema=DIVERSITY_SUMMARY.schema)


def thresholds() -> pl.DataFrame:
    rows = [
        ("raw_top30", "rules.0.where", "quantile", 0.3, "embedded", "raw", 5980, 0.3817, 1794, 1),
        ("raw_top30_a", "rules.0.where", "quantile", 0.3, "embedded", "raw", 5980, 0.3817, 1794, 1),
        (
            "raw_top30_a_top50", "rules.0.where", "quantile", 0.3, "embedded", "raw", 5980, 0.3817,
            1794, 1,
        ),
        ("raw_top30@0.5", "rules.0.where", "quantile", 0.3, "embedded", "raw", 2990, 0.37, 898, 1),
        (
            "raw_top30_a_top50", "rules.1.where", "quantile", 0.5, "embedded", "a", 5990, 0.4491,
            2995, 2,
        ),
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=THRESHOLDS.schema, orient="row")


def curves() -> pl.DataFrame:
    steps = np.arange(1, 220, 4)
    rows = [
        (mix, seed, int(s), int(s) * 128, 1.4 + 3 * np.exp(-s / (30 + 12 * i)) + 0.2 * i, 1.0)
        for i, mix in enumerate(MIXES)
        for seed in range(3)
        for s in steps
    ]
    return pl.DataFrame(rows, schema=TRAINING_CURVES.schema, orient="row")


def picture(number: int) -> bytes:
    """A small JPEG with a shape in it."""
    hues = ["#c0392b", "#2471a3", "#d4ac0d", "#1e8449", "#7d3c98", "#ca6f1e"]
    image = Image.new("RGB", (64, 64), ["#cfe3ee", "#e6dcc6", "#d5e8d4"][number % 3])
    draw = ImageDraw.Draw(image)
    draw.rectangle([0, 46, 64, 64], fill="#a9b88f")
    box = [14, 16, 50, 52]
    if number % 2:
        draw.ellipse(box, fill=hues[number % 6])
    else:
        draw.polygon([(32, 12), (54, 50), (10, 50)], fill=hues[number % 6])
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def uid(number: int) -> bytes:
    return bytes([number, *range(15)])


def strips() -> report.Strips:
    """Twelve images on each cut-off, the text of one of them missing."""

    def side(*scores: float) -> tuple[report.NearImage, ...]:
        texts = ["a red flamingo in front of a lake", "", "IMG_2231.jpg"]
        return tuple(
            report.NearImage("00000", uid(n), picture(n), score, texts[n % 3])
            for n, score in enumerate(scores)
        )

    above = side(0.3817, 0.3819, 0.382, 0.3824, 0.3829, 0.3831)
    below = side(0.3816, 0.3811, 0.3809, 0.3805, 0.3803, 0.38)
    of_raw = report.Strip(("raw_top30", "raw_top30_a"), "raw", 0.3817, above, below)
    of_a = report.Strip(("raw_top30_a_top50",), "a", 0.4491, side(0.4491, 0.45), side(0.449))
    return report.Strips((of_raw, of_a), 3)


def against_raw() -> pl.DataFrame:
    rng = np.random.default_rng(2)
    raw, a = rng.normal(0.2, 0.2, 500), rng.normal(0.45, 0.1, 500)
    points = [{"source": "a", "raw": x, "score": y} for x, y in zip(raw, a, strict=True)]
    return pl.DataFrame(points, schema=AGAINST_RAW)


def ancestries() -> tuple[report.Ancestry, ...]:
    reads = {
        "curated_mixes/raw_top30": ("thresholds/raw_top30", "clip_scores/clip/raw", "raw_pool"),
        "thresholds/raw_top30": ("clip_scores/clip/raw",),
        "clip_scores/clip/raw": ("image_embeddings/clip", "raw_pool"),
        "image_embeddings/clip": ("raw_pool", "models/scorer"),
        "models/scorer": (),
        "raw_pool": (),
    }
    return tuple(report.Ancestry(mix, {**reads}) for mix in ("raw_top30",))


def costs() -> pl.DataFrame:
    """Three assets of two stages; what was captioned once was reused once."""
    nothing = dict.fromkeys(COSTS.schema, 0) | {"money": None, "money_reused": None, "day": None}
    nothing |= dict.fromkeys(("partition", "instance", "run_id", "source", "model"), "")
    rows = [
        {"asset": "raw_pool", "event_id": 1, "seconds": 4.0},
        {"asset": "synthetic_captions/a", "event_id": 2, "source": "a", "model": "blip",
         "seconds": 90.0, "gpu_seconds": 80.0, "seconds_reused": 30.0},
        {"asset": "curated_mixes/raw", "event_id": 3, "seconds": 0.5},
    ]  # fmt: skip
    return pl.DataFrame([nothing | row for row in rows], schema=COSTS.schema)


STAGES = {"raw_pool": "pool", "synthetic_captions": "captions", "curated_mixes": "mixes"}


def examples(n: int = 12) -> tuple[report.Example, ...]:
    raw = [
        ("IMG_2231.jpg", 0.021), ("Crimson flamingo at the lake, stock photo", 0.512),
        ("Free shipping on all orders! Click here to subscribe", -0.043),
        ("Ein rotes Haus am See", 0.118), ("", None), ("a green sedan on a beach", 0.087),
    ]  # fmt: skip
    made = [
        ("a red flamingo in front of a lake", "a bird", 0.548, 0.371),
        ("two yellow tents on a meadow", "yellow houses on grass", 0.497, 0.402),
        ("a striped blue castle left of a tree", "a blue house", 0.431, 0.388),
    ]
    found = []
    for i in range(n):
        text, score = raw[i % 6]
        a, b, score_a, score_b = made[i % 3]
        captions = (
            report.ExampleCaption("raw", text, score),
            report.ExampleCaption("a", a, score_a),
            report.ExampleCaption("b", b, score_b),
        )
        taken = (report.Taken("raw_top30_a", 1, "a"),) if i % 3 else ()
        found.append(report.Example(picture(i), captions, "00000", uid(i), taken))
    return tuple(found)


def claims() -> tuple[report.ClaimRow, ...]:
    return (
        report.ClaimRow(
            "average",
            "On average over the tasks, filtered raw text beats all raw text, and a mix of raw and "
            "synthetic captions beats filtered raw text.",
            "reproduced",
            "raw 22.9 %, raw_top30 37.3 % (+14.4 ± 0.9, 3 seeds), raw_top30_a 58.6 % "
            "(+21.3 ± 1.6, 3 seeds)",
            "Differences are taken seed by seed: mean ± deviation. raw_top30_a is the best of 3 "
            "mixes on these same seeds.",
        ),
        report.ClaimRow(
            "fine classification",
            "On fine-grained classification the mix of raw and synthetic captions is above "
            "filtered raw text and above synthetic text alone.",
            "not reproduced",
            "raw_top30_a 53.1 %; raw_top30 39.4 % (+13.7 ± 2.1, 3 seeds), a 50.5 % (+2.6 ± 3.3, "
            "3 seeds)",
            "Expected only where data is short; with a larger pool filtered raw text catches up.",
        ),
        report.ClaimRow(
            "reference metric",
            "The captioner with the best reference metric (CIDEr) is not the best one to train on.",
            "holds by design",
            "b 2.80, average 50.3 %, a 1.50, average 55.4 %",
            "The references of the embedded world were chosen so that this happens; no evidence.",
        ),
        report.ClaimRow("scores", "Synthetic captions fit better.", "not measured", "", "No raw."),
    )


def left_out() -> pl.DataFrame:
    """Two mixes without each of their sources; one task of the second was not measured."""
    changes = {
        ("raw_top30_a", "raw"): (-0.032, 0.011), ("raw_top30_a", "a"): (-0.213, 0.016),
        ("best_of_two", "raw"): (0.004, 0.009), ("best_of_two", "a"): (-0.337, 0.021),
    }  # fmt: skip
    rows = []
    for (mix, source), (change, deviation) in changes.items():
        for i, task in enumerate(("average", *TASKS)):
            if (mix, task) != ("best_of_two", "tail"):
                of_task = change * (1 + i / 10), deviation * (1 + i / 5)
                rows.append((mix, source, task, MIXES[mix][1], *of_task, 3))
    return pl.DataFrame(rows, schema=LEFT_OUT, orient="row")


def run_facts(seeds: tuple[int, ...] = (0, 1, 2)) -> report.RunFacts:
    return report.RunFacts(
        experiment="demo",
        pool="The embedded world: drawn by the program, with alt-text as noisy as the web's.",
        n_pool=6000,
        n_usable=5990,
        seeds=seeds,
        created=datetime(2026, 11, 21, 7, 0, tzinfo=UTC),
        commit="0123456789ab",
        machine="2 cores, no GPU",
        details=(("Samples seen", "28,000 by every mix"),),
    )


def rejects() -> pl.DataFrame:
    rows = [("pool", "image cannot be decoded", 7), ("pool", "text is missing", 3)]
    rows += [("captions of a", "empty", 2)]
    return pl.DataFrame(rows, schema=report.REJECTS, orient="row")


def report_data(*, n_seeds: int = 3) -> report.ReportData:
    return report.ReportData(
        run=run_facts(tuple(range(n_seeds))),
        sources=SOURCES,
        leaderboard=(board := leaderboard(n_seeds=n_seeds)),
        runs=runs(board),
        mixes=mixes(),
        shares=shares(),
        rejects=rejects(),
        claims=claims(),
        left_out=left_out(),
        thresholds=thresholds(),
        histograms=histograms(),
        diversity=diversity(),
        curves=curves(),
        examples=examples(),
        strips=strips(),
        against_raw=against_raw(),
        ancestries=ancestries(),
        n_more_ancestries=6,
        costs=costs(),
        stages=STAGES,
        notes=(
            "The retrieval factor is inflated: the references of the embedded world share their "
            "grammar with the text that the captioner learned from.",
        ),
        retrieval_task="retrieval",
        baseline="raw_top30",
    )
