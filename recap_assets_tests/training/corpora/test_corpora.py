"""Corpora of mixes and of texts: what they rest on, what they hold, what is refused."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from recap_assets.engines.small.loading import read_small_rewriter
from recap_assets.graph.node import Step
from recap_assets.shards.files import PoolError
from recap_assets.specs.loading import ExperimentError
from recap_assets.training.corpora.assets import image_corpus_of, outside_of_corpus
from recap_assets.training.corpora.kind import TextRow
from recap_assets.training.corpora.kinds.texts import TextsCorpus
from recap_assets.training.corpora.text_rows import CorpusFileError
from recap_assets.world.rewriting import fusing
from recap_assets.world.scenes import FINE, world_of
from recap_assets_tests.tiny import EXPERIMENT, Bench, tiny_experiment

REWRITER = {"kind": "rewriter", "corpus": "rows", "samples_seen": 16, "batch_size": 8, "width": 32}


def with_parts(**parts: dict[str, Any]) -> dict[str, Any]:
    """The tiny experiment's sections with more parts."""
    return {section: {**EXPERIMENT[section], **more} for section, more in parts.items()}


def learning_from(mix: str, **model: object) -> dict[str, Any]:
    """A second captioner, that learns from a mix."""
    other = {**EXPERIMENT["models"]["captioner"], "corpus": "own", **model}
    return with_parts(corpora={"own": {"kind": "mix", "mix": mix}}, models={"other": other})


def test_a_model_of_a_mix_rests_on_the_pairs_of_the_mix() -> None:
    graph = Bench(Path("nowhere"), tiny_experiment(**learning_from("raw"))).graph
    reads = {dependency.asset for dependency in graph.nodes["models/other"].dependencies}
    assert reads == {"training_pairs/raw", "models/backbone"}
    tagged = learning_from("raw", control={"tag": "source"})
    graph = Bench(Path("nowhere"), tiny_experiment(**tagged)).graph
    reads = {dependency.asset for dependency in graph.nodes["models/other"].dependencies}
    assert reads == {"training_pairs/raw", "curated_mixes/raw", "models/backbone"}


def test_a_mix_of_its_own_model_is_refused_with_the_way_around() -> None:
    corpora = {"own": {"kind": "mix", "mix": "mixed"}}
    captioner = {**EXPERIMENT["models"]["captioner"], "corpus": "own"}
    way = "mixes.mixed → sources.a → models.captioner → corpora.own → mixes.mixed"
    with pytest.raises(ExperimentError, match=way):
        tiny_experiment(**with_parts(corpora=corpora, models={"captioner": captioner}))


def test_the_scorer_that_a_mix_is_ranked_by_cannot_learn_from_it() -> None:
    corpora = {"own": {"kind": "mix", "mix": "raw"}}
    scorer = {**EXPERIMENT["models"]["scorer"], "corpus": "own"}
    way = "mixes.raw → scorers.clip → models.scorer → corpora.own → mixes.raw"
    with pytest.raises(ExperimentError, match=way):
        tiny_experiment(**with_parts(corpora=corpora, models={"scorer": scorer}))


def test_a_captioner_cannot_learn_from_texts_nor_a_rewriter_from_images() -> None:
    rows = {"kind": "texts", "files": "embedded", "reads": {"raw": "raw"}, "writes": "fused"}
    captioner = {**EXPERIMENT["models"]["captioner"], "corpus": "rows"}
    with pytest.raises(ExperimentError, match=r"models.captioner.corpus: .*no images; .*broad"):
        tiny_experiment(**with_parts(corpora={"rows": rows}, models={"captioner": captioner}))
    rewriter = {**REWRITER, "corpus": "broad"}
    with pytest.raises(ExperimentError, match=r"models.r.corpus: .*no rows of texts"):
        tiny_experiment(**with_parts(models={"r": rewriter}))


def texts(path: Path, **changes: Any) -> TextsCorpus:
    given = {"reads": {"raw": "raw", "a": "caption"}, "writes": "fused", **changes}
    return TextsCorpus.model_validate({"kind": "texts", "files": str(path), **given})


def rows_in(corpus: TextsCorpus, folder: Path) -> list[TextRow]:
    return list(corpus.rows("rows", Bench(folder, tiny_experiment()).project))


