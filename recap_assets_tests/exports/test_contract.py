"""The public contract of exports, kept by every kind of ours and not by broken ones."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import polars as pl
import pytest

from recap_assets.exports.forms import Form
from recap_assets.exports.kind import Refusal, ShardedExport
from recap_assets.exports.samples import Sample
from recap_assets.specs.exports import parse_export
from recap_assets.specs.kinds import kinds_of
from recap_assets.storage.folders import Folder, WrittenFile
from recap_assets.testing.exports import MIX, ExportContract
from recap_assets_tests.exports.teachers import MeanColours

KINDS: dict[str, list[dict[str, Any]]] = {
    "subset": [{}],
    "fiftyone": [{}, {"mixes": [], "samples_per_shard": 3}],
    "webdataset": [{}, {"samples_per_shard": 3, "shuffle": 1}, {"positives": "json"}],
    "huggingface": [{"license": "cc0-1.0"}, {"images": False, "rows_per_group": 2}],
    "text_to_image": [{"min_side": 40, "max_aspect": 3.0}],
    "conversations": [{"samples_per_shard": 3, "max_characters": 38}],
    "llava": [{"samples_per_shard": 6, "image_tokens": 576, "tokens": 9_000}],
    "conversation_tars": [{"samples_per_shard": 6, "tokens": 600}, {}],
    "reinforced": [
        {"teachers": ["clip"], "captioners": ["raw"], "augmentations": 2, "samples_per_shard": 5}
    ],
}


@pytest.mark.parametrize(
    ("to", "options"), [(to, options) for to, several in KINDS.items() for options in several]
)
class TestOurs(ExportContract):
    @pytest.fixture(autouse=True)
    def given(self, to: str, options: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        place = "recap_assets.exports.kinds.reinforced.writing.embedder_of"
        monkeypatch.setattr(place, lambda *_: MeanColours())
        self.spec = parse_export({"to": to, "mix": MIX, **options})  # type: ignore[assignment]


def test_each_kind_is_held() -> None:
    assert {name for name, kind in kinds_of("exports").items() if kind.is_ours} == KINDS.keys()


class Lines:
    """A line a sample."""

    with_images = False
    options: ClassVar[Mapping[str, object]] = {}

    def record_name(self, number: int) -> str:
        return f"{number:08d}.told.json"

    def shard_name(self, number: int) -> str:
        return f"{number:08d}.lines"

    def write(self, folder: Folder, number: int, samples: Iterator[Sample]) -> list[WrittenFile]:
        lines = [json.dumps([one.key, one.row["text"]]) for one in samples]
        return [folder.write(self.shard_name(number), "\n".join(lines).encode())]


class LinesExport(ShardedExport):
    """Lines of JSON."""

    file_patterns: ClassVar = (r"\d{8}\.(lines|told\.json)",)

    to: Literal["lines"]

    def form(self) -> Form:
        return Lines()

    def how_to_read(self, folder: str) -> str:
        return f"open({folder!r})"


class TestLines(ExportContract):
    spec = LinesExport(to="lines", mix=MIX, samples_per_shard=3)


class Forgetful(LinesExport):
    """Does not know its records."""

    file_patterns: ClassVar = (r"\d{8}\.lines",)


class Counting(Lines):
    """Counts how often it was asked."""

    asked = 0

    def write(self, folder: Folder, number: int, samples: Iterator[Sample]) -> list[WrittenFile]:
        Counting.asked += 1
        content = f"{self.asked} {len(list(samples))}".encode()
        return [folder.write(self.shard_name(number), content)]


class Restless(LinesExport):
    """Writes something else each time."""

    def form(self) -> Form:
        return Counting()


class Wordless(LinesExport):
    """Leaves out without a meaning."""

    def refuses(self) -> Iterator[Refusal]:
        yield Refusal("Too wide", "", pl.col("width") > 80)


class Losing(LinesExport):
    """Drops samples without a word."""

    def gathered(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.head(3)


class Named(Lines):
    """Calls a shard by what the pool says."""

    def shard_name(self, number: int) -> str:
        return f"{number} naïve.lines"


class Unsafe(LinesExport):
    """Has names that are no safe paths."""

    def form(self) -> Form:
        return Named()


class Hidden(LinesExport):
    """Does not say where."""

    def how_to_read(self, folder: str) -> str:  # noqa: ARG002
        return "somehow"


BROKEN: Sequence[tuple[type[LinesExport], str]] = (
    (Forgetful, "test_it_knows_all_files_as_its_own"),
    (Restless, "test_the_same_mix_gives_the_same_bytes"),
    (Wordless, "test_each_pair_is_written_or_has_a_reason"),
    (Losing, "test_each_pair_is_written_or_has_a_reason"),
    (Unsafe, "test_it_knows_all_files_as_its_own"),
    (Hidden, "test_the_card_says_how_it_is_read"),
)


@pytest.mark.parametrize(("kind", "test"), BROKEN, ids=lambda part: getattr(part, "__name__", part))
def test_a_broken_kind_fails(kind: type[LinesExport], test: str, tmp_path: Path) -> None:
    contract = ExportContract()
    contract.spec = kind(to="lines", mix=MIX)
    with pytest.raises(AssertionError):
        getattr(contract, test)(tmp_path)


def test_a_pattern_that_is_none_is_refused_where_the_kind_is_made() -> None:
    with pytest.raises(re.error, match="unterminated"):
        type("Bad", (LinesExport,), {"file_patterns": ("(",), "__module__": __name__})
