"""Distinct word trigrams of a million captions, exact, against nltk.ngrams with a Counter.

Both sides begin with the captions and tokenise them alike (`words-1`); a second figure leaves the
tokenising out of nltk's side only. The captions are real texts where RECAP_SHARED_DATA names the
folder that holds them (the first half of one, the second half of another, so that none is there
twice), else words drawn by Zipf's law. Rounds alternate; the median of their ratios counts, by the
clock, and by processor time, which a busy machine disturbs less.

    python benchmarks/trigrams.py [--captions 1_000_000] [--rounds 3]
"""

import argparse
import gzip
import json
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import regex
from nltk import ngrams
from verdicts import machine, verdict

from recap_assets.diversity.ngrams import unique_trigrams
from recap_assets.diversity.words import WORD

TARGET = 10.0
KEYS = ("caption", "raw", "recaption_blip", "fused_llm")
VOCABULARY = 100_000
PATTERN = regex.compile(WORD)


def real_texts(folder: Path) -> list[str]:
    texts: list[str] = []
    for path in sorted((folder / "texts").glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                texts += [row[key] for key in KEYS if row.get(key)]
                texts += row.get("captions", [])
    return texts


def recombined(texts: list[str], n: int, random: np.random.Generator) -> list[str]:
    halves = [
        (" ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :]))
        for words in (text.split(" ") for text in texts)
    ]
    return [f"{halves[i][0]} {halves[j][1]}" for i, j in random.integers(0, len(halves), (n, 2))]


def synthetic(n: int, random: np.random.Generator) -> list[str]:
    lengths = random.integers(4, 18, n)
    ranks = random.zipf(1.2, lengths.sum()) % VOCABULARY
    words = [f"w{rank}" for rank in ranks.tolist()]
    ends = np.cumsum(lengths).tolist()
    return [" ".join(words[end - n : end]) for end, n in zip(ends, lengths.tolist(), strict=True)]


def tokenised(texts: list[str]) -> list[list[str]]:
    return [PATTERN.findall(text.lower()) for text in texts]


def counted(tokens: list[list[str]]) -> int:
    counter: Counter[tuple[str, ...]] = Counter()
    for words in tokens:
        counter.update(ngrams(words, 3))
    return len(counter)


def seconds(work: Callable[[], object]) -> tuple[float, float, object]:
    """By the clock, of processor time, and what came out."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captions", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    print(machine())
    folder, random = os.environ.get("RECAP_SHARED_DATA"), np.random.default_rng(0)
    texts = (
        recombined(real_texts(Path(folder)), args.captions, random)
        if folder
        else synthetic(args.captions, random)
    )
    column = pl.Series("text", texts)
    rounds: list[tuple[tuple[float, float], ...]] = []
    for _ in range(args.rounds):
        *ours, found = seconds(lambda: unique_trigrams(column))
        *cutting, tokens = seconds(lambda: tokenised(texts))
        *counting, expected = seconds(partial(counted, tokens))
        if found != expected:
            raise SystemExit(f"{found} trigrams against {expected}")
        rounds.append((tuple(ours), tuple(cutting), tuple(counting)))
    print(f"{args.captions:,} {'real' if folder else 'synthetic'} captions, {found:,} trigrams")
    for clock, i in (("clock", 0), ("processor time", 1)):
        whole = statistics.median((cut[i] + count[i]) / us[i] for us, cut, count in rounds)
        part = statistics.median(count[i] / us[i] for us, _, count in rounds)
        us, cut, count = (
            statistics.median(step[i] for step in steps) for steps in zip(*rounds, strict=True)
        )
        print(
            f"{clock}: {whole:.1f} times nltk with its tokenising, {part:.1f} times without "
            f"({us:.2f} s against {cut:.2f} + {count:.2f} s)"
        )
        if i == 0:
            verdict("unique trigrams, both sides tokenising", whole, TARGET)
            verdict("unique trigrams, against ready tokens", part, TARGET)


if __name__ == "__main__":
    main()