def test_rows_keep_the_order_of_inputs_and_lose_what_has_no_output(tmp_path: Path) -> None:
    lines = [
        {"caption": "a car", "raw": "BMW\x00 ", "fused": " a BMW "},
        {"caption": "a dog", "raw": None, "fused": "a dog"},
        {"caption": "a cat", "raw": "x", "fused": ""},
        {"caption": None, "raw": None, "fused": "nothing to read"},
    ]
    path = tmp_path / "rows.jsonl.gz"
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    expected = [TextRow(("BMW", "a car"), "a BMW"), TextRow(("", "a dog"), "a dog")]
    assert rows_in(texts(path), tmp_path) == expected
    assert rows_in(texts(path, rows_at_most=1), tmp_path) == expected[:1]


def test_another_file_is_another_version_and_another_place_is_not(tmp_path: Path) -> None:
    line = json.dumps({"raw": "x", "caption": "y", "fused": "z"})
    for name in ("one", "two"):
        (tmp_path / f"{name}.jsonl").write_text(line)
    one, two = (texts(tmp_path / f"{name}.jsonl").version() for name in ("one", "two"))
    assert one == two
    (tmp_path / "two.jsonl").write_text(f"{line}\n{line}")
    assert texts(tmp_path / "two.jsonl").version() != one


def test_files_that_cannot_be_read_are_named_with_the_reason(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "cut.parquet").write_bytes(b"PAR1 no parquet")
    (tmp_path / "other.csv").write_text("raw,caption\na,b\n")
    for name, reason in (
        ("gone.jsonl", "No such file"),
        ("pipe.jsonl", "a named pipe"),
        ("cut.parquet", "cut.parquet cannot be read"),
        ("other.csv", "no column 'fused'; its columns are"),
    ):
        with pytest.raises(CorpusFileError, match=reason):
            rows_in(texts(tmp_path / name), tmp_path)
        ((is_good, said),) = texts(tmp_path / name).doctor("corpora.rows")
        assert is_good is False
        assert said.startswith("corpora.rows: ")
    with pytest.raises(ValueError, match="of no kind that is read here"):
        texts(tmp_path / "rows.txt")
    with pytest.raises(ValueError, match="no column 'title'; they have raw, caption, fused"):
        texts(Path("embedded"), writes="title")


def test_drawn_rows_take_from_the_alt_text_the_names_of_things_that_are_there() -> None:
    world = world_of(5)
    changed = 0
    for row in (fusing(world, number) for number in range(400)):
        new = set(row.fused.split()) - set(row.caption.split())
        for word in new:
            names = next((f.name, f.plural) for f in FINE if word in (f.name, f.plural))
            assert any(name in row.raw.lower() for name in names)
        changed += bool(new)
    assert 20 < changed < 200


def test_a_rewriter_is_trained_on_drawn_rows(tmp_path: Path) -> None:
    reads = {"raw": "raw", "a": "caption"}
    rows = {"kind": "texts", "files": "embedded", "reads": reads, "writes": "fused", "samples": 30}
    parts = with_parts(corpora={"rows": rows}, models={"rewriter": REWRITER})
    bench = Bench(tmp_path, tiny_experiment(**parts))
    bench.build("world")
    node = bench.graph.nodes["models/rewriter"]
    assert [dependency.asset for dependency in node.dependencies] == ["embedded_world/corpora/rows"]
    node.compute(Step(""))
    assert read_small_rewriter(bench.project.workspace.model("rewriter")).shape.inputs == (
        "raw", "a",
    )  # fmt: skip


def test_tars_of_a_corpus_that_are_not_there_are_named_as_the_corpus_is(tmp_path: Path) -> None:
    gone = {"kind": "webdataset", "shards": str(tmp_path / "gone")}
    project = Bench(tmp_path, tiny_experiment(**with_parts(corpora={"own": gone}))).project
    corpus = image_corpus_of(project, "own")
    with pytest.raises(PoolError, match=r"^corpora\.own\.shards: there is no folder"):
        list(corpus.read("own", project))
    ((is_good, said),) = corpus.doctor("corpora.own")
    assert (is_good, said.count("corpora.own.shards: there is no folder")) == (False, 1)
    outside = outside_of_corpus(project, "own")
    assert outside is not None
    with pytest.raises(PoolError, match=r"^corpora\.own: shards: there is no folder"):
        outside("")
    (tmp_path / "gone").mkdir()
    with pytest.raises(PoolError, match=r"^corpora\.own\.shards: no \.tar shard in"):
        list(corpus.read("own", project))
